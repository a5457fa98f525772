"""How good a prediction is: pairs, whole groups, what is done automatically, and calibration."""

import math
from collections import Counter
from dataclasses import dataclass, field

from scripts.bench.matching.generator import Case
from scripts.bench.matching.identifiable import Readers
from scripts.bench.matching.prediction import Match, Prediction
from scripts.bench.matching.truths import Signature, Truth, reachable_pairs

_Z = 1.959964  # two-sided 95 %
BINS = 10
SHAPE_COUNTS = ("groups", "whole", "automatic", "identifiable", "identifiable_whole")


@dataclass(frozen=True, slots=True)
class Judged:
    """A match and whether it is right: whole and exactly, equal lines taken for one another."""

    match: Match
    is_right: bool

    @property
    def is_single(self) -> bool:
        """Tell whether this is one record with one item."""
        return len(self.match.record_ids) == len(self.match.item_ids) == 1


@dataclass(slots=True)
class Tally:
    """Counts that add up over seeds; every published figure is a ratio of them."""

    records: int = 0
    matchable: int = 0
    value: float = 0.0
    true_pairs: int = 0
    claimed_pairs: int = 0
    right_pairs: int = 0
    reachable: tuple[int, int] = (0, 0)
    auto_records: int = 0
    auto_matchable: int = 0
    auto_value: float = 0.0
    auto: int = 0
    auto_right: int = 0
    auto_groups: int = 0
    auto_groups_wrong: int = 0
    wrong_value: float = 0.0
    interchanged: int = 0
    reviewed: int = 0
    hits_1: int = 0
    hits_3: int = 0
    shapes: dict[str, list[int]] = field(default_factory=dict)  # kind: counts, see SHAPE_COUNTS
    bins: list[list[float]] = field(default_factory=lambda: [[0, 0.0, 0] for _ in range(BINS)])
    curve: list[tuple[float, int, bool]] = field(default_factory=list)  # score, records, right
    seconds: float = 0.0

    def add(self, other: "Tally") -> None:
        """Add another seed's counts."""
        for name in self.__slots__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if name == "shapes":
                for kind, counts in theirs.items():
                    own = mine.setdefault(kind, [0] * len(counts))
                    mine[kind] = [a + b for a, b in zip(own, counts, strict=True)]
            elif name == "bins":
                self.bins = [
                    [a + b for a, b in zip(one, two, strict=True)]
                    for one, two in zip(mine, theirs, strict=True)
                ]
            elif name == "reachable":
                self.reachable = (mine[0] + theirs[0], mine[1] + theirs[1])
            else:
                setattr(self, name, mine + theirs)


def measure(case: Case, prediction: Prediction) -> Tally:
    """Compare a prediction with the truth of its case."""
    truth = Truth.of(case)
    judged = judge(truth, prediction)
    tally = Tally(records=case.records.height, seconds=prediction.seconds)
    tally.matchable = sum(len(group.record_ids) for group in truth.groups if group.kind != "none")
    tally.value = sum(truth.value.values())
    tally.reachable = reachable_pairs(case)
    _count_pairs(tally, truth, prediction)
    _count_automatic(tally, truth, judged)
    _count_shapes(tally, truth, prediction, Readers(case))
    _count_hits(tally, truth, prediction)
    _fill_bins(tally, truth, prediction)
    tally.curve = [(j.match.score, len(j.match.record_ids), j.is_right) for j in judged]
    return tally


def judge(truth: Truth, prediction: Prediction) -> list[Judged]:
    """Tell of each match whether it is right; the surest first, and each truth once."""
    left = truth.signatures()
    result = []
    for match in sorted(
        prediction.matches,
        key=lambda m: (m.decision != "auto", -m.score, m.record_ids, m.item_ids),
    ):
        signature = truth.signature(match.record_ids, match.item_ids)
        is_right = left[signature] > 0
        left[signature] -= is_right
        result.append(Judged(match, is_right))
    return result


def figures(tally: Tally) -> dict[str, float | None]:
    """Return the published figures as shares between 0 and 1."""
    precision = _share(tally.right_pairs, tally.claimed_pairs)
    recall = _share(tally.right_pairs, tally.true_pairs)
    both = (precision or 0) + (recall or 0)
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * (precision or 0) * (recall or 0) / both if both else 0.0,
        "reachable": _share(*tally.reachable),
        "auto_rate": _share(tally.auto_records, tally.records),
        "auto_rate_of_matchable": _share(tally.auto_matchable, tally.matchable),
        "auto_rate_by_value": _share(tally.auto_value, tally.value),
        "auto_precision": _share(tally.auto_right, tally.auto),
        "auto_precision_low": wilson_low(tally.auto_right, tally.auto),
        "wrong_groups": _share(tally.auto_groups_wrong, tally.auto_groups),
        "wrong_value": _share(tally.wrong_value, tally.auto_value),
        "hit_at_1": _share(tally.hits_1, tally.reviewed),
        "hit_at_3": _share(tally.hits_3, tally.reviewed),
        "ece": calibration_error(tally),
    }


def wilson_low(right: int, total: int) -> float | None:
    """Return the lower end of Wilson's 95 % interval of a share."""
    if total == 0:
        return None
    share, z2 = right / total, _Z * _Z
    middle = share + z2 / (2 * total)
    spread = _Z * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    return (middle - spread) / (1 + z2 / total)


def calibration_error(tally: Tally) -> float | None:
    """Return the mean distance between score and share of right ones, weighed by bin."""
    total = sum(count for count, _, _ in tally.bins)
    if not total:
        return None
    return sum(abs(score - right) for count, score, right in tally.bins if count) / total


def at_rate(tally: Tally, records: int) -> float | None:
    """Return the precision of the surest matches that cover `records` records.

    Matches of one score cannot be told apart: a block of them counts with its average.
    """
    blocks: dict[float, list[int]] = {}
    for score, size, is_right in tally.curve:
        block = blocks.setdefault(score, [0, 0, 0])
        block[0] += size
        block[1] += 1
        block[2] += is_right
    covered, matches, right = 0, 0.0, 0.0
    for score in sorted(blocks, reverse=True):
        size, count, good = blocks[score]
        part = min(1.0, (records - covered) / size)
        matches, right = matches + part * count, right + part * good
        covered += size
        if covered >= records:
            break
    return right / matches if matches else None


def _count_pairs(tally: Tally, truth: Truth, prediction: Prediction) -> None:
    true = truth.pairs(truth.true_groups())
    claimed = truth.pairs([(m.record_ids, m.item_ids) for m in prediction.matches])
    tally.true_pairs, tally.claimed_pairs = true.total(), claimed.total()
    tally.right_pairs = (true & claimed).total()


def _count_automatic(tally: Tally, truth: Truth, judged: list[Judged]) -> None:
    alone = {id_ for g in truth.groups if g.kind == "none" for id_ in g.record_ids}
    for one in judged:
        match = one.match
        if match.decision != "auto":
            continue
        value = sum(truth.value[id_] for id_ in match.record_ids)
        literal = tuple(sorted(match.record_ids)), tuple(sorted(match.item_ids))
        tally.auto += 1
        tally.auto_records += len(match.record_ids)
        tally.auto_matchable += sum(id_ not in alone for id_ in match.record_ids)
        tally.auto_value += value
        tally.auto_right += one.is_right
        tally.interchanged += one.is_right and literal not in truth.literal
        tally.wrong_value += 0.0 if one.is_right else value
        tally.auto_groups += not one.is_single
        tally.auto_groups_wrong += not one.is_single and not one.is_right


def _count_shapes(tally: Tally, truth: Truth, prediction: Prediction, readers: Readers) -> None:
    claimed: Counter[Signature] = Counter()
    automatic: Counter[Signature] = Counter()
    for match in prediction.matches:
        signature = truth.signature(match.record_ids, match.item_ids)
        claimed[signature] += 1
        automatic[signature] += match.decision == "auto"
    for group in truth.groups:
        if group.kind == "none":
            continue
        counts = tally.shapes.setdefault(group.kind, [0] * len(SHAPE_COUNTS))
        signature = truth.signature(group.record_ids, group.item_ids)
        counts[0] += 1
        counts[1] += claimed[signature] > 0
        counts[2] += automatic[signature] > 0
        if group.kind != "1-1" and readers.can_tell(group.record_ids, group.item_ids):
            counts[3] += 1
            counts[4] += claimed[signature] > 0
        claimed[signature] -= 1
        automatic[signature] -= 1


def _count_hits(tally: Tally, truth: Truth, prediction: Prediction) -> None:
    """Look at what is left to people: records with a counterpart that were not automatic."""
    done = {id_ for m in prediction.matches if m.decision == "auto" for id_ in m.record_ids}
    ranked = {one.record_id: one.item_ids for one in prediction.ranked}
    if not ranked:
        return
    for group in truth.groups:
        wanted = {truth.item_class[id_] for id_ in group.item_ids}
        for record in group.record_ids:
            if not wanted or record in done:
                continue
            found = [truth.item_class[id_] in wanted for id_ in ranked.get(record, ())[:3]]
            tally.reviewed += 1
            tally.hits_1 += any(found[:1])
            tally.hits_3 += any(found)


def _fill_bins(tally: Tally, truth: Truth, prediction: Prediction) -> None:
    if not prediction.scores_are_probabilities:
        return
    true = truth.pairs(truth.true_groups())
    for one in prediction.ranked:
        if one.score is None or not one.item_ids:
            continue
        pair = truth.record_class[one.record_id], truth.item_class[one.item_ids[0]]
        cell = tally.bins[min(int(one.score * BINS), BINS - 1)]
        cell[0] += 1
        cell[1] += one.score
        cell[2] += true[pair] > 0


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
