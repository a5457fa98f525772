""".env.example explains every setting, sets none, and shows the defaults that the code has."""

import io
import re
from pathlib import Path

import pytest
from dotenv import dotenv_values

from tests.architecture.settings_names import (
    SERVICES,
    names_of_compose,
    names_read_by_code,
    settings_fields,
    settings_of,
)
from tests.architecture.source import ROOT

EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
ASSIGNMENT = re.compile(r"^# ([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)
SHOWN = dict(ASSIGNMENT.findall(EXAMPLE))


def test_every_setting_is_shown_once_and_nothing_else_is() -> None:
    known = settings_fields() | names_read_by_code() | names_of_compose()
    missing, unknown = known - SHOWN.keys(), SHOWN.keys() - known
    assert not missing, f".env.example does not show {', '.join(sorted(missing))}"
    assert not unknown, f"nothing reads {', '.join(sorted(unknown))}"
    assert len(ASSIGNMENT.findall(EXAMPLE)) == len(SHOWN)


def test_the_example_as_it_stands_sets_nothing() -> None:
    assert dotenv_values(stream=io.StringIO(EXAMPLE)) == {}


def test_every_setting_is_explained_in_sentences_above_it() -> None:
    for block in EXAMPLE.split("\n\n"):
        prose, _, names = block.partition("=")
        if names:
            sentences = prose.rpartition("\n")[0].replace("\n# ", " ")
            assert len(sentences.split()) >= 4, block
            assert sentences.rstrip().endswith("."), block


@pytest.mark.parametrize("service", SERVICES)
def test_the_values_shown_are_the_defaults(
    service: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = settings_of(service)
    for name in settings_fields():
        monkeypatch.delenv(name, raising=False)
    uncommented = tmp_path / "env"
    uncommented.write_text("".join(f"{name}={value}\n" for name, value in SHOWN.items()))
    shown = settings(_env_file=uncommented).model_dump()
    defaults = {name: value for name, value in settings().model_dump().items() if value is not None}
    paths = {name for name, value in defaults.items() if isinstance(value, Path)}
    shown |= {name: ROOT / shown[name] for name in paths}  # shown as seen from the checkout
    assert {name: shown[name] for name in defaults} == defaults
    assert shown["database_url"] is not None
