"""Normalisation: exact money, the source's own days, equal lines kept apart, nothing lost."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recon_service.domain.config import BANK_CSV, SourceConfig, patched
from recon_service.domain.records import Normalised, comparable
from recon_service.normalise import normalise
from recon_service.readers.csv_reader import CSVReader
from tests.unit.recon.builders import SCALES

HEADER = "txn_id,timestamp,amount,currency,description\n"
DATA = Path(__file__).parents[3] / "data"


def run(lines: str, config: SourceConfig = BANK_CSV) -> Normalised:
    return normalise(CSVReader(config).parse((HEADER + lines).encode()), config, SCALES)


def one_amount(text: str, currency: str = "EUR", **changes: Any) -> int | str:
    """Return the minor units of one amount, or the reason of its rejection."""
    found = run(f'T,2025-07-13,"{text}",{currency},x\n', patched(BANK_CSV, changes))
    if found.accepted.is_empty():
        return str(found.rejected["reason"].item())
    return int(found.accepted["amount_minor"].item())


def one_moment(text: str, **changes: Any) -> tuple[datetime, date] | str:
    """Return instant and day of one timestamp, or the reason of its rejection."""
    found = run(f'T,"{text}",1,EUR,x\n', patched(BANK_CSV, changes))
    if found.accepted.is_empty():
        return str(found.rejected["reason"].item())
    row = found.accepted.row(0, named=True)
    return row["occurred_at"], row["booked_on"]


@pytest.mark.parametrize(
    ("text", "currency", "style", "minor"),
    [
        ("1.50", "EUR", "1,234.56", 150),
        ("1.5", "EUR", "1,234.56", 150),
        ("-0.01", "EUR", "1,234.56", -1),
        ("+7", "EUR", "1,234.56", 700),
        (" 1,234,567.89 ", "EUR", "1,234.56", 123_456_789),
        ("0", "EUR", "1,234.56", 0),
        ("1.234", "KWD", "1,234.56", 1_234),
        ("1,234", "JPY", "1,234.56", 1_234),
        ("-1.234,56", "EUR", "1.234,56", -123_456),
        ("1.234", "EUR", "1.234,56", 123_400),
        ("1 234,56", "EUR", "1 234,56", 123_456),
        ("1\u202f234,56", "EUR", "1 234,56", 123_456),
        ("1'234.56", "EUR", "1'234.56", 123_456),
        ("0009999999999999999.99", "EUR", "1,234.56", 999_999_999_999_999_999),
    ],
)
def test_amounts_are_read_exactly(text: str, currency: str, style: str, minor: int) -> None:
    assert one_amount(text, currency, decimal_style=style) == minor


@pytest.mark.parametrize(
    ("text", "currency", "reason"),
    [
        ("1.005", "EUR", "amount '1.005' has 3 decimals, EUR has 2"),
        ("1.000", "EUR", "amount '1.000' has 3 decimals, EUR has 2"),
        ("1.0", "JPY", "amount '1.0' has 1 decimals, JPY has 0"),
        ("", "EUR", "the amount is empty"),
        ("10000000000000000", "EUR", "amount has more than 18 digits"),
        ("1", "XXX", "currency XXX is not known"),
        ("1", "", "the currency is empty"),
    ],
)
def test_amounts_that_do_not_fit_say_why(text: str, currency: str, reason: str) -> None:
    assert one_amount(text, currency) == reason


@pytest.mark.parametrize(
    "text",
    ["1e3", "NaN", "Infinity", "١", "0x10", "--1", "1-", "12,34.50", "1,234,5", ".5", "5.", "1 0"],
)
def test_what_is_not_a_number_in_this_style_is_rejected(text: str) -> None:
    assert one_amount(text) == f"amount '{text}' is not a number written like 1,234.56"


def test_an_inverted_source_is_turned_around() -> None:
    assert one_amount("5", sign="inverted") == -500


def test_a_known_currency_may_be_unsupported_by_the_source() -> None:
    reason = one_amount("1", "USD", currencies=["EUR"])
    assert reason == "currency USD is not supported by this source"


@pytest.mark.parametrize(
    ("debit", "credit", "expected"),
    [
        ("5.00", "", -500),
        ("", "5.00", 500),
        ("0.00", "5.00", 500),
        ("", "", "debit and credit are both empty"),
        ("1.00", "2.00", "debit and credit are both filled"),
        ("-1.00", "", "debit '-1.00' is not a number written like 1,234.56"),
        ("", "1.005", "credit '1.005' has 3 decimals, EUR has 2"),
    ],
)
def test_debit_and_credit_columns(debit: str, credit: str, expected: int | str) -> None:
    columns = {"amount": None, "debit": "amount", "credit": "description", "description": None}
    config = patched(BANK_CSV, {"columns": columns})
    found = run(f"T,2025-07-13,{debit},EUR,{credit}\n", config)
    got = found.accepted["amount_minor"].to_list() + found.rejected["reason"].to_list()
    assert got == [expected]


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2025-07-13T10:00:00Z", datetime(2025, 7, 13, 10, tzinfo=UTC)),
        ("2025-07-13 10:00", datetime(2025, 7, 13, 10, tzinfo=UTC)),
        ("2025-07-13T10:00:00.123456789Z", datetime(2025, 7, 13, 10, 0, 0, 123456, tzinfo=UTC)),
        ("2025-07-13T10:00:00+05:30", datetime(2025, 7, 13, 4, 30, tzinfo=UTC)),
        ("2025-07-13T10:00-0200", datetime(2025, 7, 13, 12, tzinfo=UTC)),
        ("2025-07-13", datetime(2025, 7, 13, tzinfo=UTC)),
    ],
)
def test_iso_8601_is_understood(text: str, instant: datetime) -> None:
    assert one_moment(text) == (instant, date(2025, 7, 13))


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Pacific/Auckland", "Asia/Kolkata"])
def test_a_date_alone_stays_that_day_in_every_zone(zone: str) -> None:
    found = one_moment("2025-07-13", time_zone=zone)
    assert found[1] == date(2025, 7, 13)


def test_a_time_with_offset_falls_on_the_day_it_is_in_the_sources_zone() -> None:
    found = one_moment("2025-07-13T23:30:00Z", time_zone="Europe/Berlin")
    assert found == (datetime(2025, 7, 13, 23, 30, tzinfo=UTC), date(2025, 7, 14))


def test_a_local_time_that_is_repeated_means_the_first() -> None:
    found = one_moment("2025-10-26T02:30", time_zone="Europe/Berlin")
    assert found == (datetime(2025, 10, 26, 0, 30, tzinfo=UTC), date(2025, 10, 26))


def test_a_local_time_that_is_skipped_moves_on_by_the_missing_hour() -> None:
    found = one_moment("2025-03-30T02:30", time_zone="Europe/Berlin")
    assert found == (datetime(2025, 3, 30, 1, 30, tzinfo=UTC), date(2025, 3, 30))


def test_a_day_that_begins_with_a_skipped_hour_stays_that_day() -> None:
    found = one_moment("2017-10-15", time_zone="America/Sao_Paulo")
    assert found == (datetime(2017, 10, 15, 3, tzinfo=UTC), date(2017, 10, 15))


@pytest.mark.parametrize(
    "text", ["2025-02-30", "2025-7-13", "13.07.2025", "2025-07-13T24:00", "2025-07-13T10", "today"]
)
def test_what_is_not_iso_8601_is_rejected(text: str) -> None:
    assert one_moment(text) == f"timestamp '{text}' is not a time written like ISO 8601"


def test_configured_formats_are_tried_in_order() -> None:
    formats = ["iso", "%d/%m/%Y", "%d/%m/%y", "%d.%m.%Y %H:%M:%S", "%d %b %Y %I:%M %p"]
    for text in ("2025-07-13", "13/07/2025", "13/07/25", "13.07.2025 00:00:00"):
        found = one_moment(text, timestamp_formats=formats)
        assert found == (datetime(2025, 7, 13, tzinfo=UTC), date(2025, 7, 13))
    found = one_moment("13 Jul 2025 01:30 PM", timestamp_formats=formats)
    assert found[0] == datetime(2025, 7, 13, 13, 30, tzinfo=UTC)


def test_a_format_with_an_offset_gives_the_instant() -> None:
    found = one_moment("2025/07/13 01:00 +0200", timestamp_formats=["%Y/%m/%d %H:%M %z"])
    assert found == (datetime(2025, 7, 12, 23, tzinfo=UTC), date(2025, 7, 12))


def test_equal_lines_survive_with_their_ordinal() -> None:
    found = run("T,2025-07-13,1.00,EUR,x\n" * 3 + "T,2025-07-13,1.00,EUR,y\n").accepted
    assert found["ordinal"].to_list() == [0, 1, 2, 0]
    assert found["fingerprint"].n_unique() == 2


def test_the_fingerprint_is_of_the_meaning_not_of_the_spelling() -> None:
    one = run("T,2025-07-13,1.00,EUR,a  b\n").accepted
    other = run("\nT ,2025-07-13T00:00Z,+1,eur, a b\n").accepted
    assert one["fingerprint"].item() == other["fingerprint"].item()


def test_rejected_lines_of_reader_and_normaliser_come_in_order() -> None:
    found = run("A,x,1,EUR,\nB\nC,2025-07-13,1,EUR,\nD,2025-07-13,1\nE,,1,EUR,\n")
    assert found.rejected["line_no"].to_list() == [2, 3, 5, 6]
    assert (found.accepted.height, found.lines) == (1, 5)


def test_empty_ids_and_texts_are_absent() -> None:
    row = run(" ,2025-07-13,1,EUR,  \n").accepted.row(0, named=True)
    assert (row["external_id"], row["text"]) == (None, None)


def test_an_id_of_unreasonable_length_is_rejected() -> None:
    found = run("x" * 256 + ",2025-07-13,1,EUR,\n")
    assert found.rejected["reason"].item() == "the transaction id has more than 255 characters"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "semicolon_comma_cp1252",
            [
                ("DE-4471", date(2025, 7, 13), -123_456, "EUR", "Überweisung Miete Juli"),
                ("DE-4472", date(2025, 7, 14), 8_990, "EUR", "Müller; Söhne GmbH"),
            ],
        ),
        (
            "debit_credit_preamble",
            [
                ("FP-9001", date(2025, 7, 13), -120_000, "GBP", "Office rent July"),
                ("FP-9002", date(2025, 7, 14), 25_000, "GBP", "Northwind Traders invoice 2207"),
                ("FP-9003", date(2025, 7, 31), -450, "GBP", "Account fee"),
            ],
        ),
    ],
)
def test_the_example_dialects_read_by_configuration_alone(
    name: str, expected: list[tuple[Any, ...]]
) -> None:
    config = SourceConfig.model_validate_json((DATA / "examples" / f"{name}.json").read_text())
    read = CSVReader(config).read(DATA / str(config.path))
    found = normalise(read, config, SCALES)
    assert found.rejected.is_empty()
    columns = ("external_id", "booked_on", "amount_minor", "currency", "text")
    assert found.accepted.select(columns).rows() == expected


def test_amounts_keep_their_sign_only_beside_an_account() -> None:
    records = run("T,2025-07-13,-1.00,EUR,x\n").accepted.with_columns(record_id=pl.lit("r"))
    account = "00000000-0000-7000-8000-000000000001"
    signed = patched(BANK_CSV, {"ledger_account_id": account})
    assert comparable(records, BANK_CSV)["amount_minor"].to_list() == [100]
    assert comparable(records, signed)["amount_minor"].to_list() == [-100]
