"""Keys outlive the programs that hash them: a request has the fingerprint that it ever had."""

from typing import Any

import pytest

from ledger_service.api.batch_reader import asked_of, pack_batch
from ledger_service.api.bodies import BatchItem, TransferBody
from ledger_service.api.keys import batch_key, opening_key, transfer_fingerprint
from ledger_service.api.models_accounts import OpenAccountBody
from ledger_service.domain.commands import Condition, Transfer
from shared.money import Currencies

PLAIN: dict[str, Any] = {
    "source_account_id": "01980b5c-6f5e-7c3a-9d55-0d4f4d1f2a10",
    "destination_account_id": "01980b5c-6f5f-7a01-8d10-0d4f4d1f2a11",
    "amount": "1.50",
    "currency": "USD",
}
FULL = PLAIN | {
    "reference": "R",
    "metadata": {"b": 1, "a": "ü"},
    "effective_at": "2025-07-13T10:00:00Z",
}
CONDITION = {"account_id": PLAIN["source_account_id"], "expected_position": 3}


@pytest.mark.parametrize(
    ("body", "fingerprint"),
    [(PLAIN, "cb27400a929e2c6f8d4962c963e7c767"), (FULL, "83812fc4fd7b0e128b150a8e8875ce6c")],
)
def test_transfers_without_conditions_keep_their_fingerprints(
    body: dict[str, Any], fingerprint: str
) -> None:
    assert transfer_fingerprint(TransferBody.model_validate(body)).hex() == fingerprint
    with_none = TransferBody.model_validate(body | {"conditions": []})
    assert transfer_fingerprint(with_none).hex() == fingerprint


def test_conditions_are_a_part_of_the_fingerprint() -> None:
    bodies = [
        PLAIN,
        PLAIN | {"conditions": [CONDITION]},
        PLAIN | {"conditions": [CONDITION | {"expected_position": 4}]},
        PLAIN | {"conditions": [CONDITION | {"min_balance_after": "1"}]},
        PLAIN | {"conditions": [CONDITION, CONDITION]},
    ]
    found = {transfer_fingerprint(TransferBody.model_validate(body)) for body in bodies}
    assert len(found) == len(bodies)


def test_batches_without_conditions_keep_their_fingerprints() -> None:
    items = [BatchItem.model_validate(PLAIN), BatchItem(**FULL, idempotency_key="x")]
    key = batch_key("k", "atomic", items)
    assert key is not None
    assert key.fingerprint.hex() == "2abbeb675df70eeee89419229d8a131b"


def test_conditions_of_an_item_reach_its_command() -> None:
    asked_for = [CONDITION, {"account_id": CONDITION["account_id"], "min_balance_after": "-2.5"}]
    items = [BatchItem.model_validate(body) for body in (PLAIN, PLAIN | {"conditions": asked_for})]
    (packed,) = pack_batch("independent", items, None).slices
    plain, conditional = (asked.command for asked in asked_of(packed, Currencies()))
    assert isinstance(plain, Transfer)
    assert isinstance(conditional, Transfer)
    assert plain.conditions == ()
    account_id = items[0].source_account_id
    assert conditional.conditions == (
        Condition(account_id, 3, None),
        Condition(account_id, None, "-2.5"),
    )


@pytest.mark.parametrize(
    ("body", "fingerprint"),
    [
        ({"currency": "USD", "type": "user"}, "ecc2c2d5b9045fdf85c052ecfe5d6a80"),
        (
            {
                "currency": "USD",
                "type": "internal",
                "overdraft": {"policy": "floor", "limit": "5"},
                "metadata": {"a": 1},
            },
            "29051b0e68a8968e73ede6cc534cddb2",
        ),
    ],
)
def test_openings_without_what_was_added_keep_their_fingerprints(
    body: dict[str, Any], fingerprint: str
) -> None:
    key = opening_key("k", OpenAccountBody.model_validate(body))
    assert key is not None
    assert key.fingerprint.hex() == fingerprint
    for added in ({"code": "a:b"}, {"ceiling": "5"}, {"limits_on": "available"}):
        other = opening_key("k", OpenAccountBody.model_validate(body | added))
        assert other is not None
        assert other.fingerprint != key.fingerprint
