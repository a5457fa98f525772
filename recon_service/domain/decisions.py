"""Turns the matcher's rows into what is kept: match-log rows, lines of the run, breaks (pure)."""

from collections.abc import Mapping

import polars as pl

from recon_service.domain.history import Change, Disposition, Settlement, Side

_DECIDED = (Disposition.AUTO.value, Disposition.SUGGESTED.value)


def pairs(rows: pl.DataFrame, decision: Disposition) -> dict[str, str]:
    """Return record -> ledger item for the matcher's rows of one decision."""
    chosen = rows.filter(pl.col("decision") == decision.value)
    return dict(zip(chosen["record_id"], chosen["internal_id"], strict=True))


def log_rows(
    rows: pl.DataFrame, accepted: pl.DataFrame, carried: pl.DataFrame, items: pl.DataFrame
) -> pl.DataFrame:
    """Return one match-log row per decided record, in the order of the statement.

    A record carried in from an earlier day gets one only where something was found for it: its
    earlier row still says that it is open. Counterparts are named for auto and suggested rows.
    """
    records = pl.concat(
        [
            accepted.with_columns(carried=pl.lit(value=False)),
            carried.with_columns(carried=pl.lit(value=True)),
        ]
    )
    has_counterpart = pl.col("decision").is_in(_DECIDED)
    counterparts = items.select(
        "internal_id",
        internal_reference="reference",
        internal_currency="currency",
        internal_scale="scale",
        internal_amount_minor="amount_minor",
        internal_date="effective_on",
        internal_at="effective_at",
        internal_seq="seq",
        internal_recorded_at="recorded_at",
        internal_text="text",
        internal_counterparty="counterparty",
    )
    return (
        rows.with_columns(internal_id=pl.when(has_counterpart).then("internal_id"))
        .join(records, on="record_id", how="inner", maintain_order="left")
        .filter(has_counterpart | ~pl.col("carried"))
        .join(counterparts, on="internal_id", how="left", maintain_order="left")
        .select(
            "record_id",
            "line_no",
            "carried",
            "external_id",
            "internal_id",
            "internal_reference",
            (pl.col("decision") == Disposition.AUTO.value).alias("matched"),
            "match_type",
            "decision",
            "score",
            "cause",
            "reason",
            "evidence",
            pl.col("currency").alias("external_currency"),
            pl.col("scale").alias("external_scale"),
            pl.col("amount_minor").alias("external_amount_minor"),
            "internal_currency",
            "internal_scale",
            "internal_amount_minor",
            "residual_minor",
            pl.col("booked_on").alias("external_date"),
            "internal_date",
            pl.col("occurred_at").alias("external_at"),
            "internal_at",
            "internal_seq",
            "internal_recorded_at",
            pl.col("text").alias("external_text"),
            "internal_text",
            "internal_counterparty",
        )
    )


def run_lines(
    accepted: pl.DataFrame,
    rejected: pl.DataFrame,
    settlement: Settlement,
    held_by: Mapping[str, str],
) -> pl.DataFrame:
    """Return what became of every line; `held_by` names the run that reconciled it before."""
    dispositions = pl.DataFrame(
        {
            "record_id": list(settlement.lines),
            "disposition": [found.value for found in settlement.lines.values()],
            "held_by_run_id": [held_by.get(record) for record in settlement.lines],
        },
        schema=dict.fromkeys(("record_id", "disposition", "held_by_run_id"), pl.String),
    )
    nothing = pl.lit(None, dtype=pl.String)
    read = accepted.join(dispositions, on="record_id", how="left", maintain_order="left").select(
        "line_no",
        "record_id",
        "disposition",
        "held_by_run_id",
        pl.col("offset").alias("byte_offset"),
        nothing.alias("raw"),
        nothing.alias("reason"),
    )
    unread = rejected.select(
        "line_no",
        nothing.alias("record_id"),
        pl.lit("rejected").alias("disposition"),
        nothing.alias("held_by_run_id"),
        pl.col("offset").alias("byte_offset"),
        "raw",
        "reason",
    )
    return pl.concat([read, unread]).sort("line_no")


def changed(settlement: Settlement, side: Side) -> pl.DataFrame:
    """Return the new states of one side: key, state, late."""
    found = [change for change in settlement.changes if change.side is side]
    return _changes_frame(found)


def break_facts(
    changes: pl.DataFrame, records: pl.DataFrame, items: pl.DataFrame, side: Side
) -> pl.DataFrame:
    """Return changes with what a break shows of its record or ledger item."""
    nothing_seq = pl.lit(None, dtype=pl.Int64).alias("seq")
    nothing_at = pl.lit(None, dtype=pl.Datetime("us", "UTC")).alias("recorded_at")
    if side is Side.EXTERNAL:
        facts = records.select(
            pl.col("record_id").alias("key"),
            pl.col("external_id").alias("reference"),
            pl.col("booked_on").alias("date"),
            pl.col("occurred_at").alias("at"),
            "currency",
            "scale",
            "amount_minor",
            "text",
            "counterparty",
            nothing_seq,
            nothing_at,
        )
    else:
        facts = items.select(
            pl.col("internal_id").alias("key"),
            "reference",
            pl.col("effective_on").alias("date"),
            pl.col("effective_at").alias("at"),
            "currency",
            "scale",
            "amount_minor",
            "text",
            "counterparty",
            "seq",
            "recorded_at",
        )
    return changes.join(facts, on="key", how="inner", maintain_order="left")


def _changes_frame(found: list[Change]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "key": [change.key for change in found],
            "state": [change.state.value for change in found],
            "late": [change.late for change in found],
        },
        schema={"key": pl.String, "state": pl.String, "late": pl.Boolean},
    )
