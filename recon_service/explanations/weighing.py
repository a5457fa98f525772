"""How stored evidence adds up: bits from the prior over each feature to the probability.

prior ─▶ features ─▶ all evidence (odds) ─▶ rivals of the record ─▶ rivals of the item ─▶ log-odds

The probability is odds / (odds + (1 + record rivals) * (1 + item rivals)). In bits that is a sum:
rivals take away log2(1 + their odds), and what is left is the log-odds of the probability. So one
waterfall shows all of it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import log2
from typing import Any

FORMULA = "odds / (odds + (1 + record rivals) * (1 + item rivals))"
LABELS = {
    "prior": "Before any evidence",
    "amount": "Amount",
    "lag": "Date",
    "reference": "Reference",
    "counterparty": "Counterparty",
    "words": "Description",
    "rarity": "Rarity of the amount",
    "twins": "Twins on other days",
    "record_rivals": "Rivals of the record",
    "item_rivals": "Rivals of the ledger item",
    "choice": "Choice among equals",
}
_ORDER = {name: place for place, name in enumerate(LABELS)}
# Beyond this many bits a probability cannot be told from 0 or 1.
_BITS_MAX = 1000.0
# A stored score has six decimals and bits have four: less than this is rounding.
_ROUNDING = 0.002


@dataclass(frozen=True, slots=True)
class Step:
    """One bar: `bits` above zero speak for the pair; `running` is the sum up to here."""

    feature: str
    label: str
    level: str
    kind: str
    bits: float
    running: float


@dataclass(frozen=True, slots=True)
class Weighing:
    """What one pair is worth: all evidence is `total_bits`, the last step's sum the log-odds."""

    weights: str
    steps: tuple[Step, ...]
    total_bits: float
    odds: float
    record_rivals: float
    item_rivals: float
    calculation: str
    probability: float


def weigh(evidence: Mapping[str, Any], score: float | None) -> Weighing | None:
    """Return how the bits of a decision add up; None where it was not decided by evidence."""
    if "bits" not in evidence or "rivals" not in evidence:
        return None
    rivals = evidence["rivals"]
    record_rivals, item_rivals = float(rivals["record"]), float(rivals["item"])
    steps, running = [], 0.0
    for feature, level, bits in _features(evidence["bits"]):
        running += bits
        kind = "prior" if feature == "prior" else "evidence"
        steps.append(_step(feature, level, kind, bits, running))
    total = running
    for feature, odds in (("record_rivals", record_rivals), ("item_rivals", item_rivals)):
        bits = -log2(1.0 + odds)
        running += bits
        steps.append(_step(feature, _rival_words(odds), "rivals", bits, running))
    among = probability(running)
    final = among if score is None else score
    if 0.0 < final < among - _ROUNDING:
        bits = _log_odds(final) - running
        words = f"the item is one of several alike: {final / among:.3f} of the probability is left"
        steps.append(_step("choice", words, "rivals", bits, running + bits))
    odds = 2.0 ** min(max(total, -_BITS_MAX), _BITS_MAX)
    return Weighing(
        weights=str(evidence.get("weights", "")),
        steps=tuple(steps),
        total_bits=round(total, 4),
        odds=odds,
        record_rivals=record_rivals,
        item_rivals=item_rivals,
        calculation=(
            f"2^{total:.2f} = {odds:.4g};  {odds:.4g} / ({odds:.4g} + (1 + {record_rivals:.4g})"
            f" * (1 + {item_rivals:.4g})) = {among:.4f}"
        ),
        probability=final,
    )


def probability(log_odds_bits: float) -> float:
    """Return the probability whose odds are 2**bits."""
    bits = min(max(log_odds_bits, -_BITS_MAX), _BITS_MAX)
    return float(1.0 / (1.0 + 2.0**-bits))


def _log_odds(value: float) -> float:
    return log2(value / (1.0 - value))


def _features(bits: Mapping[str, Any]) -> Iterator[tuple[str, str, float]]:
    """Yield feature, level in words and bits; features that we have no words for come last."""
    for feature in sorted(bits, key=lambda name: (_ORDER.get(name, len(_ORDER)), name)):
        found = bits[feature]
        if isinstance(found, list):
            yield feature, str(found[0]), float(found[1])
        else:
            yield feature, _number_words(feature, float(found)), float(found)


def _number_words(feature: str, bits: float) -> str:
    if feature == "prior":
        return f"a candidate is right with {probability(bits):.0%}"
    if feature == "rarity":
        return f"{2.0**-bits:.3g} such candidates are expected by chance"
    if feature == "twins":
        return "an alike item lies on another day" if bits < 0 else "no alike item near"
    return ""


def _rival_words(odds: float) -> str:
    return f"the odds of all others: {odds:.3g}" if odds > 0 else "no other candidate"


def _step(feature: str, level: str, kind: str, bits: float, running: float) -> Step:
    label = LABELS.get(feature, feature.replace("_", " ").capitalize())
    # Minus nothing is nothing.
    return Step(feature, label, level, kind, round(bits, 4) + 0.0, round(running, 4) + 0.0)
