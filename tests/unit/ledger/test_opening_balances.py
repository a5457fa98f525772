"""What the lines of a CSV file with opening balances say, and the transactions that they make."""

from uuid import UUID

import pytest

from ledger_service.files.opening_balances import (
    LINES_PER_TRANSACTION_MAX,
    BadFile,
    BadLine,
    BalanceLine,
    Opened,
    digest_of,
    minor_of,
    postings,
    read_lines,
)

ANNA = UUID(int=1)
HEAD = "code,type,name,currency,balance\n"


def a_line(balance: str = "10.00", **facts: object) -> BalanceLine:
    told = {"line": 2, "account_id": None, "code": "users:anna", "type": None, "name": None}
    return BalanceLine(**(told | {"currency": "USD", "balance": balance} | facts))  # type: ignore[arg-type]


def opened(number: int, balance_minor: int, side: str = "credit", currency: str = "USD") -> Opened:
    line = a_line(line=number, code=f"a:{number}", currency=currency)
    return Opened(line, str(UUID(int=number)), side, 2, balance_minor)


def test_lines_name_accounts_by_id_or_by_code() -> None:
    text = (
        "\ufeffCurrency, balance ,account_id,code,type,name\r\n"
        f'USD,10.00,{ANNA},,,\r\n\r\nEUR,-3,,"users:bob",user,"Bob\nthe builder"\r\n'
        "EUR,0,,users:eve,,\r\n"
    )
    assert read_lines(text.encode()) == (
        [
            BalanceLine(2, ANNA, None, None, None, "USD", "10.00"),
            BalanceLine(4, None, "users:bob", "user", "Bob\nthe builder", "EUR", "-3"),
            BalanceLine(6, None, "users:eve", None, None, "EUR", "0"),
        ],
        [],
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "no line with a balance"),
        (HEAD.encode(), "no line with a balance"),
        (b"code;currency;balance\n", "is no column"),
        (b"code,currency,balance,iban\n", "'iban' is no column"),
        (b"code,currency,balance,code\n", "stands there twice"),
        (b"code,balance\n", "names currency, balance, and account_id or code"),
        (b"currency,balance\n", "names currency, balance, and account_id or code"),
        (b"code,currency,balance\n\xff\xfe", "is not UTF-8"),
        (b'code,currency,balance\n"a"b,USD,1\n', "Line 2 is no CSV"),
        (b"\x00\x01,\x02", "is no column"),
    ],
)
def test_a_file_that_is_none_of_these_is_refused(content: bytes, sentence: str) -> None:
    with pytest.raises(BadFile, match=sentence):
        read_lines(content)


def test_every_bad_line_is_reported_with_its_number() -> None:
    text = HEAD + "\n".join(
        [
            "users:anna,user,Anna,USD,10.00",
            "users:bob,user,Bob,USD",
            "users:bob,user,Bob,usd,1",
            "users:bob,user,Bob,USD,1e3",
            'users:bob,user,Bob,USD,"1,000.00"',
            "users:bob,user,Bob,USD,",
            ",user,Bob,USD,1",
            "users:anna,user,Anna,USD,11.00",
        ]
    )
    lines, bad = read_lines(text.encode())
    assert [line.line for line in lines] == [2]
    assert [(one.line, one.sentence) for one in bad] == [
        (3, "the number of its cells is not that of the columns."),
        (4, "'usd' is no currency."),
        (5, "'1e3' is no decimal balance."),
        (6, "'1,000.00' is no decimal balance."),
        (7, "'' is no decimal balance."),
        (8, "it names its account by account_id or by code, one of them."),
        (9, "users:anna stands in line 2 already."),
    ]


def test_an_account_id_goes_alone() -> None:
    text = f"account_id,type,currency,balance\n{ANNA},user,USD,1\nx,,USD,1\n"
    _, bad = read_lines(text.encode())
    assert [one.sentence for one in bad] == [
        "type and name are of accounts to open, which have a code.",
        "'x' is no account id.",
    ]


@pytest.mark.parametrize(
    ("balance", "minor"), [("10.00", 1000), ("-10", -1000), ("0.5", 50), ("-0.00", 0)]
)
def test_balances_are_minor_units(balance: str, minor: int) -> None:
    assert minor_of(a_line(balance), 2) == minor


def test_a_balance_is_not_rounded() -> None:
    found = minor_of(a_line("-1.005"), 2)
    assert isinstance(found, BadLine)
    assert "balance -1.005 USD: 3 decimals" in found.sentence


def test_each_currency_is_balanced_against_its_equity_account() -> None:
    lines = [
        opened(1, 10_000, "debit"),
        opened(2, 2_500),
        opened(3, -300),
        opened(4, 0),
        opened(5, 700, currency="EUR"),
    ]
    euros, dollars = postings(lines, "f" * 64)
    assert euros.body("equity", None)["debits"] == [{"account_id": "equity", "amount": "7.00"}]
    body = dollars.body("equity", "2026-01-01T00:00:00Z")
    assert body["debits"] == [
        {"account_id": str(UUID(int=1)), "amount": "100.00"},
        {"account_id": str(UUID(int=3)), "amount": "3.00"},
    ]
    assert body["credits"] == [
        {"account_id": str(UUID(int=2)), "amount": "25.00"},
        {"account_id": "equity", "amount": "78.00"},
    ]
    assert body["conditions"] == [
        {"account_id": str(UUID(int=number)), "expected_position": 0} for number in (1, 2, 3)
    ]
    assert (body["reference"], body["effective_at"]) == (
        "opening-balances-ffffffffffffffff-USD-1",
        "2026-01-01T00:00:00Z",
    )


def test_lines_that_balance_by_themselves_need_no_equity() -> None:
    (posting,) = postings([opened(1, 500, "debit"), opened(2, 500)], "f")
    body = posting.body("equity", None)
    assert len(body["debits"]) == len(body["credits"]) == 1


def test_many_lines_make_several_transactions_of_one_currency() -> None:
    lines = [opened(number, number) for number in range(1, LINES_PER_TRANSACTION_MAX * 2 + 6)]
    found = postings(lines, "f")
    assert [len(one.lines) for one in found] == [LINES_PER_TRANSACTION_MAX] * 2 + [5]
    assert len({one.reference for one in found}) == 3


def test_the_digest_is_of_what_the_lines_say() -> None:
    one = digest_of([a_line()], "equity", None)
    assert one == digest_of([a_line(line=9)], "equity", None)
    assert one != digest_of([a_line("10.01")], "equity", None)
    assert one != digest_of([a_line()], "other", None)
