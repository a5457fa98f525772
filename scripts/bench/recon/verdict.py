"""Holds what a run committed against the planted truth, line by line."""

import asyncio
import io
import json
from dataclasses import dataclass
from typing import Any

import asyncpg
import polars as pl

WRONG_SHARE_MAX = 0.001
_LOG = """
SELECT line_no, decision, match_type, internal_reference FROM recon.match_log
WHERE run_id = '{run_id}' ORDER BY line_no
"""
_SUMMARY = "SELECT body::text FROM recon.summaries WHERE run_id = $1"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the planted pairs; `faults` are reasons to distrust the measurement."""

    exact: int
    fuzzy_automatic: int
    fuzzy_suggested: int
    fuzzy: int
    wrong_automatic: int
    faults: tuple[str, ...]

    def sentence(self) -> str:
        return (
            f"{self.exact:,} exact pairs; of {self.fuzzy:,} fuzzy ones {self.fuzzy_automatic:,}"
            f" matched and {self.fuzzy_suggested:,} suggested rightly;"
            f" {self.wrong_automatic:,} automatic matches are wrong"
        )


def judge(url: str, run_id: str, lines: pl.DataFrame) -> Verdict:
    """Return the verdict on a finished run; `lines` are the case's, in the file's order."""
    log, summary = asyncio.run(_committed(url, run_id))
    truth = lines.select("kind", "truth").with_row_index("line_no", offset=2)
    rows = truth.join(log, on="line_no", how="left", maintain_order="left")
    is_right = pl.col("internal_reference").eq_missing(pl.col("truth"))
    is_auto = pl.col("decision") == "auto"
    is_exact, is_fuzzy = pl.col("kind") == "exact", pl.col("kind") == "fuzzy"
    is_suggested = pl.col("decision") == "suggested"
    counts: dict[str, int] = rows.select(
        exact=(is_exact & is_auto & is_right & (pl.col("match_type") == "exact")).sum(),
        planted=is_exact.sum(),
        fuzzy=is_fuzzy.sum(),
        fuzzy_automatic=(is_fuzzy & is_auto & is_right).sum(),
        fuzzy_suggested=(is_fuzzy & is_suggested & is_right).sum(),
        automatic=is_auto.sum(),
        wrong_automatic=(is_auto & ~is_right).sum(),
        undecided=pl.col("decision").null_count(),
    ).row(0, named=True)
    return Verdict(
        exact=counts["exact"],
        fuzzy_automatic=counts["fuzzy_automatic"],
        fuzzy_suggested=counts["fuzzy_suggested"],
        fuzzy=counts["fuzzy"],
        wrong_automatic=counts["wrong_automatic"],
        faults=tuple(_faults(counts, log, summary)),
    )


def _faults(counts: dict[str, int], log: pl.DataFrame, summary: dict[str, Any]) -> list[str]:
    wrong_max = WRONG_SHARE_MAX * counts["automatic"]
    logged = log["decision"].value_counts().rows()
    said = {
        "auto": summary["exact"] + summary["fuzzy"],
        "suggested": summary["suggested"],
        "unmatched": summary["unmatched"],
    }
    checks = {
        "an exact pair was not found": counts["exact"] == counts["planted"],
        "too many automatic matches are wrong": counts["wrong_automatic"] <= wrong_max,
        "a line has no entry in the match log": counts["undecided"] == 0,
        "the equations are not proven": summary["equation"]["proved"] is True,
        "the summary disagrees with the log": dict(logged) == {k: n for k, n in said.items() if n},
    }
    return [fault for fault, holds in checks.items() if not holds]


async def _committed(url: str, run_id: str) -> tuple[pl.DataFrame, dict[str, Any]]:
    connection = await asyncpg.connect(url)
    try:
        csv = io.BytesIO()
        query = _LOG.format(run_id=run_id)
        await connection.copy_from_query(query, output=csv, format="csv", header=True)
        summary = json.loads(await connection.fetchval(_SUMMARY, run_id))
    finally:
        await connection.close()
    return pl.read_csv(csv.getvalue(), schema_overrides={"line_no": pl.UInt32}), summary
