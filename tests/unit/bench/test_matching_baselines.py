"""The matching bench's baselines keep to the policy, and to one record per item."""

from scripts.bench.matching.baselines import first_match, gated, greedy, greedy_weights
from scripts.bench.matching.generator import Case, generate
from scripts.bench.matching.metrics import Tally
from scripts.bench.matching.tables import equal_rate


def test_gated_pairs_are_those_that_the_policy_allows() -> None:
    case = generate("fees_fx", rows=120, seed=5)
    found = gated(case, case.policy).select("record_id", "internal_id").rows()
    assert len(found) > 50
    assert sorted(found) == sorted(_brute_force(case))


def test_greedy_takes_the_best_first_and_each_line_once() -> None:
    scored = [(0.9, "a", "x"), (0.8, "a", "y"), (0.7, "b", "x"), (0.6, "b", "y"), (0.4, "c", "z")]
    matches = greedy(scored, auto=0.8, suggested=0.5)
    assert [(m.record_ids[0], m.item_ids[0], m.decision) for m in matches] == [
        ("a", "x", "auto"),
        ("b", "y", "suggested"),
    ]


def test_baselines_claim_no_line_twice() -> None:
    case = generate("mixed", rows=200, seed=5)
    for baseline in (first_match, greedy_weights):
        matches = baseline(case).matches
        assert len(matches) > 20
        assert len({m.record_ids for m in matches}) == len(matches)
        assert len({m.item_ids for m in matches}) == len(matches)


def test_precision_is_compared_at_a_rate_that_both_reach() -> None:
    ours = Tally(records=10, auto_records=4, curve=[(1.0, 4, True)])
    theirs = Tally(records=10, auto_records=1, curve=[(0.9, 1, True), (0.8, 1, False)])
    assert equal_rate(ours, theirs) == (0.2, 1.0, 0.5)


def _brute_force(case: Case) -> list[tuple[str, str]]:
    tolerance, window = case.policy.amount_tolerance, case.policy.window
    found = []
    for record in case.records.iter_rows(named=True):
        for item in case.items.iter_rows(named=True):
            lag = (record["booked_on"] - item["effective_on"]).days
            distance = abs(record["amount_minor"] - item["amount_minor"])
            is_near = distance <= tolerance.absolute_minor(
                record["scale"]
            ) or distance * 100_000_000 <= tolerance.percent_micros * abs(item["amount_minor"])
            if (
                is_near
                and -window.before_days <= lag <= window.after_days
                and record["currency"] == item["currency"]
            ):
                found.append((record["record_id"], item["internal_id"]))
    return found
