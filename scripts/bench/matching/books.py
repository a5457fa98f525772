"""Our side: how a payment is written into the ledger."""

from datetime import datetime
from random import Random
from typing import Any
from uuid import UUID

from scripts.bench.matching.events import Payment

_STYLES = (
    "Invoice {ref} {name}",
    "{name}: {memo}",
    "{memo} {month} {year}",
    "{kind} {name} {memo}",
    "{ref}",
    "Customer {number}, {memo}",
)
_KINDS = {
    True: ("Receipt", "Zahlungseingang", "Incoming"),
    False: ("Payment", "Zahlung", "Outgoing"),
}


class Books:
    """Writes items; one set of books keeps to two or three habits."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._styles = random.sample(_STYLES, 3)
        self._names_parties = random.random() < 0.8
        self._is_upper = random.random() < 0.15

    def item(
        self,
        payment: Payment,
        *,
        amount_minor: int | None = None,
        at: datetime | None = None,
        reference: str | None = None,
        text: str | None = None,
    ) -> dict[str, Any]:
        """Return one row of ITEM_SCHEMA."""
        random, party = self._random, payment.party
        when = at or payment.at
        reference = reference or payment.reference
        written = text or self._text(payment)
        has_party = self._names_parties and random.random() < 0.96
        return {
            "internal_id": str(UUID(int=random.getrandbits(128), version=4)),
            "reference": reference if random.random() < 0.98 else None,
            "effective_at": when,
            "effective_on": when.date(),
            "amount_minor": payment.amount_minor if amount_minor is None else amount_minor,
            "currency": party.currency,
            "text": written.upper() if self._is_upper else written,
            "counterparty": party.full_name if has_party else None,
        }

    def _text(self, payment: Payment) -> str:
        random, party = self._random, payment.party
        style = random.choices(self._styles, (6, 3, 1))[0]
        text = style.format(
            ref=payment.reference or party.number,
            name=party.full_name if random.random() < 0.7 else party.name,
            memo=payment.memo,
            month=f"{payment.on:%B}",
            year=payment.on.year,
            kind=random.choice(_KINDS[payment.amount_minor > 0]),
            number=party.number,
        )
        if payment.number is not None and random.random() < 0.7:
            text += f" contract {payment.number}"
        return text
