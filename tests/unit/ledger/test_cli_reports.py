"""Reports on the command line: what is asked of the service, and what is refused without it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from ledger_service.cli import app
from ledger_service.cli_reports import _amounts, _instant, _sections

USAGE, INFRASTRUCTURE = 2, 3
NOBODY = {"LEDGER_URL": "http://127.0.0.1:9"}


def test_days_are_instants_of_utc() -> None:
    assert _instant("2025-07-01") == "2025-07-01T00:00:00Z"
    assert _instant("2025-07-01", end_of_day=True) == "2025-07-01T23:59:59.999999Z"
    assert _instant("2025-07-01T10:00:00+02:00") == "2025-07-01T10:00:00+02:00"
    assert _instant(None) is None


@pytest.mark.parametrize("command", [("statement", "x"), ("trial-balance",)])
def test_a_file_must_say_what_it_is(command: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "report.xls"
    done = CliRunner().invoke(app, [*command, "--output", str(file)], env=NOBODY)
    assert (done.exit_code, file.exists()) == (USAGE, False)
    assert ".pdf, .csv, .json" in done.stderr


@pytest.mark.parametrize("command", [("statement", "x"), ("trial-balance",), ("periods",)])
def test_nobody_answers(command: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, [*command], env=NOBODY)
    assert done.exit_code == INFRASTRUCTURE
    assert "does not answer" in done.stderr


def test_zeros_stay_empty_as_on_paper() -> None:
    line = {"closing": {"debit": "0.00", "credit": "10.00"}, "opening": {"debit": "0"}}
    sides = [("closing", "debit"), ("closing", "credit"), ("opening", "debit")]
    assert _amounts(line, sides) == ["", "10.00", ""]


def test_adjustments_are_shown_only_where_there_are_any() -> None:
    columns = {"debit": "0.00", "credit": "0.00"}
    found = {"period": {}, "totals": [{"adjustments": columns}]}
    assert _sections(found) == ["closing"]
    found["period"] = {"name": "July"}
    assert _sections(found) == ["opening", "movements", "closing"]
    found["totals"] = [{"adjustments": columns | {"credit": "1.00"}}]
    assert _sections(found) == ["opening", "movements", "adjustments", "closing"]
