"""A second one-to-one round over what is left: the ledger's amounts less their fees."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl

from recon_service.domain.config import AmountTolerance, Policy
from recon_service.domain.records import OUTCOME_SCHEMA
from recon_service.matchers.explain import compact, money
from recon_service.matchers.fee_pairs import fee_words, left_over
from recon_service.matchers.fees import Fees, Schedule
from recon_service.matchers.fuzzy import FuzzyMatcher
from recon_service.matchers.sides import Sides
from recon_service.matchers.verdicts import fuzzy_rows
from recon_service.matchers.weights import Weights

# Decimals that a tolerance can have; beyond them amounts must be equal.
_SCALE_MAX = 8


def with_net_pairs(
    one_to_one: pl.DataFrame,
    open_sides: Sides,
    whole: Sides,
    policy: Policy,
    *,
    rarity: pl.DataFrame,
    fees: Fees,
    weights: Weights,
) -> pl.DataFrame:
    """Return OUTCOME_SCHEMA of the one-to-one pass, with pairs by net amount for the unmatched.

    The fee is exact, so the net amount agrees to one minor unit; evidence decides as ever. A fee
    that is merely learned never makes an automatic match.
    """
    left = left_over(open_sides, one_to_one.filter(pl.col("decision") != "unmatched"))
    found = [OUTCOME_SCHEMA.to_frame()]
    for code, schedule in fees.schedules.items():
        records, items = (
            side.filter(pl.col("currency") == code, pl.col("amount_minor") > 0)
            for side in (left.records, left.items)
        )
        gross = items["amount_minor"]
        net = pl.Series("amount_minor", schedule.net_minor(gross.to_numpy()))
        items = items.with_columns(net, gross_minor=gross).filter(
            pl.col("amount_minor") > 0, pl.col("amount_minor") < pl.col("gross_minor")
        )
        if records.is_empty() or items.is_empty():
            continue
        scale = int(records["scale"][0])
        exact = policy.model_copy(update={"amount_tolerance": _one_unit(scale)})
        gross_of = dict(items.select("id", "gross_minor").iter_rows())
        nets = Sides(records, items.drop("gross_minor"))
        fuzzy = FuzzyMatcher(exact, weights).match(nets, whole, rarity)
        rows = fuzzy_rows(fuzzy, records, None, exact)
        told = _Told(schedule, scale, fee_words(code, schedule, scale), code in fees.declared)
        found.append(told.of(rows.filter(pl.col("decision") != "unmatched"), gross_of))
    matched = pl.concat(found)
    return pl.concat([one_to_one.join(matched, on="record_id", how="anti"), matched])


@dataclass(frozen=True, slots=True)
class _Told:
    """Tells gross, fee and net of matched rows."""

    schedule: Schedule
    scale: int
    rule: str
    is_declared: bool

    def of(self, rows: pl.DataFrame, gross_minor: Mapping[str, int]) -> pl.DataFrame:
        told = [self._row(row, gross_minor[row["internal_id"]]) for row in rows.to_dicts()]
        return pl.DataFrame(told, schema=OUTCOME_SCHEMA)

    def _row(self, row: dict[str, Any], gross_minor: int) -> dict[str, Any]:
        fee = int(self.schedule.fee_minor(np.array([gross_minor]))[0])
        taken = {"gross_minor": gross_minor, "fee_minor": fee, "net_minor": gross_minor - fee}
        evidence = json.loads(row["evidence"]) | {"fee": {"rule": self.rule} | taken}
        reason = (
            f"{row['reason']}; compared with {money(gross_minor, self.scale)} less a fee of"
            f" {money(fee, self.scale)} ({self.rule})"
        )
        if not self.is_declared:
            reason += "; not automatic: the fee is learned, not declared"
        return row | {
            "decision": row["decision"] if self.is_declared else "suggested",
            "residual_minor": row["residual_minor"] - fee,
            "cause": "fee",
            "evidence": compact(evidence),
            "reason": reason,
        }


def _one_unit(scale: int) -> AmountTolerance:
    one = Decimal(1).scaleb(-scale) if scale <= _SCALE_MAX else Decimal(0)
    return AmountTolerance(absolute=f"{one:f}")
