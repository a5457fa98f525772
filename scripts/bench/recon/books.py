"""Fills a ledger with the books of a case, through the batch endpoint; this is not measured.

One bank account is on one side of every transfer, some internal accounts are on the other.
"""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from threading import local

import polars as pl

from scripts.bench.ledger.batches import BATCH_TRANSFERS
from scripts.bench.ledger.server import BenchError
from scripts.bench.recon.data import CURRENCY

IN_FLIGHT = 2
COUNTER_ACCOUNTS = 50
ANSWER_SECONDS_MAX = 300
_POSTED = re.compile(rb'"posted":\s*(\d+)')


def fill_books(port: int, books: pl.DataFrame) -> tuple[str, str]:
    """Post every row of the books; return the ids of the bank account and of an empty one."""
    client = _Client(port)
    bank, empty, *others = [client.open_account() for _ in range(COUNTER_ACCOUNTS + 2)]
    transfers = _transfers(books, bank, others)
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        for _ in pool.map(client.post_batch, transfers.iter_slices(BATCH_TRANSFERS)):
            pass
    return bank, empty


def _transfers(books: pl.DataFrame, bank: str, others: list[str]) -> pl.DataFrame:
    """Return the bodies of the transfers: money that arrives credits the bank account."""
    other = pl.Series(others).gather(pl.int_range(books.height, eager=True) % len(others))
    minor = pl.col("amount_minor")
    digits = minor.abs().cast(pl.String).str.zfill(3)
    arrives = minor > 0
    return books.with_columns(other=other).select(
        source_account_id=pl.when(arrives).then("other").otherwise(pl.lit(bank)),
        destination_account_id=pl.when(arrives).then(pl.lit(bank)).otherwise("other"),
        amount=pl.concat_str(digits.str.head(-2), pl.lit("."), digits.str.tail(2)),
        currency=pl.lit(CURRENCY),
        reference="reference",
        effective_at=pl.col("effective_at").dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        metadata=pl.struct("description", "counterparty"),
    )


class _Client:
    """Posts JSON over one kept connection per thread."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._own = local()

    def open_account(self) -> str:
        body = json.dumps({"currency": CURRENCY, "type": "internal"}).encode()
        status, answer = self._post("/ledger/account/", body)
        if status != 201:
            raise BenchError(f"The ledger opened no account: {answer[:300].decode()}")
        return str(json.loads(answer)["account_id"])

    def post_batch(self, transfers: pl.DataFrame) -> None:
        items = transfers.write_ndjson().rstrip("\n").replace("\n", ",")
        body = ('{"mode":"atomic","transfers":[' + items + "]}").encode()
        status, answer = self._post("/ledger/batch/", body)
        found = _POSTED.search(answer)
        if found is None or int(found[1]) != transfers.height:
            raise BenchError(f"The ledger was not filled: {status} {answer[:300].decode()}")

    def _post(self, path: str, body: bytes) -> tuple[int, bytes]:
        if not hasattr(self._own, "connection"):
            self._own.connection = HTTPConnection(
                "127.0.0.1", self._port, timeout=ANSWER_SECONDS_MAX
            )
        connection: HTTPConnection = self._own.connection
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
