"""Reads amounts as a source writes them into signed minor units, exactly or not at all."""

import re

import polars as pl

from recon_service.domain.config import DecimalStyle, SourceConfig

DIGITS_MAX = 18
_CHARS_SHOWN = 60
# Style -> (separators between groups of three digits, decimal separator).
_SEPARATORS: dict[DecimalStyle, tuple[str, str]] = {
    "1,234.56": (",", "."),
    "1.234,56": (".", ","),
    "1 234,56": (" \u00a0\u202f", ","),
    "1'234.56": ("'\u2019", "."),
}


def signed_amount(frame: pl.DataFrame, config: SourceConfig) -> pl.DataFrame:
    """Add `amount_minor` and `amount_fault` to raw columns with `currency` and `scale`.

    Positive is money that arrives. Of `debit` and `credit` one is filled, both without sign.
    """
    if config.columns.amount is not None:
        frame = _parsed(frame, "amount", config, is_signed=True)
        amount = pl.col("amount_units")
        fault = pl.coalesce(_blank("amount"), pl.col("amount_fault"))
    else:
        frame = _parsed(frame, "debit", config, is_signed=False)
        frame = _parsed(frame, "credit", config, is_signed=False)
        debit, credit = pl.col("debit_units").fill_null(0), pl.col("credit_units").fill_null(0)
        amount = credit - debit
        neither = pl.col("debit_text").is_null() & pl.col("credit_text").is_null()
        fault = pl.coalesce(
            pl.when(neither).then(pl.lit("debit and credit are both empty")),
            pl.col("debit_fault"),
            pl.col("credit_fault"),
            pl.when((debit != 0) & (credit != 0)).then(pl.lit("debit and credit are both filled")),
        )
    signed = amount if config.sign == "as_is" else -amount
    return frame.with_columns(amount_minor=signed, amount_fault=fault)


def _parsed(
    frame: pl.DataFrame, field: str, config: SourceConfig, *, is_signed: bool
) -> pl.DataFrame:
    """Add `{field}_text`, `{field}_units` and `{field}_fault`; all null where it is empty."""
    groups, decimal = _SEPARATORS[config.decimal_style]
    text = pl.col(f"{field}_text")
    plain = text.str.replace_all(f"[{re.escape(groups)}]", "").str.strip_chars("+-")
    whole = pl.col("whole").str.strip_chars_start("0")
    decimals = pl.col("fraction").str.len_bytes().cast(pl.Int64)
    scale = pl.col("scale").cast(pl.Int64)
    is_number = pl.col("is_number")
    fits = (whole.str.len_bytes() + scale <= DIGITS_MAX) & (decimals <= scale)
    power = pl.lit(10, pl.Int64)
    units = (
        pl.when(is_number & fits)
        .then(
            _integer(whole) * power.pow(scale)
            + _integer(pl.col("fraction")) * power.pow(pl.max_horizontal(scale - decimals, 0))
        )
        .cast(pl.Int64)
    )
    sign = pl.when(text.str.starts_with("-")).then(-1).otherwise(1)
    stripped = pl.col(field).str.strip_chars()
    shown = text.str.slice(0, _CHARS_SHOWN)
    fault = pl.coalesce(
        pl.when(~is_number).then(
            pl.format(f"{field} '{{}}' is not a number written like {config.decimal_style}", shown)
        ),
        pl.when(decimals > scale).then(
            pl.format(
                f"{field} '{{}}' has {{}} decimals, {{}} has {{}}",
                shown,
                decimals,
                "currency",
                scale,
            )
        ),
        pl.when(~fits).then(pl.lit(f"{field} has more than {DIGITS_MAX} digits")),
    )
    return (
        frame.with_columns(pl.when(stripped != "").then(stripped).alias(f"{field}_text"))
        .with_columns(
            is_number=text.str.contains(_pattern(groups, decimal, is_signed=is_signed)),
            parts=plain.str.split_exact(decimal, 1),
        )
        .with_columns(
            whole=pl.col("parts").struct.field("field_0"),
            fraction=pl.col("parts").struct.field("field_1").fill_null(""),
        )
        .with_columns((sign * units).alias(f"{field}_units"), fault.alias(f"{field}_fault"))
        .drop("is_number", "parts", "whole", "fraction")
    )


def _pattern(groups: str, decimal: str, *, is_signed: bool) -> str:
    """Return the only shape that is a number: groups of three or none, ASCII digits."""
    group, point = f"[{re.escape(groups)}]", re.escape(decimal)
    sign = "[+-]?" if is_signed else ""
    return rf"\A{sign}(?:[0-9]{{1,3}}(?:{group}[0-9]{{3}})+|[0-9]+)(?:{point}[0-9]+)?\z"


def _integer(digits: pl.Expr) -> pl.Expr:
    return pl.when(digits == "").then(pl.lit(0)).otherwise(digits.cast(pl.Int64, strict=False))


def _blank(field: str) -> pl.Expr:
    return pl.when(pl.col(f"{field}_text").is_null()).then(pl.lit(f"the {field} is empty"))
