"""What makes a statement line itself: a fingerprint of its content, and an id made of that (pure).

The same line gets the same id in every run. Ids begin with the line's own time, so those of one
statement lie side by side in every index, whose pages are then written once and not at random.
"""

from hashlib import sha256

import numpy as np
import numpy.typing as npt
import polars as pl

_TIME_BYTES = 6  # milliseconds since 1970, as in a UUID of version 7
_DASHES = (8, 12, 16, 20)

Bytes = npt.NDArray[np.uint8]


def fingerprints(content: pl.Series) -> pl.Series:
    """Return the SHA-256 of each text in hexadecimal digits."""
    digests = [sha256(text.encode()).hexdigest() for text in content.to_list()]
    return pl.Series("fingerprint", digests, dtype=pl.String)


def ordinals(prints: pl.Series) -> pl.Series:
    """Number the lines with one fingerprint from 0, in their order."""
    if prints.n_unique() == len(prints):
        return pl.repeat(0, len(prints), dtype=pl.Int32, eager=True).alias("ordinal")
    count = pl.int_range(pl.len(), dtype=pl.Int32).over("fingerprint").alias("ordinal")
    return prints.alias("fingerprint").to_frame().select(count).to_series()


def record_ids(source: str, records: pl.DataFrame) -> pl.Series:
    """Return the UUIDs (version 8) of a source's records.

    `records` has `fingerprint`, `ordinal` and `occurred_at`. Behind the time stand bits of the
    fingerprint, crossed with a hash of source and ordinal.
    """
    count = records.height
    digests = np.frombuffer(bytes.fromhex("".join(records["fingerprint"])), np.uint8)
    ids = digests.reshape(count, 32)[:, :16] ^ _salts(source, records["ordinal"])
    millis = records["occurred_at"].dt.epoch("ms").to_numpy().astype(">i8")
    ids[:, :_TIME_BYTES] = millis.view(np.uint8).reshape(count, 8)[:, 8 - _TIME_BYTES :]
    ids[:, 6] = ids[:, 6] & 0x0F | 0x80
    ids[:, 8] = ids[:, 8] & 0x3F | 0x80
    digits = ids.tobytes().hex()
    whole = pl.Series(
        "record_id", [digits[k : k + 32] for k in range(0, 32 * count, 32)], pl.String
    )
    starts, ends = (0, *_DASHES), (*_DASHES, 32)
    parts = [pl.col("record_id").str.slice(a, b - a) for a, b in zip(starts, ends, strict=True)]
    return whole.to_frame().select(pl.concat_str(parts, separator="-")).to_series()


def _salts(source: str, ordinal: pl.Series) -> Bytes:
    """Return 16 bytes per row that are the same for the same source and ordinal."""
    numbers = ordinal.unique().sort()
    salts = [sha256(f"{source}\n{number}".encode()).digest()[:16] for number in numbers]
    table = np.frombuffer(b"".join(salts), np.uint8).reshape(len(salts), 16)
    places = np.searchsorted(numbers.to_numpy(), ordinal.to_numpy())
    return np.asarray(table[places])
