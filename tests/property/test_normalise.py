"""Reading and normalising, for whatever a file holds: no line lost, no cent rounded, no crash."""

from decimal import Decimal

from hypothesis import example, given, settings
from hypothesis import strategies as st

from recon_service.domain.config import BANK_CSV, SourceConfig, patched
from recon_service.normalise import normalise
from recon_service.readers.csv_reader import CSVReader
from recon_service.readers.errors import SourceUnreadable
from tests.unit.recon.builders import SCALES

HEADER = "txn_id,timestamp,amount,currency,description\n"

_PIECES = 'T1|,|,|,|,|"|""|2025-07-13|1.00|-1.005|EUR|JPY|x| |\0|\n|\n|\r\n|é|\u2028|;|\x1f'
PIECES = st.sampled_from(_PIECES.split("|"))
STYLES = {
    "1,234.56": (",", "."),
    "1.234,56": (".", ","),
    "1 234,56": (" ", ","),
    "1'234.56": ("'", "."),
}


@given(lines=st.lists(PIECES, max_size=60).map("".join))
@example(lines='T,"\n"\n"\n')
@settings(max_examples=150, deadline=None)
def test_every_line_is_accepted_or_rejected(lines: str) -> None:
    raw = CSVReader(BANK_CSV).parse((HEADER + lines).encode())
    found = normalise(raw, BANK_CSV, SCALES)
    assert found.lines == raw.lines == raw.frame.height + raw.rejected.height
    numbers = [*found.accepted["line_no"].to_list(), *found.rejected["line_no"].to_list()]
    assert len(numbers) == len(set(numbers))
    assert all(found.rejected["reason"].str.len_chars() > 0)
    physical = (HEADER + lines).split("\n")
    if '"' not in lines:
        filled = [k for k, text in enumerate(physical, 1) if k > 1 and text.strip(" \r\u2028")]
        assert sorted(numbers) == filled
    content = (HEADER + lines).encode()
    for number, offset in raw.frame.select("line_no", "offset").iter_rows():
        assert content[:offset].count(b"\n") == number - 1


@given(content=st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_read_or_refused_with_a_code(content: bytes) -> None:
    positions = patched(
        BANK_CSV,
        {
            "columns": {"txn_id": None, "timestamp": 1, "amount": 1, "currency": 1}
            | {"description": None},
            "csv": {"has_header": False, "fallback_encoding": "cp1252"},
        },
    )
    for config in (BANK_CSV, positions):
        try:
            raw = CSVReader(config).parse(content)
        except SourceUnreadable as refused:
            assert refused.code
        else:
            assert normalise(raw, config, SCALES).lines == raw.lines


@given(
    minor=st.integers(-(10**18) + 1, 10**18 - 1),
    style=st.sampled_from(sorted(STYLES)),
    currency=st.sampled_from(sorted(SCALES)),
    grouped=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_an_amount_is_read_as_it_was_written(
    minor: int, style: str, currency: str, *, grouped: bool
) -> None:
    group, point = STYLES[style]
    scale = SCALES[currency]
    number = Decimal(minor).scaleb(-scale)
    plain = f"{number:,.{scale}f}" if grouped else f"{number:.{scale}f}"
    text = plain.translate({ord(","): group, ord("."): point})
    config = patched(BANK_CSV, {"decimal_style": style})
    assert amounts(f'"{text}"', currency, config) == [minor]


@given(
    text=st.text(alphabet="0123456789.,-+ '", max_size=12), currency=st.sampled_from(["EUR", "JPY"])
)
@settings(max_examples=150, deadline=None)
def test_what_is_accepted_is_exactly_what_stood_there(text: str, currency: str) -> None:
    for minor in amounts(f'"{text}"', currency, BANK_CSV):
        exact = Decimal(text.strip().replace(",", "")).scaleb(SCALES[currency])
        assert exact == minor


def amounts(text: str, currency: str, config: SourceConfig) -> list[int]:
    content = f"{HEADER}T,2025-07-13,{text},{currency},x\n".encode()
    found = normalise(CSVReader(config).parse(content), config, SCALES)
    return [int(value) for value in found.accepted["amount_minor"]]
