"""Puts decisions into words: one plain sentence, and the evidence as compact JSON."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

from recon_service.domain.config import Policy, Window
from recon_service.domain.evidence import (
    AMOUNT,
    COUNTERPARTY,
    LAG,
    NAME,
    NULL_ODDS,
    REFERENCE,
    WORDS,
    name_of,
)
from recon_service.matchers.references import UNRELATED
from recon_service.matchers.scoring import Scored

SCORE_PLACES = 6
ROUNDING_MINOR_MAX = 1

_FEATURES = {"amount": AMOUNT, "lag": LAG, "reference": REFERENCE, "counterparty": COUNTERPARTY}


def residual_cause(residual_minor: int, *, is_fee: bool = False) -> str | None:
    """Return the cause of a difference inside the tolerance: one unit is rounding."""
    if residual_minor == 0:
        return None
    if abs(residual_minor) <= ROUNDING_MINOR_MAX:
        return "rounding"
    return "fee" if is_fee else "unknown"


def pair_evidence(scored: Scored, pair: int) -> dict[str, Any]:
    """Return levels and bits of one pair, and what it competed with."""
    bits: dict[str, Any] = {"prior": _short(scored.prior_bits)}
    for feature, levels in _FEATURES.items():
        level = name_of(levels, int(scored.levels[feature][pair]))
        bits[feature] = [level, _short(scored.bits[feature][pair])]
    for name in ("rarity", "twins"):
        if name in scored.bits:
            bits[name] = _short(scored.bits[name][pair])
    bits["words"] = [_words_level(scored, pair), _short(scored.bits["words"][pair])]
    return {
        "weights": scored.weights.version,
        "bits": bits,
        "total_bits": _short(scored.total_bits[pair]),
        "rivals": {
            "null": NULL_ODDS,
            "record": _short(scored.record_rivals[pair]),
            "item": _short(scored.item_rivals[pair]),
        },
    }


def alternative(scored: Scored, pair: int, internal_id: str) -> dict[str, Any]:
    """Return one other candidate, in short."""
    return {
        "internal_id": internal_id,
        "score": round(float(scored.probability[pair]), SCORE_PLACES),
        "bits": _short(scored.total_bits[pair]),
    }


def compact(document: dict[str, Any]) -> str:
    """Return a document as compact JSON."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def pair_sentence(
    scored: Scored, pair: int, scale: int, window: Window, *, is_fee: bool = False
) -> str:
    """Say what agrees between a record and its counterpart."""
    residual = int(scored.residual_minor[pair])
    parts = [
        f"score {scored.probability[pair]:.2f}",
        "equal amount"
        if residual == 0
        else f"amount differs by {money(residual, scale)}"
        f" ({residual_cause(residual, is_fee=is_fee)})",
        lag_words(int(scored.lag_days[pair]), window),
    ]
    reference = int(scored.levels["reference"][pair])
    if reference < UNRELATED:
        parts.append(f"reference {REFERENCE[reference].name}")
    words = _words_level(scored, pair)
    parts.append("no description to compare" if words == "missing" else words)
    if scored.levels["counterparty"][pair] >= 0:
        parts.append(name_of(COUNTERPARTY, int(scored.levels["counterparty"][pair])))
    return ", ".join(parts)


def ambiguity(record_count: int, item_count: int, *, is_tied: bool) -> str:
    """Say why a good score is not enough for an automatic match; empty when nothing is unclear."""
    if record_count > 1 or item_count > 1:
        return (
            f"; not automatic: {_count(record_count, 'record')} and"
            f" {_count(item_count, 'ledger item')} are alike, paired in the order of time"
        )
    return "; not automatic: another candidate is as good" if is_tied else ""


def no_candidate(policy: Policy) -> str:
    """Say that nothing came near."""
    window, noun = policy.window, day_noun(policy.window)
    return (
        "No free ledger item has this reference, and none has this currency and amount from"
        f" {_count(window.after_days, noun)} before to {_count(window.before_days, noun)}"
        " after the record's date"
    )


def past_gate_sentence(cause: str, row: dict[str, Any], policy: Policy) -> str:
    """Say which gate the ledger item with the record's own reference failed."""
    found = f"The ledger has this reference as {row['item_id']}, but"
    if cause == "other_currency":
        return f"{found} in {row['item_currency']}, not {row['currency']}"
    if cause == "reversed_sign":
        return f"{found} with the opposite sign"
    if cause == "amount_difference":
        theirs, scale = int(row["item_amount_minor"]), int(row["scale"])
        difference = money(int(row["amount_minor"]) - theirs, scale)
        tolerance = policy.amount_tolerance
        bound = f"{tolerance.absolute} or {tolerance.percent} %"
        return (
            f"{found} over {money(theirs, scale)} {row['currency']}: the difference of"
            f" {difference} is beyond the tolerance of {bound}"
        )
    if cause == "out_of_window":
        return f"{found} {_outside(int(row['lag_days']), row['item_on'], policy)}"
    if cause == "duplicate":
        return f"{found} another record is already matched with it: a duplicate?"
    return f"{found} it is not clear which of several records and items belong together"


def lag_words(lag_days: int, window: Window) -> str:
    """Say where a record's day lies against the ledger's."""
    noun = day_noun(window)
    if lag_days == 0:
        return f"same {noun}"
    return f"{_count(abs(lag_days), noun)} {'after' if lag_days > 0 else 'before'} the ledger"


def day_noun(window: Window) -> str:
    """Return what the window counts, in the singular."""
    return "business day" if window.unit == "business_days" else "day"


def _outside(lag_days: int, item_on: date, policy: Policy) -> str:
    window = policy.window
    beyond = lag_days - window.after_days if lag_days > 0 else -lag_days - window.before_days
    return (
        f"on {item_on}: the record is {lag_words(lag_days, window)},"
        f" {_count(beyond, day_noun(window))} outside the window"
    )


def _words_level(scored: Scored, pair: int) -> str:
    """Return the level that counted: shared words or similar name, whichever says more."""
    words, name = int(scored.levels["words"][pair]), int(scored.levels["name"][pair])
    if name < 0 or (words >= 0 and _bits(WORDS, words) >= _bits(NAME, name)):
        return name_of(WORDS, words)
    return name_of(NAME, name)


def _bits(levels: Any, index: int) -> float:
    return float(levels[index].bits)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def money(amount_minor: int, scale: int) -> str:
    """Return an amount as a decimal number."""
    return f"{Decimal(amount_minor).scaleb(-scale):f}"


def _short(value: float) -> float:
    return round(float(value), 4)
