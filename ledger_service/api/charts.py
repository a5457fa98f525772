"""The route of the chart of accounts: balances of a place in it, and of all below."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from ledger_service.api.models_accounts import CODE_CHARS_MAX, CODE_PATTERN
from ledger_service.dependencies import Held
from ledger_service.domain.charts import SEPARATOR, Place, roll_up
from ledger_service.domain.model import Direction
from ledger_service.repositories.charts import SHARES_MAX, chart_now
from shared.errors import AppError
from shared.money import format_minor
from shared.problems import problem_responses

DEPTH_DEFAULT = 10
DEPTH_MAX = 128
router = APIRouter(prefix="/ledger/accounts", tags=["accounts"])


class ChartTooLarge(AppError):
    code, title, status = "chart_too_large", "The answer would have too many places", 422


class PlaceBalance(BaseModel):
    model_config = ConfigDict(extra="forbid")

    currency: str
    own: str | None = Field(description="of the account with this very code; null if it has none")
    total: str = Field(description="with all below, on the normal side of the place")


class PlaceOut(BaseModel):
    """One place of the chart, whether or not an account has it for its code."""

    model_config = ConfigDict(extra="forbid")

    code: str = Field(examples=["assets:bank"])
    parent: str | None = Field(description="the place above, null for those at the top")
    account_id: UUID | None
    normal_side: Direction = Field(description="of the first account at the place or below")
    accounts: int = Field(description="at the place and below it")
    balances: list[PlaceBalance]


class ChartOut(BaseModel):
    """Places in the order of their codes, each before those below it, all of one moment."""

    model_config = ConfigDict(extra="forbid")

    ledger: str
    under: str | None
    seq: int = Field(description="the ledger's last entry that these balances know of")
    places: list[PlaceOut]


@router.get(
    "/tree",
    summary="Get balances rolled up along the chart of accounts",
    response_model=ChartOut,
    responses=problem_responses(ChartTooLarge),
)
async def get_tree(
    held: Held,
    under: Annotated[
        str | None,
        Query(
            pattern=CODE_PATTERN,
            max_length=CODE_CHARS_MAX,
            description="a place of the chart; all of it if left out",
            openapi_examples={"a place": {"value": "assets"}},
        ),
    ] = None,
    depth: Annotated[
        int, Query(ge=0, le=DEPTH_MAX, description="levels below; deeper ones are summed up there")
    ] = DEPTH_DEFAULT,
) -> dict[str, Any]:
    """Balances of a place and of all below it, by currency; accounts without a code are in none.

    A total is on the normal side of its place: accounts of the other side lessen it.
    """
    names_min = 1 if under is None else under.count(SEPARATOR) + 1
    names_max = depth + (0 if under is None else names_min)
    chart = await chart_now(
        held.database, held.ledger_id, under, names_max=max(names_max, names_min)
    )
    if chart.is_cut:
        raise ChartTooLarge(
            f"more than {SHARES_MAX} places and currencies: name a place in `under`, "
            "or fewer levels in `depth`",
            largest=SHARES_MAX,
        )
    return {
        "ledger": held.ledger_name,
        "under": under,
        "seq": chart.seq,
        "places": [
            _place_document(place, names_min)
            for place in roll_up(chart.shares, names_min=names_min)
        ],
    }


def _place_document(place: Place, names_min: int) -> dict[str, Any]:
    sign = 1 if place.normal_side is Direction.CREDIT else -1
    balances = []
    for (currency, scale), total_minor in sorted(place.total_minor.items()):
        own_minor = place.own_minor.get((currency, scale))
        balances.append(
            {
                "currency": currency,
                "own": None if own_minor is None else format_minor(sign * own_minor, scale),
                "total": format_minor(sign * total_minor, scale),
            }
        )
    is_at_the_top = place.code.count(SEPARATOR) < names_min
    return {
        "code": place.code,
        "parent": None if is_at_the_top else place.parent,
        "account_id": place.account_id,
        "normal_side": place.normal_side,
        "accounts": place.accounts,
        "balances": balances,
    }
