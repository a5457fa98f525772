"""Canonical words and how surprising they are."""

import polars as pl
import pytest

from recon_service.matchers.sides import canonical, dense_codes, words
from recon_service.matchers.words import surprise


def test_words_have_no_case_accents_or_punctuation() -> None:
    found = words(pl.Series(["Müller & Söhne", "STRASSE", "Straße", "ﬁne", "--", None, "A1-b2"]))
    assert found.to_list() == ["muller sohne", "strasse", "strasse", "fine", None, None, "a1 b2"]


def test_plain_lines_read_alike_beside_others_and_alone() -> None:
    plain = ["Rent, July", "x--Y", "", " 12 "]
    alone = words(pl.Series(plain)).to_list()
    assert (
        words(pl.Series([*plain, "é"])).to_list()[:-1] == alone == ["rent july", "x y", None, "12"]
    )


def test_references_keep_zeros_but_for_their_digits() -> None:
    frame = pl.DataFrame(
        {"reference": ["INV-00123456"], "text": ["x"], "counterparty": ["ACME GmbH"]}
    )
    row = canonical(frame).row(0, named=True)
    assert (row["ref"], row["ref_words"]) == ("inv00123456", "inv 00123456")
    assert (row["ref_digits"], row["party"]) == ("123456", "acme")


def test_rare_words_surprise_more_than_frequent_and_usual_ones() -> None:
    lines = pl.Series(["payment rent", "payment acme", "payment rent", "payment zenith"] * 50)
    bits = dict(surprise(lines, pl.Series(["unique"])).iter_rows())
    assert bits["unique"] > bits["acme"] == bits["zenith"] > bits["rent"] > bits["payment"] >= 0


def test_in_a_tiny_run_words_still_surprise() -> None:
    bits = dict(surprise(pl.Series(["acme payment"]), pl.Series(["acme"])).iter_rows())
    assert bits["acme"] == pytest.approx(5.09, abs=0.01)
    assert bits["payment"] < 1.5


def test_codes_are_equal_for_equal_values_over_both_sides() -> None:
    one, other = dense_codes(pl.Series(["a", "b"]), pl.Series(["b", "c", "a"]))
    assert one[0] == other[2]
    assert one[1] == other[0]
    assert len({*one, *other}) == 3
