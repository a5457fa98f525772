"""Random histories of every command beside the model; `python -m scripts.simulation` has more."""

import pytest

from scripts.simulation.__main__ import simulate
from scripts.simulation.postings import Postings
from scripts.simulation.world import Broken

STEPS = 2_400
COMMANDS = {
    "CaptureHold",
    "ChangeAccount",
    "ClosePeriod",
    "Exchange",
    "IncreaseHold",
    "OpenAccount",
    "OpenPeriod",
    "PlaceHold",
    "ReleaseHold",
    "Reverse",
    "Transact",
    "Transfer",
}


def test_every_law_holds_in_random_histories_of_every_command() -> None:
    done = simulate(STEPS, seed=7)
    assert sum(done.values()) == STEPS
    assert {name for name, count in done.items() if "refused" not in name and count > 1} == COMMANDS


@pytest.mark.parametrize("forgotten", ["_fits", "_takes", "_meets", "_balances"])
def test_a_rule_that_only_one_of_them_knows_is_found(
    forgotten: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Postings, forgotten, lambda *_: True)
    with pytest.raises(Broken, match="the model says True"):
        simulate(STEPS, seed=7)
