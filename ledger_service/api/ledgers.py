"""Routes of ledgers: books of their own beside the main one."""

from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from ledger_service.dependencies import FOR_REAL, Held
from ledger_service.repositories.accounts import all_heads, head_now
from ledger_service.tables import LEDGER_PATTERN
from shared.errors import NotFound
from shared.problems import problem_responses

LedgerName = Annotated[
    str, Path(pattern=LEDGER_PATTERN, openapi_examples={"a ledger": {"value": "main"}})
]
router = APIRouter(prefix="/ledger/ledger", tags=["ledgers"], dependencies=[FOR_REAL])


class LedgerOut(BaseModel):
    """A ledger and where its history ends."""

    model_config = ConfigDict(extra="forbid")

    ledger: str = Field(examples=["main"])
    seq: int


class LedgersOut(BaseModel):
    """All ledgers in the order in which they were added."""

    ledgers: list[LedgerOut]


@router.put(
    "/{name}",
    summary="Add a ledger",
    response_model=LedgerOut,
    status_code=201,
    responses=problem_responses()
    | {200: {"model": LedgerOut, "description": "It was there already"}},
)
async def put_ledger(name: LedgerName, held: Held, response: Response) -> LedgerOut:
    """Add a ledger with accounts, keys and history of its own; asked again, it changes nothing.

    Every other route takes `?ledger=`. Without it the ledger of the account that the request names
    is meant, else `main`.
    """
    books, is_new = await held.ledgers.add(name)
    response.status_code = 201 if is_new else 200
    head = await head_now(held.database, books.ledger_id)
    return LedgerOut(ledger=head.name, seq=head.last_seq)


@router.get("/", summary="List ledgers", response_model=LedgersOut, responses=problem_responses())
async def list_ledgers(held: Held) -> LedgersOut:
    """All ledgers of this service."""
    return LedgersOut(
        ledgers=[
            LedgerOut(ledger=one.name, seq=one.last_seq) for one in await all_heads(held.database)
        ]
    )


@router.get(
    "/{name}",
    summary="Get a ledger",
    response_model=LedgerOut,
    responses=problem_responses(NotFound),
)
async def get_ledger(name: LedgerName, held: Held) -> LedgerOut:
    """A ledger and where its history ends."""
    books = await held.ledgers.named(name)
    if books is None:
        raise NotFound(f"there is no ledger {name}", ledger=name)
    head = await head_now(held.database, books.ledger_id)
    return LedgerOut(ledger=head.name, seq=head.last_seq)
