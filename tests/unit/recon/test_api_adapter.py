"""The API adapter against a scripted server: pages, bounds, and what a server may not do."""

import asyncio
import json
import sys
from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any

import httpx
import pytest

from recon_service.domain.config import BANK_API, SourceConfig, patched
from recon_service.domain.records import RawRead
from recon_service.readers.api_adapter import APIAdapter
from recon_service.readers.errors import SourceUnreadable

DAY = date(2025, 7, 13)
CONFIG = patched(BANK_API, {"url": "https://bank.example/v1/tx?day={date}", "records_path": "data"})

Answer = Callable[[httpx.Request], httpx.Response]


def a_transaction(txn_id: str = "T1", **changes: Any) -> dict[str, Any]:
    record = {"txn_id": txn_id, "timestamp": "2025-07-13T10:00:00Z", "amount": "1.50"}
    return record | {"currency": "EUR", "description": "rent"} | changes


def page(*records: Any, following: Any = None) -> httpx.Response:
    return httpx.Response(200, json={"data": list(records), "next": following})


async def read(answer: Answer, config: SourceConfig = CONFIG, **bounds: Any) -> RawRead:
    adapter = APIAdapter(
        config, hosts={"bank.example"}, transport=httpx.MockTransport(answer), **bounds
    )
    return await adapter.read(DAY)


async def refusal(answer: Answer, config: SourceConfig = CONFIG, **bounds: Any) -> str:
    with pytest.raises(SourceUnreadable) as caught:
        await read(answer, config, **bounds)
    return caught.value.code


async def test_the_day_is_asked_for_and_every_page_followed() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        if "page=2" in asked[-1]:
            return page(a_transaction("T2"))
        return page(a_transaction("T1"), following="/v1/tx?page=2")

    found = await read(answer)
    assert asked == [
        "https://bank.example/v1/tx?day=2025-07-13",
        "https://bank.example/v1/tx?page=2",
    ]
    assert found.frame["txn_id"].to_list() == ["T1", "T2"]
    assert (found.lines, found.frame["line_no"].to_list()) == (2, [1, 2])


async def test_numbers_keep_every_digit() -> None:
    body = b'{"data":[{"txn_id":1,"timestamp":"t","amount":0.10000000000000000005}]}'
    found = await read(lambda _: httpx.Response(200, content=body))
    assert found.frame["amount"].item() == "0.10000000000000000005"
    assert found.frame["txn_id"].item() == "1"


async def test_fields_may_lie_deeper() -> None:
    config = patched(CONFIG, {"columns": {"amount": "money.value"}})
    record = a_transaction(money={"value": "9.99"})
    assert (await read(lambda _: page(record), config)).frame["amount"].item() == "9.99"


async def test_bad_records_are_rejected_one_by_one() -> None:
    records = [
        a_transaction("T1"),
        "text",
        a_transaction("T3", amount={"value": 1}),
        a_transaction("T4", amount=True),
        a_transaction("T5", description="a\0b"),
        a_transaction("T6", description="\ud800"),
        a_transaction("T7", description=None),
    ]
    body = json.dumps({"data": records}).encode()
    found = await read(lambda _: httpx.Response(200, content=body))
    assert found.frame["txn_id"].to_list() == ["T1", "T7"]
    assert dict(found.rejected.select("line_no", "reason").iter_rows()) == {
        2: "the record is not an object",
        3: "amount is neither text nor a number",
        4: "amount is neither text nor a number",
        5: "description has a character that is not text",
        6: "description has a character that is not text",
    }
    assert found.lines == len(records)


async def test_only_allowed_hosts_are_asked() -> None:
    elsewhere = patched(CONFIG, {"url": "http://169.254.169.254/latest"})
    assert await refusal(lambda _: page(), elsewhere) == "host-not-allowed"
    following = "http://localhost:8000/ledger/"
    assert await refusal(lambda _: page(following=following)) == "host-not-allowed"
    assert await refusal(lambda _: page(following="file:///etc/passwd")) == "host-not-allowed"


async def test_a_redirect_is_an_answer_we_do_not_want() -> None:
    redirect = httpx.Response(302, headers={"Location": "http://localhost/"})
    assert await refusal(lambda _: redirect) == "api-answer"


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(200, content=b"<html>"),
        httpx.Response(200, content=b"[" * 100_000),
        httpx.Response(200, json={"data": {}}),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"data": [], "next": 5}),
    ],
)
async def test_an_answer_that_is_not_a_list_of_records_is_refused(answer: httpx.Response) -> None:
    assert await refusal(lambda _: answer) == "api-answer"


def _answer_with(body: bytes, _: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=body)


async def test_an_answer_nested_to_the_limit_of_python_is_refused() -> None:
    bare = patched(CONFIG, {"records_path": None})
    limit = sys.getrecursionlimit()
    codes = set()
    for depth in range(limit - 200, limit):
        body = b"[" + b"[" * depth + b"]" * depth + b"]"
        try:
            await read(partial(_answer_with, body), bare)
        except SourceUnreadable as error:
            codes.add(error.code)
    assert codes == {"api-answer"}


async def test_a_circle_of_pages_ends() -> None:
    assert await refusal(lambda request: page(following=str(request.url))) == "api-answer"


async def test_pages_and_bytes_are_bounded() -> None:
    numbers = iter(range(100))

    def endless(_: httpx.Request) -> httpx.Response:
        return page(a_transaction(), following=f"?page={next(numbers)}")

    assert await refusal(endless, pages_max=5) == "api-answer"
    assert await refusal(endless, bytes_max=300) == "file-too-large"


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route", request=request)

    assert await refusal(broken) == "api-unreachable"


async def test_the_whole_reading_has_a_deadline() -> None:
    async def silent(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        return page()

    adapter = APIAdapter(
        CONFIG,
        hosts={"bank.example"},
        deadline_seconds=0.01,
        transport=httpx.MockTransport(silent),
    )
    with pytest.raises(SourceUnreadable, match=r"within 0\.01 seconds"):
        await adapter.read(DAY)


async def test_an_unshaped_list_at_the_top_is_one_page() -> None:
    config = patched(CONFIG, {"records_path": None})
    answer = httpx.Response(200, json=[a_transaction("T1")])
    assert (await read(lambda _: answer, config)).frame["txn_id"].to_list() == ["T1"]
