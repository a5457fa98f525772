"""The named scenarios: what a source is like, and the policy a finance team states for it.

Every rate that has no remark is measured, from 8,611 real statement lines and 2,082 real pairs
with references; "assumed" marks what nobody has published.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from recon_service.domain.config import AmountTolerance, Policy, Window

# What goes through several hands, such as cheques and card settlements abroad (assumed).
SLOW_LAG = {0: 0.2, 1: 0.2, 2: 0.15, 3: 0.1, 5: 0.1, 7: 0.1, 10: 0.07, 15: 0.05, 25: 0.03}
# Calendar days from booking to statement, before the bank's weekend moves it to Monday.
SETTLEMENT_LAG = {0: 0.60, 1: 0.21, 2: 0.02, 3: 0.088, 4: 0.01, 5: 0.06, 6: 0.01, -1: 0.002}


@dataclass(frozen=True, slots=True)
class Ids:
    """Where our reference appears on the statement, as weights; else the bank has its own ids."""

    external_id: float = 0.35  # as end-to-end id (assumed)
    text: float = 0.50  # assumed
    both: float = 0.15  # assumed
    nowhere: float = 0.0


@dataclass(frozen=True, slots=True)
class ReferenceNoise:
    """What happens to a reference; shapes as published generators have, rates assumed."""

    reformatted: float = 0.20
    transposed: float = 0.01
    substituted: float = 0.005
    truncated: float = 0.05  # to the 16 characters of MT940's :61: field or 35 of SEPA
    missing: float = 0.15
    wrong: float = 0.003  # somebody else's


@dataclass(frozen=True, slots=True)
class NameNoise:
    """What the bank makes of a name; shapes as published generators have, rates assumed."""

    absent: float = 0.25  # the source has no such field for this line
    truncated: float = 0.60  # to what fits: 18, 27 or 35 characters, one length per bank
    suffix_dropped: float = 0.35
    clearing_house: float = 0.08
    reordered: float = 0.10


@dataclass(frozen=True, slots=True)
class AmountNoise:
    """How far the bank's amount may lie from ours."""

    cross_border: float = 0.0  # share of parties
    domestic_differs: float = 0.005
    net_of_fee: float = 0.0  # share of parties whose money comes less a fee per line (Stripe model)
    remittance_net: float = 0.0048


@dataclass(frozen=True, slots=True)
class Shapes:
    """Shares of the economic events that are not one line on each side (assumed where > 0)."""

    payouts: float = 0.0
    remittances: float = 0.0
    splits: float = 0.0
    reversals: float = 0.005
    netted_in_bank: float = 0.0
    netted_in_ledger: float = 0.0
    resent: float = 0.0
    double_booked: float = 0.002
    genuine_twins: float = 0.0095  # 82 of 8,611 lines
    pending: float = 0.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of source, of any size; `rows` counts economic events."""

    name: str
    story: str
    policy: Policy
    days: int = 45
    ids: Ids = Ids()
    references: ReferenceNoise = ReferenceNoise()
    names: NameNoise = NameNoise()
    amounts: AmountNoise = AmountNoise()
    shapes: Shapes = Shapes()
    missing_in_ledger: float = 0.02
    missing_in_bank: float = 0.02
    recurring: float = 0.10
    list_prices: float = 0.20
    currencies: Mapping[str, float] = field(default_factory=lambda: {"EUR": 1.0})
    lag: Mapping[int, float] = field(default_factory=lambda: SETTLEMENT_LAG)
    is_signed: bool = True  # False: whole transactions are compared, which have no direction
    names_anybody: bool = True  # False: the statement holds the payer's words and no more


_CENT = AmountTolerance(absolute="0.05")
_WEEK = Window(before_days=1, after_days=7)
_USUAL = Policy(amount_tolerance=_CENT, window=_WEEK)
_CLEAN_REFERENCES = ReferenceNoise(0.0, 0.0, 0.0, 0.0, 0.01, 0.0)
_ONE_TO_ONE = Shapes(reversals=0.0)

_BASE = Scenario(
    "missing_10",
    "one line each, 10 % of each side alone; references as banks pass them on",
    _USUAL,
    shapes=_ONE_TO_ONE,
    missing_in_ledger=0.10,
    missing_in_bank=0.10,
)

SCENARIOS: Mapping[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        replace(
            _BASE,
            name="clean_ids",
            story="the bank returns our reference as its transaction id",
            ids=Ids(1.0, 0.0, 0.0, 0.0),
            references=_CLEAN_REFERENCES,
            missing_in_ledger=0.02,
            missing_in_bank=0.02,
        ),
        replace(
            _BASE,
            name="reference_in_text",
            story="the bank has its own ids; our reference stands somewhere in its text",
            ids=Ids(0.0, 1.0, 0.0, 0.0),
            missing_in_ledger=0.05,
            missing_in_bank=0.05,
        ),
        replace(
            _BASE,
            name="no_ids",
            story="no reference at all: amount, day, and who it was",
            ids=Ids(0.0, 0.0, 0.0, 1.0),
            missing_in_ledger=0.05,
            missing_in_bank=0.05,
        ),
        replace(
            _BASE,
            name="fees_fx",
            story="a third of the parties abroad, a sixth paid net of a card fee",
            policy=Policy(
                amount_tolerance=AmountTolerance(absolute="0.50", percent="4"), window=_WEEK
            ),
            amounts=AmountNoise(cross_border=0.33, net_of_fee=0.17),
            missing_in_ledger=0.05,
            missing_in_bank=0.05,
        ),
        replace(
            _BASE,
            name="recurring",
            story="two thirds are equal amounts of the same parties every week or month",
            days=120,
            ids=Ids(0.15, 0.25, 0.1, 0.5),
            recurring=0.66,
            missing_in_ledger=0.05,
            missing_in_bank=0.05,
        ),
        _BASE,
        replace(
            _BASE,
            name="missing_50",
            story="half of each side alone",
            missing_in_ledger=0.50,
            missing_in_bank=0.50,
        ),
        replace(
            _BASE,
            name="payouts",
            story="payment providers pay batches out, with and without a batch id, less fees",
            policy=Policy(
                amount_tolerance=AmountTolerance(absolute="0.05", percent="4"), window=_WEEK
            ),
            shapes=Shapes(payouts=0.06, reversals=0.0),
            missing_in_ledger=0.03,
            missing_in_bank=0.03,
        ),
        replace(
            _BASE,
            name="splits",
            story="invoices paid in parts, and several invoices paid at once",
            shapes=Shapes(splits=0.10, remittances=0.10, reversals=0.0),
            missing_in_ledger=0.03,
            missing_in_bank=0.03,
        ),
        replace(
            _BASE,
            name="reversals_duplicates",
            story="returns, chargebacks, cancelled bookings, lines sent or booked twice, pending",
            policy=Policy(amount_tolerance=_CENT, window=Window(before_days=1, after_days=7)),
            shapes=Shapes(
                reversals=0.04,
                netted_in_bank=0.03,
                netted_in_ledger=0.03,
                resent=0.02,
                double_booked=0.02,
                genuine_twins=0.02,
                pending=0.01,
            ),
            missing_in_ledger=0.03,
            missing_in_bank=0.03,
        ),
        replace(
            _BASE,
            name="mixed",
            story="all of it in usual shares, in four currencies",
            policy=Policy(
                amount_tolerance=AmountTolerance(absolute="0.05", percent="3"), window=_WEEK
            ),
            ids=Ids(0.3, 0.4, 0.1, 0.2),
            amounts=AmountNoise(cross_border=0.05, net_of_fee=0.03),
            shapes=Shapes(
                payouts=0.01,
                remittances=0.02,
                splits=0.02,
                netted_in_bank=0.005,
                netted_in_ledger=0.005,
                resent=0.005,
                pending=0.01,
            ),
            missing_in_ledger=0.05,
            missing_in_bank=0.05,
            currencies={"EUR": 0.6, "USD": 0.2, "GBP": 0.15, "JPY": 0.05},
        ),
        replace(
            _BASE,
            name="wide_window",
            story="slow money, most of it from abroad, few references, a month's window, 10 %",
            policy=Policy(
                amount_tolerance=AmountTolerance(absolute="1.00", percent="10"),
                window=Window(before_days=2, after_days=31),
            ),
            days=120,
            ids=Ids(0.0, 0.4, 0.0, 0.6),
            amounts=AmountNoise(cross_border=0.7),
            missing_in_ledger=0.05,
            missing_in_bank=0.05,
            lag=SLOW_LAG,
        ),
        replace(
            _BASE,
            name="bare",
            story="no names and no direction: amount, day and the payer's few words",
            ids=Ids(0.1, 0.5, 0.0, 0.4),
            missing_in_ledger=0.05,
            missing_in_bank=0.05,
            is_signed=False,
            names_anybody=False,
        ),
    )
}
