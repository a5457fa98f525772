"""The fees that a bank or provider keeps, as exact rules per currency: declared or learned."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from recon_service.domain.config import FEE_PERCENT_DECIMALS_MAX, FeeRule, Policy

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

SLACK_MINOR = 1
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Schedule:
    """A fee of `rate_micros` millionths of the gross amount plus `fixed_minor`.

        net = gross - round_half_even(gross * rate) - fixed

    Only money that arrives is charged: refunds are paid out in full. Of a learned schedule,
    `support` differences were seen, and `explained` of them agree to one minor unit.
    """

    rate_micros: int = 0
    fixed_minor: int = 0
    support: int = 0
    explained: int = 0

    def fee_minor(self, gross_minor: Ints) -> Ints:
        """Return the fee on each gross amount, never negative."""
        fee = share(np.maximum(gross_minor, 0), self.rate_micros) + self.fixed_minor
        charged: Ints = np.where(gross_minor > 0, fee, 0)
        return charged

    def net_minor(self, gross_minor: Ints) -> Ints:
        """Return each gross amount less its fee."""
        net: Ints = gross_minor - self.fee_minor(gross_minor)
        return net


def explained_by(schedule: Schedule, gross_minor: Ints, net_minor: Ints) -> Flags:
    """Return per pair whether the rule explains its difference to one minor unit."""
    left_over = schedule.net_minor(gross_minor) - net_minor
    charged = schedule.fee_minor(gross_minor) > 0
    explained: Flags = charged & (np.abs(left_over) <= SLACK_MINOR) & (net_minor > 0)
    return explained


@dataclass(frozen=True, slots=True)
class Fees:
    """The schedules of a run by currency; a currency has either a declared or a learned one."""

    declared: Mapping[str, Schedule] = field(default_factory=dict)
    learned: Mapping[str, Schedule] = field(default_factory=dict)

    @classmethod
    def of(cls, policy: Policy, records: pl.DataFrame) -> "Fees":
        """Return the declared rules for the currencies of `records`, which tell the scales."""
        if not policy.fees:
            return cls()
        rules = {rule.currency: rule for rule in policy.fees}
        scales = records.select("currency", "scale").unique().sort("currency")
        return cls(
            {
                code: Schedule(rule.rate_micros, rule.fixed_minor(scale))
                for code, scale in scales.iter_rows()
                if (rule := rules.get(code, rules.get(None))) is not None
            }
        )

    @property
    def schedules(self) -> dict[str, Schedule]:
        """Return the schedule of each currency that has one, in the order of their codes."""
        return dict(sorted({**self.learned, **self.declared}.items()))

    def net_minor(self, currency: pl.Series, gross_minor: Ints) -> Ints:
        """Return each amount less the fee of its currency, if there is one."""
        net = gross_minor.copy()
        for code, schedule in self.schedules.items():
            rows = (currency == code).to_numpy()
            net[rows] = schedule.net_minor(gross_minor[rows])
        return net

    def explain(self, currency: pl.Series, gross_minor: Ints, net_minor: Ints) -> Flags:
        """Return per pair whether the fee of its currency explains its difference."""
        explained = np.zeros(len(gross_minor), np.bool_)
        for code, schedule in self.schedules.items():
            rows = (currency == code).to_numpy()
            explained[rows] = explained_by(schedule, gross_minor[rows], net_minor[rows])
        return explained


@dataclass(frozen=True, slots=True)
class FeeOffer:
    """A learned schedule, as the exact rule that a source may declare."""

    currency: str
    schedule: Schedule
    rule: FeeRule

    @classmethod
    def of(cls, currency: str, schedule: Schedule, scale: int) -> "FeeOffer":
        """Write a schedule as a rule, its fixed part in units of the currency."""
        return cls(currency, schedule, as_rule(currency, schedule, scale))


def offers(fees: Fees, records: pl.DataFrame) -> tuple[FeeOffer, ...]:
    """Return what was learned, in the order of currencies; `records` tell the scales."""
    if not fees.learned:
        return ()
    scales = dict(records.select("currency", "scale").unique().iter_rows())
    learned = sorted(fees.learned.items())
    return tuple(FeeOffer.of(code, schedule, scales[code]) for code, schedule in learned)


def declaring_patch(policy: Policy, offered: tuple[FeeOffer, ...]) -> dict[str, Any]:
    """Return the JSON merge patch of a source that declares the offers beside its own rules.

    A merge patch replaces a list as a whole, so the rules that are declared already stand first.
    """
    known = {rule.currency for rule in policy.fees}
    rules = [*policy.fees, *(offer.rule for offer in offered if offer.currency not in known)]
    return {"policy": {"fees": [rule.model_dump(mode="json") for rule in rules]}}


def as_rule(currency: str, schedule: Schedule, scale: int) -> FeeRule:
    """Return a schedule as the rule that a policy declares."""
    percent = Decimal(schedule.rate_micros).scaleb(-FEE_PERCENT_DECIMALS_MAX).normalize()
    fixed = Decimal(schedule.fixed_minor).scaleb(-scale)
    return FeeRule(currency=currency, percent=f"{percent:f}", fixed=f"{fixed:f}")


def share(size: Ints, rate_micros: Ints | int) -> Ints:
    """Return size * rate, rounded half to even; exact, whatever the size (not negative)."""
    whole, rest = size // _MILLION, size % _MILLION
    below = whole * rate_micros + rest * rate_micros // _MILLION
    part = rest * rate_micros % _MILLION
    is_up = (part * 2 > _MILLION) | ((part * 2 == _MILLION) & (below % 2 == 1))
    rounded: Ints = below + is_up
    return rounded
