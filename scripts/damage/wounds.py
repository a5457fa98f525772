"""Ways to damage a history: each changes what is stored in one random place, and says where.

They run as the tables' owner, with triggers off and checks dropped, as an intruder would.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from ledger_service.tables import MAIN_LEDGER_ID
from scripts.damage.books import Books

TRIES_MAX = 1_000
Wound = Callable[[asyncpg.Connection, Random, Books], Awaitable["Place"]]


class Place(NamedTuple):
    """What was damaged; `seq` is the first entry that is not as it was, None where it is none."""

    sentence: str
    seq: int | None = None


async def flip_entry(connection: asyncpg.Connection, rng: Random, books: Books) -> Place:
    """Change one field of an entry."""
    seq = rng.choice(books.seqs)
    row = await _row(connection, "journal", "seq", seq)
    name = rng.choice(("entry_id", "kind", "effective_at", "recorded_at", "reference"))
    value = _other(rng, name, row[name])
    await _set(connection, "journal", name, value, "seq", seq)
    return Place(f"{name} of seq {seq}", seq)


async def flip_payload(connection: asyncpg.Connection, rng: Random, books: Books) -> Place:
    """Change one character of a payload, which is JSON still."""
    seq = rng.choice(books.seqs)
    text = (await _row(connection, "journal", "seq", seq))["payload"]
    at, flipped = _flipped_json(rng, text, range(len(text)))
    await _set(connection, "journal", "payload", flipped, "seq", seq)
    return Place(f"character {at} of the payload of seq {seq}", seq)


async def flip_metadata(connection: asyncpg.Connection, rng: Random, books: Books) -> Place:
    """Change one character of the metadata that stand in a payload."""
    for _ in range(TRIES_MAX):
        seq = rng.choice(books.seqs)
        text = (await _row(connection, "journal", "seq", seq))["payload"]
        start = text.find('"metadata"') + len('"metadata"')
        end = text.find("}", start)
        if json.loads(text).get("metadata"):
            at, flipped = _flipped_json(rng, text, range(start, end))
            await _set(connection, "journal", "payload", flipped, "seq", seq)
            return Place(f"character {at} of the metadata of seq {seq}", seq)
    raise AssertionError("no entry has metadata")


async def respell_payload(connection: asyncpg.Connection, rng: Random, books: Books) -> Place:
    """Write a payload in another way that means the same."""
    seq = rng.choice(books.seqs)
    text = (await _row(connection, "journal", "seq", seq))["payload"]
    await _set(connection, "journal", "payload", text[:1] + " " + text[1:], "seq", seq)
    return Place(f"spelling of the payload of seq {seq}", seq)


async def flip_event(connection: asyncpg.Connection, rng: Random, books: Books) -> Place:
    """Change one field of an event."""
    seq = rng.choice(books.moving_seqs)
    row = await _event(connection, rng, seq)
    name = rng.choice(
        (
            "line",
            "account_id",
            "transaction_id",
            "direction",
            "amount_minor",
            "balance_after_minor",
            "position",
        )
    )
    value: Any = 99 if name == "line" else _other(rng, name, row[name])
    await connection.execute(
        f"UPDATE ledger.events SET {name} = $1 WHERE ledger_id = $2 AND seq = $3 AND line = $4",
        value,
        MAIN_LEDGER_ID,
        seq,
        row["line"],
    )
    return Place(f"{name} of event ({seq}, {row['line']})", seq)


async def flip_key(connection: asyncpg.Connection, rng: Random, books: Books) -> Place:
    """Change one field of an idempotency key."""
    key = rng.choice(books.keys)
    names = ["key_hash", "fingerprint", "seq", "recorded_at"]
    if key["refusal"] is not None:
        names += ["refusal"] * 2
    name = rng.choice(names)
    value: Any
    if name == "seq":
        value = rng.choice([one for one in (*books.seqs, None) if one != key["seq"]])
    else:
        value = _other(rng, name, key[name])
    await _set(connection, "idempotency", name, value, "key_hash", key["key_hash"])
    return Place(f"{name} of the key {key['key_hash'].hex()}")


async def swap_entries(connection: asyncpg.Connection, rng: Random, books: Books) -> Place:
    """Let two entries change places, often neighbours; their events go with them, or do not."""
    first = rng.choice(books.seqs[:-1])
    others = [seq for seq in books.seqs if seq > first]
    second = first + 1 if rng.random() < 0.5 else rng.choice(others)
    tables = ("journal", "events") if rng.random() < 0.7 else ("journal",)
    for table in tables:
        for was, becomes in ((first, -first), (second, first), (-first, second)):
            await _set(connection, table, "seq", becomes, "seq", was)
    return Place(f"seq {first} and seq {second} in {' and '.join(tables)}", first)


async def swap_keys(connection: asyncpg.Connection, rng: Random, books: Books) -> Place:
    """Let two keys exchange the entries to which they lead, or their fingerprints."""
    name = rng.choice(("seq", "fingerprint"))
    for _ in range(TRIES_MAX):
        one, other = rng.sample(books.keys, 2)
        if one[name] != other[name]:
            await _set(connection, "idempotency", name, other[name], "key_hash", one["key_hash"])
            await _set(connection, "idempotency", name, one[name], "key_hash", other["key_hash"])
            return Place(f"{name} of two keys")
    raise AssertionError("all keys are alike")


async def insert_entry(connection: asyncpg.Connection, rng: Random, books: Books) -> Place:
    """Put an entry between two others; all behind it move up."""
    seq = rng.choice(books.seqs)
    for table in ("journal", "events"):
        await connection.execute(
            f"UPDATE ledger.{table} SET seq = -seq - 1 WHERE ledger_id = $1 AND seq >= $2",
            MAIN_LEDGER_ID,
            seq,
        )
        await connection.execute(
            f"UPDATE ledger.{table} SET seq = -seq WHERE ledger_id = $1 AND seq < 0",
            MAIN_LEDGER_ID,
        )
    template = rng.choice([one for one in books.moving_seqs if one != seq])
    template += template > seq
    await connection.execute(
        "INSERT INTO ledger.journal SELECT a.ledger_id, $2::bigint, $3, a.kind, b.effective_at, "
        "b.recorded_at, a.reference, a.payload FROM ledger.journal a, ledger.journal b "
        "WHERE a.ledger_id = $1 AND b.ledger_id = $1 AND a.seq = $4 AND b.seq = $2::bigint + 1",
        MAIN_LEDGER_ID,
        seq,
        _uuid(rng),
        template,
    )
    await connection.execute(
        "INSERT INTO ledger.events SELECT ledger_id, $2::bigint, line, account_id, transaction_id, "
        "direction, amount_minor, balance_after_minor, position FROM ledger.events "
        "WHERE ledger_id = $1 AND seq = $3",
        MAIN_LEDGER_ID,
        seq,
        template,
    )
    await _move_head(connection, 1)
    return Place(f"an entry before seq {seq}", seq)


async def insert_event(connection: asyncpg.Connection, rng: Random, books: Books) -> Place:
    """Add an event to an entry."""
    seq = rng.choice(books.seqs)
    await connection.execute(
        "INSERT INTO ledger.events VALUES ($1, $2, 77, $3, $4, 'credit', $5, 0, 1)",
        MAIN_LEDGER_ID,
        seq,
        rng.choice(books.account_ids),
        _uuid(rng),
        rng.randint(1, 10_000),
    )
    return Place(f"an event of seq {seq}", seq)


async def insert_key(connection: asyncpg.Connection, rng: Random, books: Books) -> Place:
    """Claim that a key was used."""
    like = rng.choice(books.keys)
    await connection.execute(
        "INSERT INTO ledger.idempotency VALUES ($1, $2, $3, $4, $5, $6)",
        MAIN_LEDGER_ID,
        rng.randbytes(16),
        rng.randbytes(16),
        like["seq"],
        like["refusal"],
        like["recorded_at"],
    )
    return Place("a key")


async def delete_entry(connection: asyncpg.Connection, rng: Random, books: Books) -> Place:
    """Take an entry out, with its events or without; those behind it close up, or leave a gap."""
    seq = rng.choice(books.seqs[:-1])
    is_closed_up = rng.random() < 0.5
    tables = ("journal", "events") if is_closed_up or rng.random() < 0.5 else ("journal",)
    for table in tables:
        await connection.execute(
            f"DELETE FROM ledger.{table} WHERE ledger_id = $1 AND seq = $2", MAIN_LEDGER_ID, seq
        )
        if is_closed_up:
            await connection.execute(
                f"UPDATE ledger.{table} SET seq = -seq + 1 WHERE ledger_id = $1 AND seq > $2",
                MAIN_LEDGER_ID,
                seq,
            )
            await connection.execute(
                f"UPDATE ledger.{table} SET seq = -seq WHERE ledger_id = $1 AND seq < 0",
                MAIN_LEDGER_ID,
            )
    if is_closed_up:
        await _move_head(connection, -1)
    return Place(f"seq {seq}" + (", those behind it closed up" if is_closed_up else ""), seq)


async def delete_event(connection: asyncpg.Connection, rng: Random, books: Books) -> Place:
    """Take an event out."""
    seq = rng.choice(books.moving_seqs)
    row = await _event(connection, rng, seq)
    await connection.execute(
        "DELETE FROM ledger.events WHERE ledger_id = $1 AND seq = $2 AND line = $3",
        MAIN_LEDGER_ID,
        seq,
        row["line"],
    )
    return Place(f"event ({seq}, {row['line']})", seq)


async def delete_key(connection: asyncpg.Connection, rng: Random, books: Books) -> Place:
    """Forget that a key was used."""
    key = rng.choice(books.keys)
    await connection.execute(
        "DELETE FROM ledger.idempotency WHERE ledger_id = $1 AND key_hash = $2",
        MAIN_LEDGER_ID,
        key["key_hash"],
    )
    return Place(f"the key {key['key_hash'].hex()}")


async def cut_tail(connection: asyncpg.Connection, rng: Random, books: Books) -> Place:
    """Cut the end of the history, with the keys of that time, and set the head back."""
    seq = rng.choice(books.seqs[1:])
    before = await _row(connection, "journal", "seq", seq - 1)
    for table in ("journal", "events"):
        await connection.execute(
            f"DELETE FROM ledger.{table} WHERE ledger_id = $1 AND seq >= $2", MAIN_LEDGER_ID, seq
        )
    await connection.execute(
        "DELETE FROM ledger.idempotency WHERE ledger_id = $1 AND recorded_at > $2",
        MAIN_LEDGER_ID,
        before["recorded_at"],
    )
    await connection.execute(
        "UPDATE ledger.ledgers SET last_seq = $2, last_entry_id = $3, last_recorded_at = $4 "
        "WHERE ledger_id = $1",
        MAIN_LEDGER_ID,
        seq - 1,
        before["entry_id"],
        before["recorded_at"],
    )
    return Place(f"all from seq {seq} on", seq)


async def damage_seals(connection: asyncpg.Connection, rng: Random, books: Books) -> Place:
    """Change what the sealer wrote: a root, frontier, size, leaf or block, or take a seal out."""
    number = rng.randint(1, books.anchor.seal)
    names = ("entries_root", "keys_root", "entries_frontier", "keys_frontier", "keys_before")
    name = rng.choice((*names, "entries_size", "keys_size", "hashes", "root", "delete"))
    if name == "delete":
        await connection.execute("DELETE FROM ledger.seals WHERE number = $1", number)
    elif name in ("hashes", "root"):
        table = "seal_leaves" if name == "hashes" else "seal_blocks"
        rows = await connection.fetch(f"SELECT ctid, {name} FROM ledger.{table}")
        if not rows:  # books of fewer than 256 entries have no blocks
            return await damage_seals(connection, rng, books)
        row = rng.choice(rows)
        value = _other(rng, name, row[name])
        await connection.execute(
            f"UPDATE ledger.{table} SET {name} = $1 WHERE ctid = $2", value, row["ctid"]
        )
    else:
        row = await _row(connection, "seals", "number", number)
        value = _other(rng, name, row[name])
        await _set(connection, "seals", name, value, "number", number)
    return Place(f"{name} of the seals")


LOG_WOUNDS: Mapping[str, Wound] = {
    "entry flipped": flip_entry,
    "payload flipped": flip_payload,
    "metadata flipped": flip_metadata,
    "payload respelled": respell_payload,
    "event flipped": flip_event,
    "key flipped": flip_key,
    "entries swapped": swap_entries,
    "keys swapped": swap_keys,
    "entry inserted": insert_entry,
    "event inserted": insert_event,
    "key inserted": insert_key,
    "entry deleted": delete_entry,
    "event deleted": delete_event,
    "key deleted": delete_key,
    "tail cut": cut_tail,
}
WOUNDS: Mapping[str, Wound] = LOG_WOUNDS | {"seal damaged": damage_seals}


async def _row(connection: asyncpg.Connection, table: str, key: str, value: Any) -> asyncpg.Record:
    found = await connection.fetchrow(
        f"SELECT * FROM ledger.{table} WHERE ledger_id = $1 AND {key} = $2",
        MAIN_LEDGER_ID,
        value,
    )
    assert found is not None, f"{table} has no {key} {value}"
    return found


async def _event(connection: asyncpg.Connection, rng: Random, seq: int) -> asyncpg.Record:
    found = await connection.fetch(
        "SELECT * FROM ledger.events WHERE ledger_id = $1 AND seq = $2 ORDER BY line",
        MAIN_LEDGER_ID,
        seq,
    )
    return rng.choice(found)


async def _set(
    connection: asyncpg.Connection, table: str, name: str, value: Any, key: str, where: Any
) -> None:
    await connection.execute(
        f"UPDATE ledger.{table} SET {name} = $1 WHERE ledger_id = $2 AND {key} = $3",
        value,
        MAIN_LEDGER_ID,
        where,
    )


async def _move_head(connection: asyncpg.Connection, by: int) -> None:
    await connection.execute(
        "UPDATE ledger.ledgers SET last_seq = last_seq + $2 WHERE ledger_id = $1",
        MAIN_LEDGER_ID,
        by,
    )


def _other(rng: Random, name: str, value: Any) -> Any:
    """Return a value of the same kind that is another."""
    if name in ("entry_id", "account_id", "transaction_id"):
        return _uuid(rng)
    if name == "kind":
        return rng.choice([one for one in ("transfer", "reversal", "exchange") if one != value])
    if name == "direction":
        return "debit" if value == "credit" else "credit"
    if name.endswith("_at") or name == "keys_before":
        return value + rng.choice((-1, 1)) * timedelta(microseconds=rng.choice((1, 997, 10**9)))
    if value is None:
        return "forged"
    if isinstance(value, bytes):
        if not value:
            return bytes(32)
        at = rng.randrange(len(value))
        return value[:at] + bytes((value[at] ^ 1 << rng.randrange(8),)) + value[at + 1 :]
    if isinstance(value, int):
        return value + rng.choice((-1, 1, 100, 1 << rng.randrange(30)))
    at = rng.randrange(len(value))
    return value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :]


def _flipped_json(rng: Random, text: str, where: range) -> tuple[int, str]:
    """Return a place and the text with the digit or letter there changed, JSON before and after."""
    for _ in range(TRIES_MAX):
        at = rng.choice(where)
        kinds = [kind for kind in ("0123456789", "abcdefghijklmnopqrstuvwxyz") if text[at] in kind]
        if not kinds:
            continue
        other = rng.choice([one for one in kinds[0] if one != text[at]])
        flipped = text[:at] + other + text[at + 1 :]
        try:
            json.loads(flipped)
        except ValueError:
            continue
        return at, flipped
    raise AssertionError(f"nothing can be changed in {text}")


def _uuid(rng: Random) -> UUID:
    return UUID(int=rng.getrandbits(128))
