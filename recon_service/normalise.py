"""Turns raw text columns into canonical records; what does not fit is rejected with its reason."""

from collections.abc import Mapping

import polars as pl

from recon_service.domain.amounts import signed_amount
from recon_service.domain.config import SourceConfig
from recon_service.domain.identity import fingerprints, ordinals
from recon_service.domain.records import (
    ACCEPTED_SCHEMA,
    REJECTED_SCHEMA,
    Normalised,
    RawRead,
)
from recon_service.domain.timestamps import instants

_ID_CHARS_MAX = 255
_TEXT_CHARS_MAX = 4_000
_RAW_CHARS_MAX = 2_000
# Runs of space and control characters that are not one plain space already.
_CONTROLS = r"[\p{Cc}\p{Zs}\p{Zl}\p{Zp}]{2,}|[\p{Cc}\p{Zs}\p{Zl}\p{Zp}--[ ]]"
# The content that makes two lines equal; positions and file names are not part of it.
_CONTENT = ("external_id", "occurred_at", "amount_minor", "currency", "text", "counterparty")


def normalise(raw: RawRead, config: SourceConfig, scales: Mapping[str, int]) -> Normalised:
    """Return the canonical records of a source and all its rejected lines, by line number.

    `scales` gives the decimals of every known currency. Amounts are exact: what has more
    decimals than its currency is rejected, never rounded.
    """
    frame = raw.frame.with_columns(
        external_id=_clean("txn_id"),
        text=_clean("description"),
        counterparty=_clean("counterparty"),
        currency=_currency(config),
    ).with_columns(
        scale=pl.col("currency").replace_strict(dict(scales), default=None, return_dtype=pl.Int16)
    )
    frame = instants(frame, config)
    frame = signed_amount(frame, config)
    frame = frame.with_columns(
        reason=pl.coalesce(
            _too_long("external_id", _ID_CHARS_MAX, "transaction id"),
            pl.col("timestamp_fault"),
            *_currency_faults(config),
            pl.col("amount_fault"),
            _too_long("text", _TEXT_CHARS_MAX, "description"),
            _too_long("counterparty", _TEXT_CHARS_MAX, "counterparty"),
        )
    )
    rejected = frame.filter(pl.col("reason").is_not_null()).with_columns(
        pl.col("raw").str.slice(0, _RAW_CHARS_MAX)
    )
    accepted = _identified(frame.filter(pl.col("reason").is_null()))
    return Normalised(
        accepted=accepted.select(ACCEPTED_SCHEMA.names()).cast(ACCEPTED_SCHEMA),
        rejected=pl.concat([raw.rejected, rejected.select(REJECTED_SCHEMA.names())]).sort(
            "line_no"
        ),
    )


def _identified(frame: pl.DataFrame) -> pl.DataFrame:
    """Add the fingerprint, and the ordinal that keeps genuinely equal lines apart."""
    content = pl.concat_str(
        [
            pl.col(name).to_physical().cast(pl.String).fill_null("")
            if name == "occurred_at"
            else pl.col(name).cast(pl.String).fill_null("")
            for name in _CONTENT
        ],
        separator="\x1f",
    )
    prints = fingerprints(frame.select(content).to_series())
    return frame.with_columns(fingerprint=prints, ordinal=ordinals(prints))


def _clean(field: str) -> pl.Expr:
    """Return a field with runs of space and control characters as one space; null if empty."""
    cleaned = pl.col(field).str.replace_all(_CONTROLS, " ").str.strip_chars(" ")
    return pl.when(cleaned != "").then(cleaned)


def _currency(config: SourceConfig) -> pl.Expr:
    if config.fixed_currency is not None:
        return pl.lit(config.fixed_currency)
    return pl.col("currency").str.strip_chars().str.to_uppercase()


def _currency_faults(config: SourceConfig) -> list[pl.Expr]:
    code = pl.col("currency")
    shown = code.str.slice(0, 20)
    faults: list[pl.Expr] = [
        pl.when(code.is_null() | (code == "")).then(pl.lit("the currency is empty")),
        pl.when(pl.col("scale").is_null()).then(pl.format("currency {} is not known", shown)),
    ]
    if config.currencies is not None:
        supported = code.is_in(list(config.currencies))
        faults.append(
            pl.when(~supported).then(
                pl.format("currency {} is not supported by this source", shown)
            )
        )
    return faults


def _too_long(column: str, chars_max: int, name: str) -> pl.Expr:
    return pl.when(pl.col(column).str.len_chars() > chars_max).then(
        pl.lit(f"the {name} has more than {chars_max} characters")
    )
