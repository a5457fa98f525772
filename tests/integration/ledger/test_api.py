"""The ledger as its callers see it: the four calls of the README, lists, streams, problems."""

import csv
import io
import json
from datetime import datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.integration.ledger.calls import balance, open_account, transfer

PROBLEM = "application/problem+json"


async def test_the_four_calls_as_written(ledger: httpx.AsyncClient) -> None:
    john = await ledger.post(
        "/ledger/account/",
        json={"currency": "USD", "type": "user", "metadata": {"name": "John Doe"}},
    )
    assert john.status_code == 201
    john_id = john.json()["account_id"]
    funding = await open_account(ledger, "internal")
    posted = await ledger.post(
        "/ledger/transfer/",
        json={
            "source_account_id": funding,
            "destination_account_id": john_id,
            "amount": "100.50",
            "currency": "USD",
            "metadata": {"description": "Payment for services"},
        },
    )
    assert posted.status_code == 201
    assert posted.json()["balances"] == {funding: "-100.50", john_id: "100.50"}
    found = await ledger.get(f"/ledger/account/{john_id}/balance")
    assert found.json() | {"seq": None} == {
        "account_id": john_id,
        "currency": "USD",
        "normal_side": "credit",
        "balance": "100.50",
        "pending_debits": "0.00",
        "pending_credits": "0.00",
        "available": "100.50",
        "debits": "0.00",
        "credits": "100.50",
        "position": 1,
        "seq": None,
    }
    listed = await ledger.get("/ledger/events/", params={"account_id": john_id, "limit": 50})
    (event,) = listed.json()["events"]
    assert event["transaction_id"] == posted.json()["transaction_id"]
    assert (event["direction"], event["amount"], event["balance_after"]) == (
        "credit",
        "100.50",
        "100.50",
    )
    assert event["description"] == "Payment for services"
    everything = (await ledger.get("/ledger/events/")).json()["events"]
    assert [row["direction"] for row in everything] == ["debit", "credit"]


@pytest.mark.parametrize(
    "path", ["/ledger/account", "/ledger/events", "/ledger/transactions", "/ledger/head/"]
)
async def test_a_path_answers_with_and_without_its_slash(
    ledger: httpx.AsyncClient, path: str
) -> None:
    other = path.rstrip("/") if path.endswith("/") else path + "/"
    one, two = await ledger.get(path), await ledger.get(other)
    assert (one.status_code, one.json()) == (200, two.json())


async def test_lists_page_through_everything_once_and_in_order(ledger: httpx.AsyncClient) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    for number in range(7):
        assert (await transfer(ledger, funding, user, f"{number + 1}.00")).status_code == 201
    link: str | None = "/ledger/events/?limit=3"
    seen = []
    while link:
        page = (await ledger.get(link)).json()
        assert len(page["events"]) <= 3
        seen += [(event["seq"], event["line"]) for event in page["events"]]
        link = page["next"]
    assert seen == [(seq, line) for seq in range(3, 10) for line in (1, 2)]
    amounts = []
    link = "/ledger/transactions/?limit=2"
    while link:
        page = (await ledger.get(link)).json()
        amounts += [row["amounts"][0]["amount"] for row in page["transactions"]]
        link = page["next"]
    assert amounts == [f"{number + 1}.00" for number in range(7)]
    first = (await ledger.get("/ledger/account/?limit=1")).json()
    second = (await ledger.get(first["next"])).json()
    assert [page["accounts"][0]["account_id"] for page in (first, second)] == [funding, user]
    assert second["next"] is None


async def test_a_list_can_be_bounded_by_history_and_by_effective_time(
    ledger: httpx.AsyncClient,
) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    for day in (10, 11, 12):
        posted = await transfer(
            ledger,
            funding,
            user,
            "1.00",
            reference=f"R{day}",
            effective_at=f"2025-07-{day}T12:00:00+02:00",
        )
        assert posted.json()["effective_at"] == f"2025-07-{day}T10:00:00.000000Z"

    async def references(**params: str | int) -> list[str]:
        answer = await ledger.get("/ledger/transactions/", params=params)
        return [row["reference"] for row in answer.json()["transactions"]]

    bounds = {"effective_from": "2025-07-11T10:00:00Z", "effective_to": "2025-07-12T09:59:59Z"}
    assert await references(**bounds) == ["R11"]
    assert await references(after_seq=3, up_to_seq=4) == ["R11"]
    assert await references(reference="R12") == ["R12"]


@pytest.mark.parametrize(
    "instant",
    [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "1899-12-31T23:59:59Z",
        "9999-12-31T23:59:59-14:00",
        "2025-07-13T10:00:00",
        "2025-07-13",
        "2025-02-30T10:00:00Z",
        "infinity",
        1752400800,
    ],
)
async def test_an_instant_that_cannot_be_kept_is_refused(
    ledger: httpx.AsyncClient, instant: object
) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    answer = await transfer(ledger, funding, user, "1.00", effective_at=instant)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    listed = await ledger.get("/ledger/events/", params={"effective_from": str(instant)})
    assert listed.status_code == 422
    assert await balance(ledger, user) == "0.00"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("application/json, text/csv;q=0.1", "application/json"),
        ("text/csv;q=0, application/json", "application/json"),
        ("text/csv, application/json;q=0.5", "text/csv"),
        ("application/x-ndjson", "application/x-ndjson"),
    ],
)
async def test_the_preferred_media_type_decides_between_page_and_stream(
    ledger: httpx.AsyncClient, accept: str, media_type: str
) -> None:
    answer = await ledger.get("/ledger/events/", headers={"Accept": accept})
    assert answer.headers["content-type"].partition(";")[0] == media_type


async def test_streams_hold_every_row_with_exact_amounts(ledger: httpx.AsyncClient) -> None:
    funding = await open_account(ledger, "internal", currency="KWD")
    user = await open_account(ledger, currency="KWD")
    text = 'comma, "quotes"\nnew line \\ and ümlaut'
    for amount in ("0.001", "99999999999999.999"):
        posted = await transfer(
            ledger, funding, user, amount, currency="KWD", metadata={"description": text}
        )
        assert posted.status_code == 201, posted.text
    answer = await ledger.get("/ledger/transactions/", headers={"Accept": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["amount"] for row in rows] == ["0.001", "99999999999999.999"]
    assert {row["description"] for row in rows} == {text}
    lines = await ledger.get("/ledger/events/", headers={"Accept": "application/x-ndjson"})
    events = [json.loads(line) for line in lines.text.splitlines()]
    assert [event["amount"] for event in events] == [
        "0.001",
        "0.001",
        "99999999999999.999",
        "99999999999999.999",
    ]
    page = (await ledger.get("/ledger/events/")).json()["events"]
    assert page == events


async def test_a_csv_cell_never_becomes_a_formula(ledger: httpx.AsyncClient) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    await transfer(ledger, funding, user, "1.00", reference="=1+1", metadata={"description": "@x"})
    answer = await ledger.get("/ledger/transactions/", headers={"Accept": "text/csv"})
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert (row["reference"], row["description"]) == ("'=1+1", "'@x")


async def test_a_transaction_can_be_got_by_its_id(ledger: httpx.AsyncClient) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    posted = (
        await transfer(ledger, funding, user, "2.50", metadata={"a": [1, {"b": None}]})
    ).json()
    found = (await ledger.get(f"/ledger/transactions/{posted['transaction_id']}")).json()
    assert (found.pop("left_to_reverse"), found.pop("reversed_by")) == ("2.50", [])
    assert found == {name: value for name, value in posted.items() if name != "balances"}


@pytest.mark.parametrize(
    "path", ["/ledger/account/{}", "/ledger/account/{}/balance", "/ledger/transactions/{}"]
)
async def test_what_does_not_exist_is_a_404_problem(ledger: httpx.AsyncClient, path: str) -> None:
    answer = await ledger.get(path.format(uuid4()))
    assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM)
    assert answer.json()["code"] == "not_found"
    an_account = await open_account(ledger)
    assert (await ledger.get(f"/ledger/transactions/{an_account}")).status_code == 404


async def test_a_refusal_carries_its_code_and_numbers_and_changes_nothing(
    ledger: httpx.AsyncClient,
) -> None:
    user, other = await open_account(ledger), await open_account(ledger)
    head = (await ledger.get("/ledger/head")).json()
    answer = await transfer(ledger, user, other, "5.00")
    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM)
    problem = answer.json()
    assert problem["code"] == "insufficient_funds"
    assert (problem["available"], problem["shortfall"]) == ("0.00", "5.00")
    assert (await ledger.get("/ledger/head")).json() == head


BAD_BODIES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'{"currency":"USD"}',
    b'{"currency":"USD","type":"user","extra":1}',
    b'{"currency":"usd","type":"user"}',
    b'{"currency":"USD\\n","type":"user"}',
    b'{"currency":"USD","type":"admin"}',
    b'{"currency":true,"type":"user"}',
    b'{"currency":"USD","type":"user","metadata":{"x":"\\u0000"}}',
    b'{"currency":"USD","type":"user","metadata":{"\\ud800":1}}',
    b'{"currency":"USD","type":"user","metadata":{"x":NaN}}',
    b'{"currency":"USD","type":"user","metadata":{"x":1e999}}',
    b'{"currency":"USD","type":"user","metadata":{"x":' + b"9" * 5000 + b"}}",
    b'{"currency":"USD","type":"user","metadata":{"x":12345678901234567890}}',
    b'{"currency":"USD","type":"user","metadata":' + b'{"a":' * 50 + b"1" + b"}" * 51,
    b'{"currency":"USD","type":"user","metadata":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"currency":"USD","type":"user","overdraft":{"policy":"floor"}}',
    b'{"currency":"USD","type":"user","overdraft":{"policy":"allowed","limit":"1"}}',
    b'{"currency":"USD","currency":"EUR","type":"user"}',
    b'{"currency":"USD","type":"user","metadata":{"x":{"a":1,"a":2}}}',
    b'{"currency":"USD","type":"user","metadata":{"x":1e300}}',
    b'{"currency":"USD","type":"user","metadata":{"x":1e-300}}',
    b"\xff\xfe\x00",
]


async def test_a_bad_body_is_a_problem_and_never_a_500(ledger: httpx.AsyncClient) -> None:
    for body in BAD_BODIES:
        answer = await ledger.post(
            "/ledger/account/", content=body, headers={"content-type": "application/json"}
        )
        assert answer.status_code in {400, 422}, (body[:80], answer.text)
        assert answer.headers["content-type"] == PROBLEM
    assert (await ledger.get("/ledger/head")).json()["seq"] == 0


async def test_an_amount_that_is_not_a_short_text_is_refused(ledger: httpx.AsyncClient) -> None:
    for amount in (10, 10.5, True, None, ["10"], "10" * 40):
        answer = await ledger.post(
            "/ledger/transfer/",
            json={
                "source_account_id": str(uuid4()),
                "destination_account_id": str(uuid4()),
                "amount": amount,
                "currency": "USD",
            },
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), amount


async def test_transport_errors_are_problems_too(ledger: httpx.AsyncClient) -> None:
    cases = [
        (await ledger.get("/nowhere"), 404, "not_found"),
        (await ledger.get("/ledger/account//"), 404, "not_found"),
        (await ledger.get("/ledger/account/%2F"), 404, "not_found"),
        (await ledger.delete("/ledger/events/"), 405, "method_not_allowed"),
        (await ledger.post("/ledger/account/", content=b"a=b"), 415, "unsupported_media_type"),
        (
            await ledger.post(
                "/ledger/account/",
                content=b" " * 1_100_000,
                headers={"content-type": "application/json"},
            ),
            413,
            "body_too_large",
        ),
        (await ledger.get("/ledger/events/?limit=0"), 422, "invalid_request"),
        (await ledger.get("/ledger/events/?cursor=!!"), 422, "invalid_cursor"),
        (await ledger.get("/ledger/transactions/?reference=%00"), 422, "invalid_request"),
        (await ledger.get("/ledger/events/?effective_from=2025-07-13"), 422, "invalid_request"),
        (await ledger.get("/ledger/events/?effective_from=1752364800"), 422, "invalid_request"),
    ]
    for answer, status, code in cases:
        assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)
        assert answer.json()["code"] == code


async def test_a_cursor_of_another_list_is_refused(ledger: httpx.AsyncClient) -> None:
    for _ in range(2):
        await open_account(ledger)
    cursor = (await ledger.get("/ledger/account/?limit=1")).json()["next_cursor"]
    answer = await ledger.get("/ledger/events/", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")


async def test_probes_metrics_and_docs_answer_from_the_service_itself(
    ledger: httpx.AsyncClient,
) -> None:
    assert (await ledger.get("/livez")).json() == {"status": "ok"}
    assert (await ledger.get("/readyz")).json()["status"] == "ok"
    assert "http_requests_total" in (await ledger.get("/metrics")).text
    for page in ("/docs", "/redoc"):
        html = (await ledger.get(page)).text
        assert "cdn" not in html.lower()
        assert "https://" not in html
    assert (await ledger.get("/static-offline-docs/swagger-ui-bundle.js")).status_code == 200


async def test_the_request_id_of_the_caller_is_kept(ledger: httpx.AsyncClient) -> None:
    answer = await ledger.get("/livez", headers={"X-Request-ID": "night-42"})
    assert answer.headers["X-Request-ID"] == "night-42"
    answer = await ledger.get("/livez", headers={"X-Request-ID": "bad id\x7f"})
    assert answer.headers["X-Request-ID"] != "bad id\x7f"


async def test_recorded_times_are_aware_and_never_run_back(ledger: httpx.AsyncClient) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    for _ in range(5):
        await transfer(ledger, funding, user, "1.00")
    rows = (await ledger.get("/ledger/transactions/")).json()["transactions"]
    times = [datetime.fromisoformat(row["recorded_at"]) for row in rows]
    assert all(time.tzinfo is not None for time in times)
    assert times == sorted(times)
    assert await balance(ledger, user) == "5.00"


async def test_the_examples_in_the_api_document_work_when_they_are_pressed(
    ledger: httpx.AsyncClient,
) -> None:
    funding, user = await open_account(ledger, "internal"), await open_account(ledger)
    for kind, currency in (("internal", "USD"), ("internal", "EUR"), ("user", "EUR")):
        await open_account(ledger, kind, currency=currency)
    await transfer(ledger, funding, user, "1.00")
    june = {"starts_at": "2025-06-01T00:00:00Z", "ends_at": "2025-07-01T00:00:00Z"}
    await ledger.post("/ledger/period/", json={"name": "June"} | june)
    for path, operations in (await _document(ledger))["paths"].items():
        for method in operations:
            await _prepare(ledger, path, funding, user)
            document = await _document(ledger)  # once more: its ids are those of this moment
            operation = document["paths"][path][method]
            answer = await ledger.request(
                method, _with_examples(path, operation), json=_example_body(document, operation)
            )
            if answer.status_code in {404, 409} and path.startswith(WAITING_FOR_A_SEAL):
                continue
            assert answer.status_code in {200, 201, 204}, (method, path, answer.text)


WAITING_FOR_A_SEAL = ("/ledger/proof/", "/ledger/seal/")


async def _document(ledger: httpx.AsyncClient) -> dict[str, Any]:
    document: dict[str, Any] = (await ledger.get("/openapi.json")).json()
    return document


async def _prepare(ledger: httpx.AsyncClient, path: str, funding: str, user: str) -> None:
    """Make what the examples of a path name where an operation before has ended it."""
    if "{hold_id}" in path:
        ends = {"source_account_id": funding, "destination_account_id": user}
        await ledger.post("/ledger/hold/", json=ends | {"amount": "90.00", "currency": "USD"})
    if "{webhook_id}" in path:
        await ledger.post("/ledger/webhook/", json={"url": "https://example.com/hook"})


def _with_examples(path: str, operation: dict[str, Any]) -> str:
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            (example,) = parameter["examples"].values()
            path = path.replace(f"{{{parameter['name']}}}", str(example["value"]))
        elif parameter.get("required"):
            path += f"?{parameter['name']}=1"  # typed by whoever presses
    return path


def _example_body(document: dict[str, Any], operation: dict[str, Any]) -> Any:
    if "requestBody" not in operation:
        return None
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    schema = schema.get("$ref") or schema["anyOf"][0]["$ref"]
    return document["components"]["schemas"][schema.rsplit("/", 1)[1]]["examples"][0]
