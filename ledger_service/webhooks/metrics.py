"""What /metrics tells of webhooks: how far each is behind, and how many attempts ended how."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge

from ledger_service.repositories.webhooks import Outcome, Webhook


class WebhookMetrics:
    """Counts in a service's registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("ledger", "webhook_id")
        self._lag = Gauge(
            "ledger_webhook_lag_seq",
            "entries from the webhook's next one to the last one",
            (*labels, "status"),
            registry=registry,
        )
        self._attempts = Counter(
            "ledger_webhook_attempts",
            "requests to webhooks by this process",
            (*labels, "outcome"),
            registry=registry,
        )

    def watch(self, webhooks: Sequence[Webhook]) -> None:
        """Show where all webhooks stand now; those that are no more disappear."""
        self._lag.clear()
        for one in webhooks:
            self._lag.labels(one.ledger_name, str(one.webhook_id), one.status).set(one.lag)

    def count(self, webhook: Webhook, outcome: Outcome) -> None:
        """Count an attempt."""
        ended = "delivered" if outcome.is_delivered else "failed"
        self._attempts.labels(webhook.ledger_name, str(webhook.webhook_id), ended).inc()
