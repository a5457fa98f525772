"""Turns the matcher's rows into what is kept: match-log rows, lines of the run, breaks (pure)."""

from collections.abc import Iterable, Mapping

import polars as pl

from recon_service.domain.history import Change, Disposition, Matches, Members, Side

_COUNTERPARTED = (Disposition.AUTO.value, Disposition.SUGGESTED.value)
_IN_FORCE = (Disposition.AUTO.value, Disposition.NETTED.value)
_SIDES = {"record": Side.EXTERNAL, "item": Side.LEDGER}
# The columns of the match log that tell of a decision, from those of both sides.
_LOGGED = (
    "record_id",
    "line_no",
    "carried",
    "external_id",
    "internal_id",
    "internal_reference",
    (pl.col("decision") == Disposition.AUTO.value).alias("matched"),
    "match_type",
    "match_id",
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


def described(members: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the members (MEMBER_SCHEMA) with `match_type` and `decision` of their match.

    What cancels out on the ledger's side has no record, so no row of the matcher speaks of it.
    """
    told = rows.select("record_id", "match_type", "decision")
    of_match = (
        members.filter(pl.col("side") == "record")
        .join(told, left_on="id", right_on="record_id")
        .select("match_id", "match_type", "decision")
        .unique()
    )
    netted = pl.lit(Disposition.NETTED.value)
    return members.join(of_match, on="match_id", how="left", maintain_order="left").with_columns(
        pl.col("match_type", "decision").fill_null(netted)
    )


def paired(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the matcher's rows that are one-to-one matches, decided or suggested."""
    return rows.filter(pl.col("decision").is_in(_COUNTERPARTED) & (pl.col("match_type") != "group"))


def matches(rows: pl.DataFrame, members: pl.DataFrame) -> Matches:
    """Return who is in a match of each kind; `members` are `described`."""
    pairs = paired(rows)
    items = members.filter(pl.col("side") == "item")

    def of(decision: Disposition) -> Members:
        wanted = pl.col("decision") == decision.value
        claimed = pl.concat(
            [pairs.filter(wanted)["internal_id"], items.filter(wanted)["id"].alias("internal_id")]
        )
        return Members(frozenset(rows.filter(wanted)["record_id"]), frozenset(claimed))

    return Matches(of(Disposition.AUTO), of(Disposition.SUGGESTED), of(Disposition.NETTED))


def in_force(rows: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    """Return the matches to put in force: `record_id`, `internal_id`, `match_id`.

    A pair is one row without a `match_id`. Of other matches the members of both sides stand side
    by side, with nulls where one side has fewer; `members` are `described`.
    """
    pairs = paired(rows).filter(pl.col("decision") == Disposition.AUTO.value)
    numbered = members.filter(pl.col("decision").is_in(_IN_FORCE)).with_columns(
        place=pl.int_range(pl.len()).over("match_id", "side", order_by="id")
    )
    records, items = (
        numbered.filter(pl.col("side") == side).select(
            "match_id", "place", pl.col("id").alias(name)
        )
        for side, name in (("record", "record_id"), ("item", "internal_id"))
    )
    groups = records.join(items, on=("match_id", "place"), how="full", coalesce=True).sort(
        "match_id", "place"
    )
    nothing = pl.lit(None, dtype=pl.String).alias("match_id")
    columns = ("record_id", "internal_id", "match_id")
    return pl.concat([pairs.select("record_id", "internal_id", nothing), groups.select(columns)])


def member_rows(members: pl.DataFrame, records: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """Return the `described` members with what is known of each, as they are kept."""
    return pl.concat(
        [
            facts(
                members.filter(pl.col("side") == name)
                .with_columns(side=pl.lit(side.value))
                .rename({"id": "key"}),
                records,
                items,
                side,
            )
            for name, side in _SIDES.items()
        ]
    )


def log_rows(
    rows: pl.DataFrame,
    members: pl.DataFrame,
    accepted: pl.DataFrame,
    carried: pl.DataFrame,
    items: pl.DataFrame,
) -> pl.DataFrame:
    """Return one match-log row per decided record, in the order of the statement.

    A record carried in from an earlier day gets one only where something was found for it: its
    earlier row still says that it is open. Counterparts are named for auto and suggested rows; a
    record in a match of more than two names the match, and one of its ledger items.
    """
    records = pl.concat(
        [
            accepted.with_columns(carried=pl.lit(value=False)),
            carried.with_columns(carried=pl.lit(value=True)),
        ]
    )
    has_counterpart = pl.col("decision").is_in(_COUNTERPARTED)
    is_found = pl.col("decision") != Disposition.UNMATCHED.value
    match_ids = members.filter(pl.col("side") == "record").select("match_id", record_id="id")
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
        .filter(is_found | ~pl.col("carried"))
        .join(match_ids, on="record_id", how="left", maintain_order="left")
        .join(counterparts, on="internal_id", how="left", maintain_order="left")
        .select(_LOGGED)
    )


def run_lines(
    accepted: pl.DataFrame,
    rejected: pl.DataFrame,
    settled: pl.DataFrame,
    held_by: Mapping[str, str],
) -> pl.DataFrame:
    """Return what became of every line.

    `settled` gives the `class` of each `record_id`; `held_by` names the run that reconciled it
    before.
    """
    holders = pl.DataFrame(
        {"record_id": list(held_by), "held_by_run_id": list(held_by.values())},
        schema=dict.fromkeys(("record_id", "held_by_run_id"), pl.String),
    )
    dispositions = settled.select("record_id", disposition="class").join(
        holders, on="record_id", how="left"
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


def changed(changes: Iterable[Change], side: Side) -> pl.DataFrame:
    """Return the new states of one side: key, state, late."""
    found = [change for change in changes if change.side is side]
    return _changes_frame(found)


def facts(
    keys: pl.DataFrame, records: pl.DataFrame, items: pl.DataFrame, side: Side
) -> pl.DataFrame:
    """Return `keys` (with a column `key`) with what is known of each record or ledger item."""
    common = ("currency", "scale", "amount_minor", "text", "counterparty")
    if side is Side.EXTERNAL:
        known = records.select(
            pl.col("record_id").alias("key"),
            pl.col("external_id").alias("reference"),
            pl.col("booked_on").alias("date"),
            pl.col("occurred_at").alias("at"),
            *common,
            pl.lit(None, dtype=pl.Int64).alias("seq"),
            pl.lit(None, dtype=pl.Datetime("us", "UTC")).alias("recorded_at"),
        )
    else:
        known = items.select(
            pl.col("internal_id").alias("key"),
            "reference",
            pl.col("effective_on").alias("date"),
            pl.col("effective_at").alias("at"),
            *common,
            "seq",
            "recorded_at",
        )
    return keys.join(known, on="key", how="inner", maintain_order="left")


def _changes_frame(found: list[Change]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "key": [change.key for change in found],
            "state": [change.state.value for change in found],
            "late": [change.late for change in found],
        },
        schema={"key": pl.String, "state": pl.String, "late": pl.Boolean},
    )
