"""Replays stored entries and notes what does not follow: gaps, times, events, what cannot be."""

import json
from collections.abc import Sequence

from ledger_service.domain.canonical import StoredEntry, StoredEvent
from ledger_service.domain.entries import Entry, EntryKind
from ledger_service.domain.payloads import body_of
from ledger_service.domain.state import Changes
from ledger_service.projections.compare import Replay
from ledger_service.trust.findings import Damage, Report

REFOLDED_MAX = 1_000


class LogCheck:
    """Takes entries in their order; `replay` has the books as they make them.

    `refolded` has entries with the events that they make where others are stored, the first
    REFOLDED_MAX of them.
    """

    def __init__(self, report: Report) -> None:
        self.report = report
        self.replay = Replay()
        self.last: StoredEntry | None = None
        self.refolded: dict[int, StoredEntry] = {}

    def take(self, stored: StoredEntry) -> None:
        """Fold the next entry, and note what does not follow from those before it."""
        report, last = self.report, self.last
        report.entries += 1
        report.events += len(stored.events)
        expected_seq = last.seq + 1 if last else 1
        if stored.seq != expected_seq:
            report.note(
                Damage.ENTRY_MISSING,
                expected_seq,
                f"seq {expected_seq} is missing: {stored.seq} follows",
            )
        if last and stored.recorded_at < last.recorded_at:
            report.note(
                Damage.ENTRY_CHANGED,
                stored.seq,
                f"seq {stored.seq} was recorded before seq {last.seq}",
            )
        self.last = stored
        self._compare_events(stored, self._fold(stored))

    def take_strays(self, seqs: Sequence[int]) -> None:
        """Note events whose entry does not exist."""
        for seq in seqs:
            self.report.note(
                Damage.EVENT_CHANGED, seq, f"events of seq {seq} have no cause in the journal"
            )

    def finish(self) -> None:
        """Note currencies whose balances do not sum to zero."""
        totals: dict[str, int] = {}
        for account in self.replay.state.accounts.values():
            totals[account.currency] = totals.get(account.currency, 0) + account.balance_minor
        for currency, total_minor in totals.items():
            if total_minor:
                self.report.note(
                    Damage.PROJECTION_DIFFERS,
                    None,
                    f"balances in {currency} sum to {total_minor} minor units, not to zero",
                )

    def _fold(self, stored: StoredEntry) -> Changes:
        try:
            return self.replay.take(stored_to_entry(stored))
        except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
            self.report.note(
                Damage.ENTRY_CHANGED,
                stored.seq,
                f"seq {stored.seq} cannot be replayed: {error!r}",
            )
            return Changes(accounts=())

    def _compare_events(self, stored: StoredEntry, changes: Changes) -> None:
        expected = [
            StoredEvent(
                event.line,
                event.account_id,
                event.transaction_id,
                event.direction.value,
                event.amount_minor,
                event.balance_after_minor,
                event.position,
            )
            for event in changes.events
        ]
        if expected == list(stored.events):
            return
        if len(self.refolded) < REFOLDED_MAX:
            self.refolded[stored.seq] = stored._replace(events=expected)
        made = {event.line: event for event in expected}
        found = {event.line: event for event in stored.events}
        for line in sorted(made.keys() | found.keys()):
            name = f"event {(stored.seq, line)}"
            if line not in found:
                sentence = f"{name} is missing"
            elif line not in made:
                sentence = f"{name} has no cause in the journal"
            elif made[line] != found[line]:
                sentence = f"{name} is {found[line]}, the journal makes it {made[line]}"
            else:
                continue
            self.report.note(Damage.EVENT_CHANGED, stored.seq, sentence)


def stored_to_entry(stored: StoredEntry) -> Entry:
    """Return what a stored entry means; KeyError, TypeError or ValueError where it is damaged."""
    return Entry(
        stored.seq,
        stored.entry_id,
        stored.effective_at,
        stored.recorded_at,
        stored.reference,
        body_of(EntryKind(stored.kind), json.loads(stored.payload)),
    )
