"""The JSON of webhooks: what is asked for, and how they are shown; the secret is shown once."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from ledger_service.domain.entries import EntryKind
from ledger_service.repositories.webhooks import Outcome, Webhook
from ledger_service.webhooks.targets import require_url

WEBHOOK_EXAMPLE = "01980b5c-7101-7b2c-8e3d-0d4f4d1f2a13"
URL_EXAMPLE = "https://hooks.example/ledger"  # a name that is reserved: nobody is there
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = rf"({_LABEL}(\.{_LABEL}){{0,9}}|\[[0-9A-Fa-f:.]{{2,45}}\])"
_REST = r"[A-Za-z0-9._~:/?@!$&'()*+,;=%-]*"
_PORT = "[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
URL_PATTERN = rf"^https?://{_HOST}(:({_PORT}))?([/?]{_REST})?$"

WebhookId = Annotated[UUID, Path(openapi_examples={"a webhook": {"value": WEBHOOK_EXAMPLE}})]
Url = Annotated[
    str,
    Field(
        max_length=1_000,
        pattern=URL_PATTERN,
        description="http or https, a host in ASCII, no user name and no fragment. Its host "
        "must be public when something is sent, unless LEDGER_WEBHOOK_PRIVATE says otherwise",
        examples=[URL_EXAMPLE],
    ),
    AfterValidator(require_url),
]
Kinds = Annotated[
    list[Annotated[EntryKind, Field(strict=False)]],
    Field(min_length=1, max_length=len(EntryKind), description="only entries of these kinds"),
]
Seq = Annotated[int, Field(ge=1, lt=2**63)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Out(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CreateWebhookBody(_In):
    """Who is to be told of what."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"url": URL_EXAMPLE, "kinds": ["transfer"]}]}
    )

    url: Url
    kinds: Kinds | None = Field(default=None, description="null: of all kinds")
    from_seq: Seq | None = Field(
        default=None, description="the first entry to send; null: the next one that is committed"
    )


class ChangeWebhookBody(_In):
    """What is to change; what is left out stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "paused"}]})

    url: Url = Field(default=URL_EXAMPLE)
    kinds: Kinds | None = Field(default=None, description="null: of all kinds")
    status: Literal["active", "paused"] = Field(
        default="active", description="`active` also tries again at once"
    )

    @model_validator(mode="after")
    def _something_changes(self) -> "ChangeWebhookBody":
        if not self.model_fields_set:
            raise ValueError("nothing is to change")
        return self


class ReplayBody(_In):
    """From where to send again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"from_seq": 1}]})

    from_seq: Seq = Field(description="the next entry to send, at most one beyond the last")


class WebhookOut(_Out):
    """A webhook and where it stands."""

    webhook_id: UUID
    ledger: str = Field(examples=["main"])
    url: str
    kinds: list[EntryKind] | None
    status: Literal["active", "failing", "paused"] = Field(
        description="`failing`: the last attempt failed, and the next comes at `next_attempt_at`"
    )
    next_seq: int = Field(description="the next entry to look at")
    lag: int = Field(description="entries from `next_seq` to the last one, of any kind")
    attempts: int = Field(description="failed attempts for the next entry, one after the other")
    next_attempt_at: datetime | None
    created_at: datetime


class NewWebhookOut(WebhookOut):
    """A new webhook with its secret, which is never shown again."""

    secret: str = Field(
        description="`whsec_` and the key in Base64, as Standard Webhooks has it",
        examples=["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"],
    )


class WebhooksOut(_Out):
    """All webhooks of a ledger, the oldest first."""

    webhooks: list[WebhookOut]


class DeliveryOut(_Out):
    """What came of one attempt: an HTTP status, or an error where there was no answer."""

    seq: int | None = Field(description="null: a test")
    attempt: int
    at: datetime
    status_code: int | None
    error: str | None
    milliseconds: int


class DeliveriesOut(_Out):
    """Attempts, the latest first."""

    deliveries: list[DeliveryOut]
    next_cursor: str | None
    next: str | None


class OutcomeOut(_Out):
    """What came of a test."""

    is_delivered: bool
    status_code: int | None
    error: str | None
    milliseconds: int


def webhook_out(webhook: Webhook) -> WebhookOut:
    """Return a webhook as it is shown: without its secret."""
    return WebhookOut(
        webhook_id=webhook.webhook_id,
        ledger=webhook.ledger_name,
        url=webhook.url,
        kinds=None if webhook.kinds is None else list(webhook.kinds),
        status=webhook.status,
        next_seq=webhook.next_seq,
        lag=webhook.lag,
        attempts=webhook.attempts,
        next_attempt_at=webhook.next_attempt_at,
        created_at=webhook.created_at,
    )


def outcome_out(outcome: Outcome) -> OutcomeOut:
    """Return what came of a test."""
    return OutcomeOut(
        is_delivered=outcome.is_delivered,
        status_code=outcome.status_code,
        error=outcome.error,
        milliseconds=outcome.milliseconds,
    )
