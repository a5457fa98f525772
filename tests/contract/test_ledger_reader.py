"""What reconciliation reads from the ledger is what the ledger service really answers."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from recon_service.readers.ledger_items import LedgerUnreadable
from recon_service.readers.ledger_reader import ALL, LedgerRange, LedgerReader
from shared.money import Currencies

SCALES = Currencies().scales
MOMENT = datetime(2025, 7, 13, 9, 30, tzinfo=UTC)


async def open_account(ledger: httpx.AsyncClient, currency: str = "USD") -> str:
    answer = await ledger.post("/ledger/account/", json={"currency": currency, "type": "internal"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["account_id"])


async def transfer(
    ledger: httpx.AsyncClient,
    source: str,
    destination: str,
    *,
    amount: str = "100.50",
    currency: str = "USD",
    reference: str | None = None,
    effective_at: datetime = MOMENT,
    description: str | None = None,
) -> dict[str, str]:
    answer = await ledger.post(
        "/ledger/transfer/",
        json={
            "source_account_id": source,
            "destination_account_id": destination,
            "amount": amount,
            "currency": currency,
            "reference": reference,
            "effective_at": effective_at.isoformat(),
            "metadata": {} if description is None else {"description": description},
        },
    )
    assert answer.status_code == 201, answer.text
    found: dict[str, str] = answer.json()
    return found


async def test_a_transaction_is_one_unsigned_item(ledger: httpx.AsyncClient) -> None:
    source, destination = await open_account(ledger), await open_account(ledger)
    posted = await transfer(
        ledger, source, destination, reference="TXN-1", description='Payment, "special" ü'
    )
    reader = LedgerReader(ledger, SCALES)
    head = await reader.head_seq()
    [item] = (await reader.read(ALL, LedgerRange(up_to_seq=head))).to_dicts()
    assert item == {
        "internal_id": posted["transaction_id"],
        "seq": posted["seq"],
        "reference": "TXN-1",
        "effective_at": MOMENT,
        "recorded_at": datetime.fromisoformat(posted["recorded_at"]),
        "amount_minor": 10050,
        "scale": 2,
        "currency": "USD",
        "text": 'Payment, "special" ü',
        "counterparty": None,
    }


async def test_an_accounts_events_are_signed(ledger: httpx.AsyncClient) -> None:
    source, destination = await open_account(ledger), await open_account(ledger)
    await transfer(ledger, source, destination, amount="2.00")
    reader = LedgerReader(ledger, SCALES)
    head = await reader.head_seq()
    debits = await reader.read(source, LedgerRange(up_to_seq=head))
    credits_ = await reader.read(destination, LedgerRange(up_to_seq=head))
    assert debits["amount_minor"].to_list() == [-200]
    assert credits_["amount_minor"].to_list() == [200]
    assert debits["internal_id"][0] != credits_["internal_id"][0]


async def test_each_currency_of_an_exchange_is_an_item_of_its_own(
    ledger: httpx.AsyncClient,
) -> None:
    dollars, euros = "USD", "EUR"
    source, sold = await open_account(ledger, dollars), await open_account(ledger, dollars)
    bought, destination = await open_account(ledger, euros), await open_account(ledger, euros)
    parties = {
        "source_account_id": source,
        "sold_exchange_account_id": sold,
        "bought_exchange_account_id": bought,
        "destination_account_id": destination,
    }
    terms = {"sold": "10.00", "rate": "0.92", "rate_source": "test", "reference": "FX-1"}
    posted = await ledger.post("/ledger/exchange/", json=parties | terms)
    assert posted.status_code == 201, posted.text
    exchange_id = posted.json()["transaction_id"]
    back = await ledger.post(f"/ledger/transaction/{exchange_id}/reverse", json={})
    assert back.status_code == 201, back.text
    reader = LedgerReader(ledger, SCALES)
    head = await reader.head_seq()
    items = await reader.read(ALL, LedgerRange(up_to_seq=head))
    assert items.select("internal_id", "amount_minor", "currency", "reference").rows() == [
        (f"{exchange_id}:USD", 1000, "USD", "FX-1"),
        (f"{exchange_id}:EUR", 920, "EUR", "FX-1"),
        (f"{back.json()['transaction_id']}:USD", 1000, "USD", None),
        (f"{back.json()['transaction_id']}:EUR", 920, "EUR", None),
    ]
    events = await reader.read(destination, LedgerRange(up_to_seq=head))
    assert events["amount_minor"].to_list() == [920, -920]


async def test_texts_of_events_arrive_as_they_were_written(ledger: httpx.AsyncClient) -> None:
    source, destination = await open_account(ledger), await open_account(ledger)
    texts = ['a "quote"', "tab\tand\nline", "back\\slash", "ünï ✓ 😀", "", None, "plain", '"']
    for text in texts:
        await transfer(ledger, source, destination, reference="R-ü", description=text)
    reader = LedgerReader(ledger, SCALES)
    items = await reader.read(destination, LedgerRange(up_to_seq=await reader.head_seq()))
    assert items["text"].to_list() == texts
    assert items["reference"].unique().to_list() == ["R-ü"]
    assert items["counterparty"].null_count() == len(texts)
    assert items["effective_at"].unique().to_list() == [MOMENT]


async def test_yen_have_no_decimals(ledger: httpx.AsyncClient) -> None:
    source, destination = await open_account(ledger, "JPY"), await open_account(ledger, "JPY")
    await transfer(ledger, source, destination, amount="1500", currency="JPY")
    reader = LedgerReader(ledger, SCALES)
    items = await reader.read(ALL, LedgerRange(up_to_seq=await reader.head_seq()))
    assert items.select("amount_minor", "scale").rows() == [(1500, 0)]


async def test_bounds_of_time_are_inclusive_and_of_seq_as_promised(
    ledger: httpx.AsyncClient,
) -> None:
    source, destination = await open_account(ledger), await open_account(ledger)
    moments = [MOMENT, MOMENT + timedelta(microseconds=1), MOMENT + timedelta(days=1)]
    seqs = [
        int((await transfer(ledger, source, destination, effective_at=at))["seq"]) for at in moments
    ]
    reader = LedgerReader(ledger, SCALES)

    async def found(wanted: LedgerRange) -> list[int]:
        return [int(seq) for seq in (await reader.read(ALL, wanted))["seq"]]

    head = await reader.head_seq()
    by_time = LedgerRange(up_to_seq=head, effective_from=moments[0], effective_to=moments[1])
    assert await found(by_time) == seqs[:2]
    assert await found(LedgerRange(up_to_seq=head, after_seq=seqs[0])) == seqs[1:]
    assert await found(LedgerRange(up_to_seq=seqs[1])) == seqs[:2]
    assert await found(LedgerRange(up_to_seq=head, after_seq=head)) == []


async def test_an_unknown_account_is_named(ledger: httpx.AsyncClient) -> None:
    reader = LedgerReader(ledger, SCALES)
    await reader.require_account(await open_account(ledger))
    with pytest.raises(LedgerUnreadable, match="has no account") as caught:
        await reader.require_account("01890000-0000-7000-8000-000000000000")
    assert caught.value.code == "unknown-account"


async def test_a_currency_that_only_the_ledger_knows_is_named(ledger: httpx.AsyncClient) -> None:
    source, destination = await open_account(ledger), await open_account(ledger)
    await transfer(ledger, source, destination)
    reader = LedgerReader(ledger, {"EUR": 2})
    with pytest.raises(LedgerUnreadable, match="USD, which RECON_ASSETS does not declare"):
        await reader.read(ALL, LedgerRange(up_to_seq=await reader.head_seq()))
