"""What the clients of a crash run were told: the orders, their answers, and what contradicts."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ledger_service.domain.refusals import Refusal
from scripts.lean_http import Response

FINDINGS_MAX = 50
BATCH_REFUSED = "batch_refused"
REFUSAL_CODES = frozenset(refusal.code for refusal in Refusal)


@dataclass(frozen=True, slots=True)
class Transfer:
    """One transfer that a client wants; its key is its reference too, so the journal names it."""

    key: str
    source: str
    destination: str
    amount_minor: int

    def document(self) -> dict[str, Any]:
        return {
            "source_account_id": self.source,
            "destination_account_id": self.destination,
            "amount": f"{self.amount_minor // 100}.{self.amount_minor % 100:02}",
            "currency": "USD",
            "reference": self.key,
        }


@dataclass(frozen=True, slots=True)
class Order:
    """What is sent under one roof: a transfer alone, or a batch of several.

    A single transfer and an atomic batch go under the order's own key, the items of an
    independent batch each under theirs.
    """

    key: str
    transfers: tuple[Transfer, ...]
    mode: str | None = None  # None: a single transfer

    @property
    def path(self) -> str:
        return "/ledger/transfer/" if self.mode is None else "/ledger/batch/"

    @property
    def header_key(self) -> str | None:
        return None if self.mode == "independent" else self.key

    def document(self) -> dict[str, Any]:
        if self.mode is None:
            return self.transfers[0].document()
        documents = [transfer.document() for transfer in self.transfers]
        if self.mode == "independent":
            for document, transfer in zip(documents, self.transfers, strict=True):
                document["idempotency_key"] = transfer.key
        return {"mode": self.mode, "transfers": documents}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a client was told of one transfer: posted (with its place) or refused (with why)."""

    code: str  # "posted", or the refusal's own
    transaction_id: str | None = None
    seq: int | None = None
    is_replayed: bool = field(default=False, compare=False)

    @property
    def is_posted(self) -> bool:
        return self.code == "posted"


@dataclass(slots=True)
class Book:
    """All that was acknowledged, by order and by transfer, with the run's tallies."""

    orders: dict[str, Order] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)  # by the transfer's key
    transfers: dict[str, Transfer] = field(default_factory=dict)
    tallies: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    doubled: set[str] = field(default_factory=set)
    _seqs: dict[int, str] = field(default_factory=dict)

    def note(self, finding: str) -> None:
        self.tallies["findings"] += 1
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(finding)

    def acknowledge(self, order: Order, verdicts: Mapping[str, Verdict]) -> None:
        """Write down the first definite answer to an order, by the keys of its transfers."""
        self.orders[order.key] = order
        for transfer in order.transfers:
            verdict = verdicts[transfer.key]
            self.transfers[transfer.key] = transfer
            self.verdicts[transfer.key] = verdict
            self.tallies["posted" if verdict.is_posted else "refused"] += 1
            if verdict.seq is None:
                continue
            other = self._seqs.setdefault(verdict.seq, transfer.key)
            if other != transfer.key:
                self.tallies["seq given twice"] += 1
                self.note(f"seq {verdict.seq} was given to {other} and again to {transfer.key}")


def verdicts_of(order: Order, response: Response) -> dict[str, Verdict] | None:
    """Read a definite answer: a verdict for each transfer, or None if it is not one we know."""
    status = response.status
    if status not in (200, 201, 207, 422):
        return None
    document = response.json()
    if order.mode is None:
        is_replayed = response.headers.get("idempotency-replayed") == "true"
        verdict = _verdict(status, document | {"replayed": is_replayed})
        return None if verdict is None else {order.key: verdict}
    keys = [transfer.key for transfer in order.transfers]
    if status == 422 and order.mode == "atomic" and document.get("code") == BATCH_REFUSED:
        return {key: Verdict(BATCH_REFUSED) for key in keys}
    if status not in (200, 207) or len(document["results"]) != len(keys):
        return None
    verdicts = [_verdict(one["status"], one) for one in document["results"]]
    if None in verdicts:
        return None
    return {key: verdict for key, verdict in zip(keys, verdicts, strict=True) if verdict}


def _verdict(status: int, document: dict[str, Any]) -> Verdict | None:
    is_replayed = document.get("replayed") is True
    if status == 201:
        return Verdict("posted", document["transaction_id"], document["seq"], is_replayed)
    if status == 422 and document.get("code") in REFUSAL_CODES:
        return Verdict(document["code"], is_replayed=is_replayed)
    return None
