"""Which groups can be found at all: those whose lines say, to a person, what they belong to.

A sum alone proves nothing: among some hundred open lines thousands of subsets have any given sum.
A group counts as identifiable when each of its lines shares a reference or batch id with the one
line on the other side, or when it is all that one named party has on its days.
"""

import re
from collections.abc import Sequence
from datetime import date

from scripts.bench.matching.generator import Case

_TOKEN = re.compile(r"[\w/-]*\d[\w/-]*")
_TOKEN_CHARS_MIN = 5
_NAME_CHARS_MIN = 4


class Readers:
    """Reads the lines of one case as a careful person would."""

    def __init__(self, case: Case) -> None:
        self._ids: dict[str, frozenset[str]] = {}
        self._words: dict[str, str] = {}
        self._party: dict[str, str | None] = {}
        self._day: dict[str, date] = {}
        self._of_party: dict[tuple[str, date], set[str]] = {}
        self._records_on: dict[date, list[str]] = {}
        for row in case.records.iter_rows(named=True):
            self._read(row["record_id"], row, row["external_id"], row["booked_on"])
            self._records_on.setdefault(row["booked_on"], []).append(row["record_id"])
        for row in case.items.iter_rows(named=True):
            self._read(row["internal_id"], row, row["reference"], row["effective_on"])
            party = self._party[row["internal_id"]]
            if party is not None:
                key = party, row["effective_on"]
                self._of_party.setdefault(key, set()).add(row["internal_id"])

    def can_tell(self, record_ids: Sequence[str], item_ids: Sequence[str]) -> bool:
        """Tell whether the group is identifiable; groups of many with many are not."""
        if not record_ids or not item_ids:  # netted on one side
            first, *others = [*record_ids, *item_ids]
            return self._by_ids(first, others)
        if len(record_ids) == 1 and item_ids:
            return self._by_ids(record_ids[0], item_ids) or self._whole_days(
                record_ids[0], item_ids
            )
        if len(item_ids) == 1 and record_ids:
            return self._by_ids(item_ids[0], record_ids) or self._all_named(item_ids[0], record_ids)
        return False

    def _read(self, id_: str, row: dict[str, str | None], own: str | None, on: date) -> None:
        text, party = row["text"] or "", row["counterparty"]
        tokens = [*_TOKEN.findall(text), *([own] if own else [])]
        compact = (_compact(token) for token in tokens)
        self._ids[id_] = frozenset(token for token in compact if len(token) >= _TOKEN_CHARS_MIN)
        self._words[id_] = _compact(f"{party or ''} {text}")
        self._party[id_] = _name(party)
        self._day[id_] = on

    def _by_ids(self, one: str, many: Sequence[str]) -> bool:
        return all(self._ids[one] & self._ids[id_] for id_ in many)

    def _whole_days(self, record: str, items: Sequence[str]) -> bool:
        """The record names the items' party, and they are all it has on these days."""
        party = self._party[items[0]]
        if party is None or party not in self._words[record]:
            return False
        days = {self._day[id_] for id_ in items}
        everything = set().union(*(self._of_party.get((party, day), set()) for day in days))
        return everything == set(items)

    def _all_named(self, item: str, records: Sequence[str]) -> bool:
        """The records name the item's party, and no other record of these days does."""
        party = self._party[item]
        if party is None:
            return False
        days = {self._day[id_] for id_ in records}
        named = {id_ for day in days for id_ in self._records_on[day] if party in self._words[id_]}
        return named == set(records)


def _compact(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum())


def _name(party: str | None) -> str | None:
    """Return the name as banks keep it: its first words, long enough to mean something."""
    words = (party or "").split()[:2]
    name = _compact(" ".join(words))
    return name if len(name) >= _NAME_CHARS_MIN else None
