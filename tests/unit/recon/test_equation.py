"""A run that cannot prove where every line and item went names the equation that fails."""

from dataclasses import replace

import pytest

from recon_service.domain.equation import Bucket, Carried, Items, Lines, failures, terms
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
    already_reconciled=usd(1, 3),
)
CARRIED = Carried(records=usd(1, 5), auto=NONE, suggested=NONE, unmatched=usd(1, 5))
ITEMS = Items(
    read=usd(5, 500),
    matched=usd(1, 70),
    suggested=usd(1, 20),
    timing=usd(1, 10),
    unmatched=usd(1, 100),
    another_day=usd(1, 300),
)


def test_it_holds_where_every_thing_is_in_one_bucket() -> None:
    assert not failures(terms(LINES, CARRIED, ITEMS))


@pytest.mark.parametrize(
    ("lines", "items", "said"),
    [
        (replace(LINES, lines=6), ITEMS, "lines = accepted + rejected does not hold: 6 is not 5"),
        (
            replace(LINES, unmatched=usd(1, 8)),
            ITEMS,
            "accepted = auto + suggested + unmatched + already reconciled does not hold:"
            " 100 is not 101 minor units of USD",
        ),
        (
            LINES,
            replace(ITEMS, timing=NONE),
            "items read = matched + suggested + timing + unmatched + another day does not hold:"
            " 5 is not 4",
        ),
    ],
)
def test_what_does_not_add_up_is_said(lines: Lines, items: Items, said: str) -> None:
    first, *_ = failures(terms(lines, CARRIED, items))
    assert sentence(first) == said


def test_a_record_matched_without_its_item_is_found() -> None:
    lost = replace(ITEMS, matched=NONE, timing=usd(2, 80))
    names = [term.name for term in failures(terms(LINES, CARRIED, lost))]
    assert names == ["records matched = items matched"]
