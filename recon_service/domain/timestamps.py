"""Reads timestamps as a source writes them into an instant and a calendar day in its zone."""

import re

import polars as pl

from recon_service.domain.config import SourceConfig

YEAR_MIN, YEAR_MAX = 1900, 2200
_CHARS_SHOWN = 60
_DAY_MICROS = 86_400_000_000
_ISO = (
    r"\A(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ](?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9])"
    r"(?::(?P<second>[0-5][0-9])(?:[.,](?P<fraction>[0-9]{1,9}))?)?"
    r" ?(?P<offset>[Zz]|[+-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?)?)?\z"
)

# The shapes that need no taking apart: a day, or a day and a time to the second.
_COMMON = (
    r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9][Zz]?)?\z"
)


def instants(frame: pl.DataFrame, config: SourceConfig) -> pl.DataFrame:
    """Add `occurred_at` (UTC), `booked_on` and `timestamp_fault` to raw columns.

    A time without offset is the source's local time. A date alone is that local day, whatever
    UTC says, and its instant the day's first moment. A local time that a clock change repeats
    means the first of the two; one that it skips moves on by the hour that is missing.
    """
    text = pl.col("timestamp").str.strip_chars()
    frame = frame.with_columns(timestamp_text=pl.when(text != "").then(text))
    formats = config.timestamp_formats or ("iso",)
    parsed = [
        frame.select(_iso(frame) if name == "iso" else _by_format(name)).unnest("parsed")
        for name in formats
    ]
    best = parsed[0]
    for other in parsed[1:]:
        best = best.with_columns(
            pl.when(best["local"].is_null() & best["utc"].is_null())
            .then(other[column])
            .otherwise(best[column])
            .alias(column)
            for column in ("local", "utc")
        )
    zone = config.time_zone
    local = pl.col("local")
    occurred = pl.coalesce(pl.col("utc"), _first_instant(local, zone))
    booked = pl.coalesce(local.dt.date(), pl.col("utc").dt.convert_time_zone(zone).dt.date())
    shown = pl.col("timestamp_text").str.slice(0, _CHARS_SHOWN)
    written = " or ".join("ISO 8601" if name == "iso" else name for name in formats)
    return (
        frame.with_columns(best)
        .with_columns(occurred_at=occurred, booked_on=booked)
        .with_columns(
            timestamp_fault=pl.coalesce(
                pl.when(pl.col("timestamp_text").is_null()).then(pl.lit("the timestamp is empty")),
                pl.when(pl.col("occurred_at").is_null()).then(
                    pl.format(
                        "timestamp '{}' is not a time written like {}", shown, pl.lit(written)
                    )
                ),
                pl.when(~pl.col("booked_on").dt.year().is_between(YEAR_MIN, YEAR_MAX)).then(
                    pl.format(f"timestamp '{{}}' is not between {YEAR_MIN} and {YEAR_MAX}", shown)
                ),
            )
        )
        .drop("local", "utc")
    )


def _iso(frame: pl.DataFrame) -> pl.Expr:
    """Return struct `parsed` of `local` (naive) or, where an offset is given, `utc`."""
    if frame["timestamp_text"].str.contains(_COMMON).all():
        return _common_iso()
    return _any_iso()


def _common_iso() -> pl.Expr:
    text = pl.col("timestamp_text")
    day = text.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    time = text.str.slice(11, 8).str.to_time("%H:%M:%S", strict=False)
    local = day.cast(pl.Datetime("us")) + time.cast(pl.Duration("us")).fill_null(pl.duration())
    has_zone = text.str.contains("[Zz]$")
    return pl.struct(
        local=pl.when(~has_zone).then(local),
        utc=pl.when(has_zone).then(local.dt.replace_time_zone("UTC")),
    ).alias("parsed")


def _any_iso() -> pl.Expr:
    part = pl.col("timestamp_text").str.extract_groups(_ISO).struct

    def number(name: str) -> pl.Expr:
        return part.field(name).cast(pl.Int64).fill_null(0)

    fraction = part.field("fraction").str.pad_end(6, "0").str.slice(0, 6).cast(pl.Int64)
    seconds = (number("hour") * 60 + number("minute")) * 60 + number("second")
    day = part.field("day").str.to_date("%Y-%m-%d", strict=False)
    local = (day.cast(pl.Int64) * _DAY_MICROS + seconds * 1_000_000 + fraction.fill_null(0)).cast(
        pl.Datetime("us")
    )
    offset = part.field("offset")
    digits = offset.str.replace(":", "", literal=True)
    minutes = (
        digits.str.slice(1, 2).cast(pl.Int64, strict=False).fill_null(0) * 60
        + digits.str.slice(3, 2).cast(pl.Int64, strict=False).fill_null(0)
    ) * pl.when(digits.str.starts_with("-")).then(-1).otherwise(1)
    utc = (local - pl.duration(minutes=minutes)).dt.replace_time_zone("UTC")
    return pl.struct(
        local=pl.when(offset.is_null()).then(local), utc=pl.when(offset.is_not_null()).then(utc)
    ).alias("parsed")


def _by_format(name: str) -> pl.Expr:
    text = pl.col("timestamp_text")
    pattern = name.replace(".%f", "%.f")
    nothing = pl.lit(None, pl.Datetime("us"))
    if not re.search("%[HIMSpzf]", name):
        local = _in_range(text.str.to_date(pattern, strict=False).cast(pl.Datetime("us")))
        return pl.struct(local=local, utc=nothing.dt.replace_time_zone("UTC")).alias("parsed")
    parsed = _in_range(text.str.to_datetime(pattern, strict=False, time_unit="us"))
    if "%z" in name:
        return pl.struct(local=nothing, utc=parsed.dt.convert_time_zone("UTC")).alias("parsed")
    return pl.struct(local=parsed, utc=nothing.dt.replace_time_zone("UTC")).alias("parsed")


def _in_range(moment: pl.Expr) -> pl.Expr:
    """Return null for a year that comes from reading two digits as four."""
    return pl.when(moment.dt.year().is_between(YEAR_MIN, YEAR_MAX)).then(moment)


def _first_instant(local: pl.Expr, zone: str) -> pl.Expr:
    """Return the instant of a local time; one that was skipped counts on from the day before."""
    existing = local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    before = (local - pl.duration(days=1)).dt.replace_time_zone(
        zone, ambiguous="earliest", non_existent="null"
    )
    day_later = before.dt.convert_time_zone("UTC") + pl.duration(hours=24)
    return pl.coalesce(existing.dt.convert_time_zone("UTC"), day_later)
