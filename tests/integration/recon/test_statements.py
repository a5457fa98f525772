"""Statements that cannot be used end in a clear refusal or a failed run, never in a 500."""

import hashlib
from pathlib import Path

import httpx
import pytest

from tests.conftest import Serve
from tests.integration.recon.books import HEADER, Books, line, open_books
from tests.postgres import TestDatabases

NOBODY = "01890000-0000-7000-8000-000000000000"
RUN = "/recon/run"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty-file"),
        (b"txn_id,amount\nA,1\n", "missing-column"),
        (b"\xff\xfe\x00\xd8\x00", "wrong-encoding"),
    ],
)
async def test_a_broken_file_is_a_failed_run(books: Books, content: bytes, code: str) -> None:
    (books.inbox / "broken.csv").write_bytes(content)
    failed = await books.run("broken.csv", expect="failed")
    assert failed["error"]["code"] == code
    assert failed["error"]["detail"].endswith(".")


async def test_a_file_that_is_too_large_is_a_failed_run(
    databases: TestDatabases, serve: Serve, ledger: httpx.AsyncClient, tmp_path: Path
) -> None:
    books = await open_books(databases, serve, ledger, tmp_path, file_bytes_max=2_048)
    with (books.inbox / "huge.csv").open("wb") as file:
        file.truncate(1024**3)
    failed = await books.run("huge.csv", expect="failed")
    assert failed["error"]["code"] == "file-too-large"
    refused = await books.recon.post("/recon/uploads", content=b"x" * 4_096)
    assert (refused.status_code, refused.json()["code"]) == (413, "upload_too_large")
    assert list((tmp_path / "uploads").iterdir()) == []


@pytest.mark.parametrize(
    "name", ["../secret.csv", "/etc/passwd", "sub/../../secret.csv", "link.csv", "nothing.csv", "."]
)
async def test_only_files_below_the_inbox_are_read(books: Books, name: str) -> None:
    (books.inbox.parent / "secret.csv").write_text("secret", encoding="utf-8")
    (books.inbox / "link.csv").symlink_to(books.inbox.parent / "secret.csv")
    refused = await books.ask(name)
    assert refused.status_code == 422
    assert refused.json()["code"] == "invalid_statement"
    assert "secret" not in refused.json()["detail"].replace("secret.csv", "")
    assert (await books.recon.get("/recon/runs")).json()["runs"] == []


async def test_a_file_with_a_header_only_reconciles_to_nothing(books: Books) -> None:
    await books.run(books.statement("empty.csv"))
    summary = await books.summary()
    assert (summary["lines"], summary["ledger"]["read"]) == (0, 0)


async def test_odd_texts_survive(books: Books) -> None:
    text = '"=2+3, ""quoted"", Ünïcode ☃"'
    await books.run(books.statement("odd.csv", f"TXN-1,2025-07-13T10:00:00Z,1.00,USD,{text}"))
    [entry] = await books.logs()
    assert entry["external_text"] == '=2+3, "quoted", Ünïcode ☃'
    csv = await books.recon.get("/recon/logs", headers={"Accept": "text/csv"})
    assert '"\'=2+3, ""quoted"", Ünïcode ☃"' in csv.text


async def test_the_log_streams_as_csv_with_the_promised_names(books: Books) -> None:
    await books.post("TXN-1", "100.50")
    await books.run(books.statement("one.csv", line("TXN-1", "100.50"), line("TXN-2", "3.00")))
    answer = await books.recon.get(
        "/recon/logs?source=bank_csv&date=2025-07-13", headers={"Accept": "text/csv"}
    )
    assert answer.headers["content-type"].startswith("text/csv")
    header, *rows = answer.text.splitlines()
    assert header.startswith(
        "external_id,internal_id,internal_reference,matched,match_type,decision,score,"
        "evidence,reason,"
    )
    assert [row.split(",")[0] for row in rows] == ["TXN-1", "TXN-2"]
    lines = await books.recon.get("/recon/logs", headers={"Accept": "application/x-ndjson"})
    assert len(lines.text.splitlines()) == 2


async def test_logs_come_in_pages_that_lose_nothing(books: Books) -> None:
    lines = [line(f"TXN-{number}", f"{number}.00") for number in range(1, 8)]
    await books.run(books.statement("many.csv", *lines))
    url: str | None = "/recon/logs?limit=3&matched=false"
    found: list[str] = []
    while url is not None:
        page = (await books.recon.get(url)).json()
        found += [entry["external_id"] for entry in page["logs"]]
        url = page["next"]
    assert found == [f"TXN-{number}" for number in range(1, 8)]
    one = (await books.recon.get("/recon/logs?limit=1")).json()["logs"][0]
    assert (await books.recon.get(f"/recon/logs/{one['log_id']}")).json() == one
    unknown = await books.recon.get("/recon/logs/999999")
    assert unknown.json()["code"] == "unknown_log_entry"


async def test_an_upload_is_reconciled_and_known_by_its_content(books: Books) -> None:
    await books.post("TXN-1", "100.50")
    content = f"{HEADER}\n{line('TXN-1', '100.50')}\n".encode()
    first = await books.recon.post("/recon/uploads", content=content)
    again = await books.recon.post("/recon/uploads/", content=content)
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    upload_id = first.json()["upload_id"]
    assert upload_id == hashlib.sha256(content).hexdigest()
    await books.run(None, upload_id=upload_id)
    assert (await books.summary())["exact"] == 1
    unknown = await books.ask(None, upload_id="0" * 64)
    assert unknown.json()["code"] == "invalid_statement"
    both = await books.ask("one.csv", upload_id=upload_id)
    assert both.json()["code"] == "invalid_request"


async def test_a_request_is_answered_once_per_key(books: Books) -> None:
    name = books.statement("one.csv", line("TXN-1", "10.00"))
    body = {"source": "bank_csv", "date": "2025-07-13", "file_path": name}
    headers = {"Idempotency-Key": "tonight"}
    first = await books.recon.post(RUN, json=body, headers=headers)
    again = await books.recon.post(RUN, json=body, headers=headers)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert first.headers["Location"] == again.headers["Location"]
    assert again.headers["Idempotency-Replayed"] == "true"
    other = await books.recon.post(RUN, json=body | {"date": "2025-07-12"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    await books.wait(first.json()["run_id"])
    assert len((await books.recon.get("/recon/runs")).json()["runs"]) == 1
    status = await books.recon.get(first.json()["status_url"])
    assert status.json()["runs"][0]["status"] == "finished"


async def test_what_is_asked_for_must_exist(books: Books) -> None:
    cases = (
        ("POST", RUN, {"source": "nope", "date": "2025-07-13"}, 404, "unknown_source"),
        ("POST", RUN, {"source": "bank_csv", "date": "2025-08-02"}, 422, "date_in_future"),
        ("POST", RUN, {"source": "bank_csv", "date": "13.07.2025"}, 422, "invalid_request"),
        ("POST", RUN, {"source": "bank_csv", "dat": "2025-07-13"}, 422, "invalid_request"),
        ("GET", "/recon/summary/2025-07-13", None, 404, "no_summary"),
        ("GET", "/recon/status/2025-07-13?source=nope", None, 404, "unknown_source"),
        ("GET", "/recon/status/yesterday", None, 422, "invalid_request"),
        ("GET", "/recon/sources/nope", None, 404, "unknown_source"),
        ("PATCH", "/recon/sources/nope", {"path": "x.csv"}, 404, "unknown_source"),
        ("GET", "/recon/logs?cursor=zzz", None, 422, "invalid_cursor"),
        ("GET", f"/recon/runs/{NOBODY}", None, 404, "unknown_run"),
        ("GET", f"/recon/runs/{NOBODY}/summary", None, 404, "unknown_run"),
    )
    for method, path, body, status, code in cases:
        answer = await books.recon.request(method, path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code), path


async def test_a_silent_ledger_is_a_failed_run_with_a_sentence(
    databases: TestDatabases, serve: Serve, ledger: httpx.AsyncClient, tmp_path: Path
) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    nobody = httpx.AsyncClient(transport=httpx.MockTransport(refuse), base_url="http://ledger")
    books = await open_books(databases, serve, nobody, tmp_path)
    failed = await books.run(books.statement("one.csv", line("TXN-1", "10.00")), expect="failed")
    assert failed["error"]["code"] == "ledger-unreachable"
    assert "http://ledger does not answer" in failed["error"]["detail"]
    summary = await books.recon.get(f"/recon/runs/{failed['run_id']}/summary")
    assert (summary.status_code, summary.json()["code"]) == (409, "run_not_finished")
    ready = await books.recon.get("/readyz")
    assert (ready.status_code, ready.json()["ledger_reachable"]) == (200, False)
    await nobody.aclose()
