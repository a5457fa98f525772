"""The lean lane and the ordinary route of the same path answer alike, whatever is sent."""

import json
from typing import Any

import httpx
import pytest

from tests.integration.ledger.calls import balance, open_account

JSON = {"Content-Type": "application/json"}
PATHS = ("/ledger/transfer/", "/ledger/transfer", "/ledger/batch/")
ORDINARY = "?ordinary"  # the lane knows no query, the ordinary route does not mind one
VARYING = {"transaction_id", "seq", "recorded_at", "effective_at", "instance", "balances"}


async def both(
    client: httpx.AsyncClient, path: str, content: bytes, headers: dict[str, str]
) -> tuple[httpx.Response, httpx.Response]:
    return (
        await client.post(path, content=content, headers=headers),
        await client.post(path + ORDINARY, content=content, headers=headers),
    )


def comparable(answer: httpx.Response) -> tuple[Any, ...]:
    """All of an answer but what differs between any two postings."""
    document = answer.json()
    if "results" in document:
        document["results"] = [_steady(result) for result in document["results"]]
    headers = {name for name, _ in answer.headers.items()}
    return answer.status_code, answer.headers["Content-Type"], headers, _steady(document)


def _steady(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in VARYING}


def bodies(source: str, destination: str) -> dict[str, dict[str, Any]]:
    plain = {
        "source_account_id": source,
        "destination_account_id": destination,
        "amount": "1.00",
        "currency": "USD",
    }
    return {
        "plain": plain,
        "all fields": plain
        | {
            "reference": "Überweisung „7“",
            "effective_at": "2025-07-13T10:00:00.123+02:00",
            "metadata": {"z": [1, None, {"ü": "\u2028"}], "a": 1.5},
        },
        "capital id": plain | {"source_account_id": source.upper()},
        "refused": plain | {"amount": "1.001"},
        "unknown account": plain | {"source_account_id": "0" * 32},
        "unknown currency": plain | {"currency": "XQX"},
        "missing field": {name: value for name, value in plain.items() if name != "amount"},
        "unknown field": plain | {"colour": "red"},
        "number for amount": plain | {"amount": 1},
        "bad id": plain | {"source_account_id": "no id"},
        "bad time": plain | {"effective_at": "yesterday"},
        "NUL": plain | {"reference": "a\0b"},
        "a list": [plain],  # type: ignore[dict-item]
    }


CASES = list(bodies("", ""))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("path", PATHS)
async def test_both_ways_give_the_same_answer(
    ledger: httpx.AsyncClient, path: str, case: str
) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    body: Any = bodies(funding, user)[case]
    if "batch" in path:
        body = {"transfers": body if isinstance(body, list) else [body]}
    lean, ordinary = await both(ledger, path, json.dumps(body).encode(), JSON)
    assert comparable(lean) == comparable(ordinary)
    posted = 2 if lean.status_code in (200, 201) and "code" not in lean.text else 0
    assert await balance(ledger, user) == f"{posted}.00"


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"", JSON),
        (b"{", JSON),
        (b"null", JSON),
        (b'{"amount":"1","amount":"1"}', JSON),
        (b'{"amount":NaN}', JSON),
        (b'"\\ud800"', JSON),
        (b"\xff", JSON),
        (b"{}", {"Content-Type": "text/plain"}),
        (b"{}", {}),
        (b"{}", JSON | {"Idempotency-Key": "x" * 256}),
        (b" " * 20_000_000, JSON),
    ],
    ids=[
        "empty",
        "cut",
        "null",
        "twice",
        "NaN",
        "surrogate",
        "not UTF-8",
        "text",
        "no type",
        "key",
        "huge",
    ],
)
@pytest.mark.parametrize("path", PATHS)
async def test_both_ways_refuse_alike(
    ledger: httpx.AsyncClient, path: str, content: bytes, headers: dict[str, str]
) -> None:
    lean, ordinary = await both(ledger, path, content, headers)
    assert comparable(lean) == comparable(ordinary)
    assert 400 <= lean.status_code < 500
    assert (await ledger.get("/ledger/head")).json()["seq"] == 0


async def test_a_key_is_one_key_both_ways(ledger: httpx.AsyncClient) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    for number, body in enumerate(bodies(funding, user).values()):
        headers = JSON | {"Idempotency-Key": f'"pay-{number}"'}
        content = json.dumps(body).encode()
        lean, ordinary = await both(ledger, PATHS[0], content, headers)
        assert lean.content == ordinary.content
        if lean.status_code == 201:
            assert "Idempotency-Replayed" not in lean.headers
            assert ordinary.headers["Idempotency-Replayed"] == "true"


async def test_the_lane_sends_what_every_answer_has(ledger: httpx.AsyncClient) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    content = json.dumps(bodies(funding, user)["plain"]).encode()
    answer = await ledger.post(PATHS[0], content=content, headers=JSON | {"X-Request-ID": "mine-7"})
    assert answer.headers["X-Request-ID"] == "mine-7"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    odd = await ledger.post(PATHS[0], content=content, headers=JSON | {"X-Request-ID": "a b"})
    assert len(odd.headers["X-Request-ID"]) == 36
    figures = (await ledger.get("/metrics")).text
    assert (
        'http_requests_total{method="POST",route="/ledger/transfer/",status="201"} 2.0' in figures
    )
