"""Sources are rows: readable, changeable, versioned; a run stores the version that it used."""

import asyncio
import json
from pathlib import Path

import httpx

from tests.conftest import Serve
from tests.integration.recon.books import Books, july, line, open_books
from tests.postgres import TestDatabases

PATH = "/recon/sources/bank_csv"


async def test_a_changed_policy_changes_the_decision(books: Books) -> None:
    await books.post("TXN-1", "100.00")
    name = books.statement("one.csv", line("TXN-1", "100.04"))
    first = await books.run(name)
    assert (await books.summary())["exact"] == 0
    changed = await books.recon.patch(
        PATH, json={"policy": {"amount_tolerance": {"absolute": "0.05"}}}
    )
    assert changed.status_code == 200, changed.text
    source = changed.json()
    assert source["version"] == 2
    assert source["config"]["policy"]["window"] == {
        "before_days": 1,
        "after_days": 2,
        "unit": "calendar_days",
        "calendar": None,
    }
    second = await books.run(name)
    assert (await books.summary())["exact"] == 1
    assert (first["source_version"], second["source_version"]) == (1, 2)
    [entry] = await books.logs()
    assert (entry["external_amount"], entry["internal_amount"]) == ("100.04", "100.00")


async def test_percent_and_window_mean_what_they_say(books: Books) -> None:
    await books.post("TXN-1", "100.00", july(10))
    name = books.statement("one.csv", line("TXN-1", "109.00", july(15)))
    policy = {"amount_tolerance": {"percent": "10"}, "window": {"after_days": 5}}
    await books.recon.patch(PATH, json={"policy": policy})
    await books.run(name, july(15))
    assert (await books.summary(july(15)))["exact"] == 1
    await books.recon.patch(PATH, json={"policy": {"window": {"after_days": 4}}})
    await books.run(name, july(15))
    assert (await books.summary(july(15)))["exact"] == 0


async def test_only_supported_currencies_are_accepted(books: Books) -> None:
    await books.recon.patch(PATH, json={"currencies": ["EUR"]})
    await books.run(books.statement("one.csv", line("TXN-1", "10.00")))
    summary = await books.summary()
    assert (summary["accepted"], summary["rejected"]) == (0, 1)
    [rejected] = (await books.recon.get("/recon/rejected")).json()["rejected"]
    assert "USD" in rejected["reason"]
    assert rejected["line_no"] == 2


async def test_a_source_with_an_account_compares_with_its_signed_events(books: Books) -> None:
    await books.post("TXN-1", "10.00")
    debited, credited = books.accounts
    await books.recon.patch(PATH, json={"ledger_account_id": credited})
    await books.run(books.statement("in.csv", line("TXN-1", "10.00")))
    assert (await books.summary())["exact"] == 1
    await books.recon.patch(PATH, json={"ledger_account_id": debited})
    await books.run(books.statement("out.csv", line("TXN-1", "-10.00")))
    assert (await books.summary())["exact"] == 1
    await books.run(books.statement("wrong.csv", line("TXN-1", "10.00")))
    summary = await books.summary()
    assert summary["exact"] == 0
    assert (await books.logs())[0]["cause"] == "reversed_sign"


async def test_an_account_that_a_source_moved_away_from_keeps_its_open_items(books: Books) -> None:
    posted = await books.post("TXN-1", "10.00")
    debited, credited = books.accounts
    await books.recon.patch(PATH, json={"ledger_account_id": credited})
    name = books.statement("in.csv", line("TXN-1", "10.00"))
    await books.run(name)
    await books.recon.patch(PATH, json={"ledger_account_id": debited})
    await books.run(name)
    breaks = (await books.recon.get("/recon/breaks?side=ledger")).json()["breaks"]
    (left,) = [one for one in breaks if one["population"] == credited]
    assert (left["status"], left["amount"]) == ("open", "10.00")
    assert left["key"].startswith(posted["transaction_id"])


async def test_a_line_that_says_end_of_data_is_a_text_like_any_other(books: Books) -> None:
    await books.post("TXN-1", "10.00", description="first\n\\.\nlast")
    await books.run(books.statement("in.csv", line("TXN-1", "10.00")))
    (row,) = await books.logs()
    assert row["matched"]
    assert row["internal_text"].startswith("first")
    assert row["internal_text"].endswith("last")


async def test_an_unknown_account_is_a_failed_run_with_a_sentence(books: Books) -> None:
    nobody = "01890000-0000-7000-8000-000000000000"
    await books.recon.patch(PATH, json={"ledger_account_id": nobody})
    name = books.statement("one.csv", line("TXN-1", "10.00"))
    failed = await books.run(name, expect="failed")
    assert failed["error"]["code"] == "unknown-account"
    assert nobody in failed["error"]["detail"]


async def test_an_api_is_read_page_by_page(
    databases: TestDatabases, serve: Serve, ledger: httpx.AsyncClient, tmp_path: Path
) -> None:
    pages = {
        "/day?date=2025-07-13": {"transactions": [record("TXN-1", 10.5)], "next": "/day?page=2"},
        "/day?page=2": {"transactions": [record("TXN-2", "20.00")], "next": None},
    }

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
        body = json.dumps(pages[target]).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        writer.write(f"{head}\r\nConnection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as bank:
        host = "{}:{}".format(*bank.sockets[0].getsockname()[:2])
        books = await open_books(databases, serve, ledger, tmp_path, api_hosts=[host])
        await books.post("TXN-1", "10.50")
        await books.post("TXN-2", "20.00")
        url = f"http://{host}/day?date={{date}}"
        await books.recon.patch("/recon/sources/bank_api", json={"url": url})
        await books.run(None, source="bank_api")
        assert (await books.summary(source="bank_api"))["exact"] == 2
        other = f"http://localhost:{bank.sockets[0].getsockname()[1]}/day"
        await books.recon.patch("/recon/sources/bank_api", json={"url": other})
        failed = await books.run(None, source="bank_api", expect="failed")
        assert failed["error"]["code"] == "host-not-allowed"
        file = await books.ask("one.csv", source="bank_api")
        assert file.json()["code"] == "invalid_statement"


def record(txn_id: str, amount: float | str) -> dict[str, object]:
    """Return a record as the bank's API words it."""
    return {
        "txn_id": txn_id,
        "timestamp": "2025-07-13T12:00:00Z",
        "amount": amount,
        "currency": "USD",
        "description": "",
    }


async def test_every_version_is_kept_and_a_wrong_one_is_refused(books: Books) -> None:
    before = (await books.recon.get(PATH)).headers["ETag"]
    first = await books.recon.patch(
        PATH, json={"time_zone": "Europe/Berlin"}, headers={"If-Match": before}
    )
    assert (first.status_code, first.headers["ETag"]) == (200, '"2"')
    lost = await books.recon.patch(
        PATH, json={"time_zone": "Asia/Tokyo"}, headers={"If-Match": before}
    )
    assert (lost.status_code, lost.json()["code"]) == (412, "version_mismatch")
    same = await books.recon.patch(PATH, json={"time_zone": "Europe/Berlin"})
    assert same.json()["version"] == 2
    versions = (await books.recon.get(f"{PATH}/versions")).json()["sources"]
    assert [(one["version"], one["config"]["time_zone"]) for one in versions] == [
        (2, "Europe/Berlin"),
        (1, "UTC"),
    ]


async def test_a_bad_definition_is_refused_by_its_field(books: Books) -> None:
    for changes, field in (
        ({"policy": {"auto_treshold": 0.9}}, "policy.auto_treshold"),
        ({"policy": {"suggest_threshold": 0.9}}, "policy"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"path": "../secret.csv"}, "path"),
        ({"policy": {"auto_threshold": "0.9"}}, "policy.auto_threshold"),
    ):
        answer = await books.recon.patch(PATH, json=changes)
        assert answer.status_code == 422, answer.text
        problem = answer.json()
        assert problem["code"] == "invalid_source"
        assert problem["detail"].startswith(field), problem["detail"]
    assert (await books.recon.get(PATH)).json()["version"] == 1


async def test_two_dialects_work_from_configuration_alone(books: Books) -> None:
    await books.post("R-1", "1234.56", july(13), currency="EUR")
    config = {
        "kind": "csv",
        "columns": {"timestamp": 1, "amount": 2, "currency": 3, "txn_id": 4},
        "csv": {"delimiter": ";", "encoding": "cp1252", "has_header": False},
        "decimal_style": "1.234,56",
        "time_zone": "Europe/Berlin",
    }
    made = await books.recon.post("/recon/sources", json={"name": "sparkasse", "config": config})
    assert made.status_code == 201, made.text
    (books.inbox / "de.csv").write_bytes(
        "2025-07-13;-1.234,56;EUR;R-1;für Müller\n".encode("cp1252")
    )
    await books.run("de.csv", source="sparkasse")
    assert (await books.summary(source="sparkasse"))["exact"] == 1
    config = {
        "kind": "csv",
        "columns": {"timestamp": "Date", "debit": "Out", "credit": "In", "txn_id": "Ref"},
        "fixed_currency": "GBP",
        "csv": {"find_header": True},
        "timestamp_formats": ["%d/%m/%Y"],
    }
    made = await books.recon.post("/recon/sources", json={"name": "uk_bank", "config": config})
    assert made.status_code == 201, made.text
    text = "Statement of account\nJohn Doe\nDate,Ref,Out,In\n13/07/2025,R-2,12.50,\n"
    (books.inbox / "uk.csv").write_text(text, encoding="utf-8")
    await books.run("uk.csv", source="uk_bank")
    [entry] = await books.logs(source="uk_bank")
    assert (entry["external_amount"], entry["external_currency"]) == ("-12.50", "GBP")


async def test_a_source_is_made_once(books: Books) -> None:
    config = (await books.recon.get(PATH)).json()["config"]
    body = {"name": "copy", "config": config}
    headers = {"Idempotency-Key": "make-copy"}
    first = await books.recon.post("/recon/sources", json=body, headers=headers)
    again = await books.recon.post("/recon/sources/", json=body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    other = await books.recon.post("/recon/sources", json=body)
    assert other.json()["code"] == "source_exists"
    reused = await books.recon.post(
        "/recon/sources", json=body | {"name": "other"}, headers=headers
    )
    assert reused.json()["code"] == "idempotency_key_reused"
    names = [one["name"] for one in (await books.recon.get("/recon/sources")).json()["sources"]]
    assert names == ["bank_api", "bank_csv", "copy"]
    page = (await books.recon.get("/recon/sources?limit=2")).json()
    rest = (await books.recon.get(page["next"])).json()
    assert [one["name"] for one in page["sources"] + rest["sources"]] == names
    assert json.dumps(rest["next_cursor"]) == "null"
