"""A FastAPI app that does nothing: what the framework alone costs for a transfer's body."""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Body(BaseModel):
    """The members that a transfer has."""

    source_account_id: str
    destination_account_id: str
    amount: str
    currency: str
    metadata: dict[str, Any] = {}


class Answer(BaseModel):
    """A short answer."""

    source_account_id: str
    amount: str
    posted: bool


@app.post("/ledger/transfer/", status_code=201)
async def do_nothing(body: Body) -> Answer:
    """Answer at once."""
    return Answer(source_account_id=body.source_account_id, amount=body.amount, posted=False)


@app.get("/ready")
async def ready() -> bool:
    return True
