"""The rules of a reversal: all that is left of a transaction, or a part, never more."""

from collections.abc import Sequence
from datetime import datetime

from ledger_service.domain.commands import Reverse
from ledger_service.domain.entries import Entry, EntryKind, Line, Reverses, Transacted
from ledger_service.domain.model import Direction
from ledger_service.domain.refusals import Refusal, Refused
from ledger_service.domain.rules.amounts import positive_minor
from ledger_service.domain.rules.dating import dated
from ledger_service.domain.rules.posting import legs_refused
from ledger_service.domain.rules.transactions import moved_of, unbalanced_currencies
from ledger_service.domain.state import Original, State
from shared.money import format_minor

_OTHER_SIDE = {Direction.DEBIT: Direction.CREDIT, Direction.CREDIT: Direction.DEBIT}


def reverse(state: State, command: Reverse, recorded_at: datetime) -> Entry | Refused:
    """Return the entry that reverses what is asked of a transaction, or why there is none.

    What is reversed of each line, now and before, never exceeds the line. The accounts' own rules
    hold as for any posting: money that is spent cannot be taken back below a floor.
    """
    original = state.originals.get(command.original_id)
    if original is None:
        transaction_id = str(command.original_id)
        said = f"there is no transaction {transaction_id}"
        return Refused(Refusal.UNKNOWN_TRANSACTION, said, {"transaction_id": transaction_id})
    if original.kind is EntryKind.REVERSAL:
        return _not_reversible(original, "it is a reversal itself; post the transaction again")
    reversed_minor = state.reversed.get(original.transaction_id) or (0,) * len(original.lines)
    amounts_minor = _asked(command, original, reversed_minor)
    if isinstance(amounts_minor, Refused):
        return amounts_minor
    when = dated(state.periods, command.effective_at, recorded_at)
    if isinstance(when, Refused):
        return when
    if when.effective_at < original.effective_at:
        return _too_early(original, when.effective_at)
    if refused := _exceeded(original, reversed_minor, amounts_minor):
        return refused
    lines = tuple(
        line._replace(direction=_OTHER_SIDE[line.direction], amount_minor=minor)
        for line, minor in zip(original.lines, amounts_minor, strict=True)
        if minor
    )
    if refused := unbalanced_currencies(lines):
        return refused
    entry = Entry(
        state.last_seq + 1,
        command.transaction_id,
        when.effective_at,
        recorded_at,
        command.reference,
        Transacted(
            EntryKind.REVERSAL,
            lines,
            moved_of(lines),
            command.metadata,
            reverses=Reverses(original.transaction_id, amounts_minor),
            dating=when.dating,
        ),
    )
    return legs_refused(state.accounts, entry.body.legs) or entry


def _asked(
    command: Reverse, original: Original, reversed_minor: Sequence[int]
) -> tuple[int, ...] | Refused:
    """Return what is to be reversed of each line of the original."""
    lines = original.lines
    if command.lines:
        return _asked_by_lines(command, lines)
    if command.amount is None:
        return tuple(
            line.amount_minor - before for line, before in zip(lines, reversed_minor, strict=True)
        )
    if len(lines) != 2:
        return Refused(
            Refusal.REVERSAL_NEEDS_LINES,
            f"the transaction has {len(lines)} lines: say how much of which to reverse",
            {"lines": len(lines)},
        )
    minor = positive_minor(command.amount, lines[0].currency, lines[0].scale)
    return minor if isinstance(minor, Refused) else (minor, minor)


def _asked_by_lines(command: Reverse, lines: Sequence[Line]) -> tuple[int, ...] | Refused:
    amounts_minor = [0] * len(lines)
    for asked in command.lines:
        if not 1 <= asked.line <= len(lines):
            return Refused(
                Refusal.REVERSAL_NEEDS_LINES,
                f"the transaction has {len(lines)} lines, and no line {asked.line}",
                {"line": asked.line, "lines": len(lines)},
            )
        line = lines[asked.line - 1]
        minor = positive_minor(asked.amount, line.currency, line.scale)
        if isinstance(minor, Refused):
            return minor
        amounts_minor[asked.line - 1] += minor
    return tuple(amounts_minor)


def _exceeded(
    original: Original, reversed_minor: Sequence[int], amounts_minor: Sequence[int]
) -> Refused | None:
    """Refuse more than is left of any line, and a reversal of what is reversed altogether."""
    is_nothing = not any(amounts_minor)
    for place, line in enumerate(original.lines):
        minor, before_minor = amounts_minor[place], reversed_minor[place]
        left_minor = line.amount_minor - before_minor
        if minor <= left_minor and not is_nothing:
            continue
        left = format_minor(left_minor, line.scale)
        return Refused(
            Refusal.REVERSAL_EXCEEDS,
            "all of the transaction is reversed already"
            if is_nothing
            else f"{left} {line.currency} of line {place + 1} are left to reverse, "
            f"{format_minor(minor, line.scale)} were asked for",
            {
                "transaction_id": str(original.transaction_id),
                "line": place + 1,
                "currency": line.currency,
                "original": format_minor(line.amount_minor, line.scale),
                "reversed": format_minor(before_minor, line.scale),
                "left": left,
                "amount": format_minor(minor, line.scale),
                "excess": format_minor(minor - left_minor, line.scale),
            },
        )
    return None


def _not_reversible(original: Original, why: str) -> Refused:
    return Refused(
        Refusal.NOT_REVERSIBLE,
        why,
        {"transaction_id": str(original.transaction_id), "kind": original.kind.value},
    )


def _too_early(original: Original, effective_at: datetime) -> Refused:
    return Refused(
        Refusal.NOT_REVERSIBLE,
        "the reversal would count before the transaction",
        {
            "transaction_id": str(original.transaction_id),
            "effective_at": effective_at.isoformat(),
            "original_effective_at": original.effective_at.isoformat(),
        },
    )
