"""Renders the outcomes of a batch as its callers see them."""

from collections.abc import Sequence

from ledger_service.api.answers import balances_text, json_text, outcome_error
from ledger_service.domain.batch import Declined, Outcome, Posted, Reused
from ledger_service.domain.entries import Transferred
from shared.errors import AppError, KeyReused
from shared.lean import LeanAnswer
from shared.problems import problem_document
from shared.streaming import NDJSON

BATCH_PATH = "/ledger/batch/"


class BatchRefused(AppError):
    """An atomic batch of which one transfer was refused; nothing of it was posted."""

    code, title, status = "batch_refused", "A transfer of the batch was refused", 422


class Verdicts:
    """The verdicts on a batch so far, already rendered."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._statuses: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def are_any(self) -> bool:
        """Tell whether any transfer was posted, refused or known before."""
        return not self._statuses.keys() <= {500, 503, 409}

    def add(self, outcomes: Sequence[Outcome | AppError]) -> None:
        """Add the verdicts on the next transfers."""
        for place, outcome in enumerate(outcomes, len(self._lines)):
            if isinstance(outcome, Posted):
                status, line = 201, _posted(place, outcome)
            else:
                status, line = _not_posted(place, outcome)
            self._lines.append(line)
            self._statuses[status] = self._statuses.get(status, 0) + 1

    def answer(self, mode: str, *, as_lines: bool) -> LeanAnswer:
        """Return the whole answer: 200, or 207 where the verdicts differ."""
        status = 200 if len(self._statuses) == 1 else 207
        if as_lines:
            return LeanAnswer(status, ("\n".join(self._lines) + "\n").encode(), media_type=NDJSON)
        posted, refused = self._statuses.get(201, 0), self._statuses.get(422, 0)
        unknown = len(self) - posted - refused
        head = (
            f'{{"mode":"{mode}","posted":{posted},"refused":{refused},"unknown":{unknown},'
            f'"results":['
        )
        return LeanAnswer(status, f"{head}{','.join(self._lines)}]}}".encode())


def batch_refused(outcome: Outcome) -> AppError:
    """Return the error for an atomic batch that `outcome` sank, or whose own key is in use."""
    error = outcome_error(outcome)
    if isinstance(outcome, Posted) or outcome.place is None:
        return error
    document = problem_document(error, BATCH_PATH)
    refusal = {name: value for name, value in document.items() if name != "instance"}
    detail = f"transfer {outcome.place}: {error.detail}"
    return BatchRefused(detail, index=outcome.place, refusal=refusal)


def raise_if_reused(outcomes: Sequence[Outcome]) -> None:
    """Raise KeyReused where the batch's own key came with another batch before."""
    if isinstance(outcomes[0], Reused) and outcomes[0].is_group:
        raise KeyReused("this Idempotency-Key came with another request before")


def _posted(place: int, posted: Posted) -> str:
    entry, events, was_there, _ = posted
    assert isinstance(entry.body, Transferred), "a batch holds transfers"
    replayed = ',"replayed":true' if was_there else ""
    return (
        f'{{"index":{place},"status":201,"transaction_id":"{entry.entry_id}","seq":{entry.seq},'
        f'"balances":{balances_text(events, entry.body.scale)}{replayed}}}'
    )


def _not_posted(place: int, outcome: Outcome | AppError) -> tuple[int, str]:
    error = outcome if isinstance(outcome, AppError) else outcome_error(outcome)
    document = {"index": place} | problem_document(error, BATCH_PATH)
    if isinstance(outcome, Declined) and outcome.is_replayed:
        document["replayed"] = True
    return error.status, json_text(document)
