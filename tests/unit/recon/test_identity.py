"""Ids of statement lines: the same in every run, in the order of time, never shared."""

from datetime import UTC, datetime
from uuid import UUID

import polars as pl

from recon_service.domain.identity import fingerprints, ordinals, record_ids

NOON = datetime(2025, 7, 13, 12, tzinfo=UTC)


def records(*lines: tuple[str, datetime]) -> pl.DataFrame:
    prints = fingerprints(pl.Series([content for content, _ in lines], dtype=pl.String))
    times = pl.Series([at for _, at in lines], dtype=pl.Datetime("us", "UTC"))
    return pl.DataFrame({"fingerprint": prints, "ordinal": ordinals(prints), "occurred_at": times})


def test_an_id_is_a_uuid_of_version_8() -> None:
    [text] = record_ids("bank", records(("rent", NOON)))
    assert UUID(text).version == 8
    assert str(UUID(text)) == text


def test_equal_lines_differ_by_their_ordinal_alone() -> None:
    lines = records(("rent", NOON), ("rent", NOON), ("food", NOON))
    assert lines["ordinal"].to_list() == [0, 1, 0]
    assert record_ids("bank", lines).n_unique() == 3


def test_a_line_keeps_its_id_whatever_stands_around_it() -> None:
    [alone] = record_ids("bank", records(("rent", NOON)))
    among = record_ids("bank", records(("food", NOON), ("rent", NOON), ("rent", NOON)))
    assert among[1] == alone


def test_the_same_line_of_another_source_has_another_id() -> None:
    line = records(("rent", NOON))
    assert record_ids("bank", line)[0] != record_ids("card", line)[0]


def test_ids_are_in_the_order_of_time() -> None:
    times = [datetime(2025, 7, day, day % 24, tzinfo=UTC) for day in range(1, 32)]
    ids = record_ids("bank", records(*((f"line {at}", at) for at in times)))
    assert ids.is_sorted()


def test_a_statement_without_records_has_no_ids() -> None:
    assert record_ids("bank", records()).to_list() == []
