"""A run that cannot prove where every line and item went names the equation that fails."""

from dataclasses import replace

import pytest

from recon_service.domain.equation import (
    Bucket,
    Carried,
    Items,
    Lines,
    Tied,
    Ties,
    failures,
    terms,
)
from recon_service.domain.summary import sentence


def usd(count: int, minor: int) -> Bucket:
    return Bucket(count, {"USD": minor})


NONE = Bucket()
LINES = Lines(
    lines=5,
    rejected=1,
    accepted=usd(4, 100),
    auto=usd(1, 70),
    suggested=usd(1, 20),
    unmatched=usd(1, 7),
    netted=NONE,
    already_reconciled=usd(1, 3),
)
CARRIED = Carried(records=usd(1, 5), auto=NONE, suggested=NONE, unmatched=usd(1, 5), netted=NONE)
ITEMS = Items(
    read=usd(5, 500),
    matched=usd(1, 70),
    suggested=usd(1, 20),
    timing=usd(1, 10),
    unmatched=usd(1, 100),
    netted=NONE,
    another_day=usd(1, 300),
)


PAIR = Tied(pairs=1)
TIES = Ties(PAIR, PAIR, Tied(), compared={"USD": 70}, differences={"USD": 0})


def test_it_holds_where_every_thing_is_in_one_bucket() -> None:
    assert not failures(terms(LINES, CARRIED, ITEMS, TIES))


@pytest.mark.parametrize(
    ("lines", "items", "said"),
    [
        (replace(LINES, lines=6), ITEMS, "lines = accepted + rejected does not hold: 6 is not 5"),
        (
            replace(LINES, unmatched=usd(1, 8)),
            ITEMS,
            "accepted = auto + suggested + unmatched + netted + already reconciled does not hold:"
            " 100 is not 101 minor units of USD",
        ),
        (
            LINES,
            replace(ITEMS, timing=NONE),
            "items read = matched + suggested + timing + unmatched + netted + another day"
            " does not hold: 5 is not 4",
        ),
    ],
)
def test_what_does_not_add_up_is_said(lines: Lines, items: Items, said: str) -> None:
    first, *_ = failures(terms(lines, CARRIED, items, TIES))
    assert sentence(first) == said


def test_a_record_matched_without_its_item_is_found() -> None:
    lost = replace(ITEMS, matched=NONE, timing=usd(2, 80))
    names = [term.name for term in failures(terms(LINES, CARRIED, lost, TIES))]
    assert names == [
        "items matched = in pairs + in groups",
        "records matched = items matched + differences",
    ]


GROUPED = replace(LINES, auto=usd(2, 70), unmatched=NONE, accepted=usd(4, 93))
NETTED = replace(LINES, netted=usd(2, 0), accepted=usd(6, 100), lines=7)


@pytest.mark.parametrize(
    ("lines", "ties", "broken"),
    [
        (GROUPED, replace(TIES, auto=Tied(records=2, items=1)), []),
        (
            GROUPED,
            replace(TIES, auto=Tied(records=1, items=1)),
            ["records matched = in pairs + in groups"],
        ),
        (
            LINES,
            replace(TIES, differences={"USD": -1}),
            ["records matched = items matched + differences"],
        ),
        (NETTED, replace(TIES, netted=Tied(records=2)), []),
        (
            replace(NETTED, netted=usd(2, 1), unmatched=usd(1, 6)),
            replace(TIES, netted=Tied(records=2)),
            ["records netted = 0"],
        ),
    ],
)
def test_groups_and_netted_lines_are_proven_by_count_and_value(
    lines: Lines, ties: Ties, broken: list[str]
) -> None:
    assert [term.name for term in failures(terms(lines, CARRIED, ITEMS, ties))] == broken
