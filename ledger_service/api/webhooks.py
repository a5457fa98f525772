"""Routes of webhooks: who is told of entries, from where on, and what came of it."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from ledger_service.api.models_webhooks import (
    ChangeWebhookBody,
    CreateWebhookBody,
    DeliveriesOut,
    NewWebhookOut,
    OutcomeOut,
    ReplayBody,
    WebhookId,
    WebhookOut,
    WebhooksOut,
    outcome_out,
    webhook_out,
)
from ledger_service.dependencies import FOR_REAL, Held, Resources
from ledger_service.repositories import webhooks as stored
from ledger_service.repositories.webhooks import WEBHOOKS_MAX, Webhook
from ledger_service.webhooks.signing import new_secret
from ledger_service.webhooks.targets import names_private_host
from shared.clock import utc_now
from shared.errors import AppError, InvalidCursor, NotFound
from shared.ids import new_id
from shared.lists import LIMIT_DEFAULT, Cursor, Limit, page_of_documents
from shared.pagination import decode_cursor, encode_cursor
from shared.problems import body_responses, problem_responses
from shared.strict_json import StrictJSONRoute

router = APIRouter(
    prefix="/ledger/webhook",
    tags=["webhooks"],
    route_class=StrictJSONRoute,
    dependencies=[FOR_REAL],
)


class WebhookTargetRefused(AppError):
    code, title, status = "webhook_target_refused", "The URL's host is not public", 422


class TooManyWebhooks(AppError):
    code, title, status = "too_many_webhooks", "The ledger has as many webhooks as it may", 422


class SeqBeyondEnd(AppError):
    code, title, status = "seq_beyond_end", "The history does not reach that far", 422


@router.post(
    "/",
    summary="Create a webhook",
    response_model=NewWebhookOut,
    status_code=201,
    responses=body_responses() | problem_responses(WebhookTargetRefused, TooManyWebhooks),
)
async def create_webhook(body: CreateWebhookBody, held: Held) -> NewWebhookOut:
    """Have entries posted to a URL once they are committed, in the order of `seq`, at least once.

    Each message is signed as [Standard Webhooks](https://www.standardwebhooks.com) has it. The
    secret is in this answer and in no other.
    """
    _require_public(held, body.url)
    secret = new_secret()
    webhook = await stored.add_webhook(
        held.database,
        held.ledger_id,
        webhook_id=new_id(),
        url=body.url,
        secret=secret,
        kinds=body.kinds,
        from_seq=body.from_seq,
        created_at=utc_now(),
    )
    if webhook is None:
        raise TooManyWebhooks(
            f"a ledger has at most {WEBHOOKS_MAX} webhooks", webhooks_max=WEBHOOKS_MAX
        )
    held.webhooks.look_again()
    return NewWebhookOut(**webhook_out(webhook).model_dump(), secret=secret)


@router.get(
    "/",
    summary="List webhooks",
    response_model=WebhooksOut,
    responses=problem_responses(),
)
async def list_webhooks(held: Held) -> WebhooksOut:
    """All webhooks of the ledger."""
    found = await stored.all_webhooks(held.database, held.ledger_id)
    return WebhooksOut(webhooks=[webhook_out(webhook) for webhook in found])


@router.get(
    "/{webhook_id}",
    summary="Get a webhook",
    response_model=WebhookOut,
    responses=problem_responses(NotFound),
)
async def get_webhook(webhook_id: WebhookId, held: Held) -> WebhookOut:
    """A webhook and where it stands."""
    return webhook_out(await _webhook(held, webhook_id))


@router.patch(
    "/{webhook_id}",
    summary="Change, pause or resume a webhook",
    response_model=WebhookOut,
    responses=body_responses() | problem_responses(NotFound, WebhookTargetRefused),
)
async def change_webhook(webhook_id: WebhookId, body: ChangeWebhookBody, held: Held) -> WebhookOut:
    """Change the URL or the kinds, pause, or resume where it stood; then it tries at once."""
    if "url" in body.model_fields_set:
        _require_public(held, body.url)
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    return await _changed(held, webhook_id, changes)


@router.delete(
    "/{webhook_id}",
    summary="Delete a webhook",
    status_code=204,
    responses=problem_responses(NotFound),
)
async def delete_webhook(webhook_id: WebhookId, held: Held) -> Response:
    """Send nothing more, and forget the secret."""
    if not await stored.remove_webhook(held.database, held.ledger_id, webhook_id):
        raise _unknown(webhook_id)
    return Response(status_code=204)


@router.post(
    "/{webhook_id}/replay",
    summary="Send again from an entry on",
    response_model=WebhookOut,
    responses=body_responses() | problem_responses(NotFound, SeqBeyondEnd),
)
async def replay(webhook_id: WebhookId, body: ReplayBody, held: Held) -> WebhookOut:
    """Go on from `from_seq`, back or ahead; entries sent before carry the ids that they had."""
    webhook = await _webhook(held, webhook_id)
    if body.from_seq > webhook.last_seq + 1:
        raise SeqBeyondEnd(
            f"the last entry is {webhook.last_seq}",
            from_seq=body.from_seq,
            last_seq=webhook.last_seq,
        )
    return await _changed(held, webhook_id, {"next_seq": body.from_seq})


@router.get(
    "/{webhook_id}/deliveries",
    summary="List attempts",
    response_model=DeliveriesOut,
    responses=problem_responses(NotFound, InvalidCursor),
)
async def list_deliveries(
    request: Request,
    webhook_id: WebhookId,
    held: Held,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> Response:
    """What came of each attempt, the latest first."""
    kind = f"deliveries {webhook_id}"
    key = decode_cursor(kind, cursor, int)
    await _webhook(held, webhook_id)
    documents, last = await stored.deliveries_page(
        held.database,
        held.ledger_id,
        webhook_id,
        before=None if key is None else key[0],
        limit=limit,
    )
    following = None if last is None else encode_cursor(kind, last)
    return page_of_documents(request, "deliveries", documents, following)


@router.post(
    "/{webhook_id}/test",
    summary="Send a test",
    response_model=OutcomeOut,
    responses=problem_responses(NotFound),
)
async def send_test(webhook_id: WebhookId, held: Held) -> OutcomeOut:
    """Send a signed message of the type `test`, once, even where the webhook is paused."""
    return outcome_out(await held.webhooks.send_test(await _webhook(held, webhook_id)))


def _require_public(held: Resources, url: str) -> None:
    """Refuse at once what every attempt would refuse; names are looked up at each attempt."""
    if not held.webhooks.targets.is_private_allowed and names_private_host(url):
        raise WebhookTargetRefused(f"the host of {url} is not public", url=url)


async def _webhook(held: Resources, webhook_id: UUID) -> Webhook:
    webhook = await stored.find_webhook(held.database, held.ledger_id, webhook_id)
    if webhook is None:
        raise _unknown(webhook_id)
    return webhook


async def _changed(held: Resources, webhook_id: UUID, changes: dict[str, Any]) -> WebhookOut:
    if not await stored.change_webhook(held.database, held.ledger_id, webhook_id, changes):
        raise _unknown(webhook_id)
    held.webhooks.look_again()
    return webhook_out(await _webhook(held, webhook_id))


def _unknown(webhook_id: UUID) -> NotFound:
    return NotFound(f"there is no webhook {webhook_id}", webhook_id=str(webhook_id))
