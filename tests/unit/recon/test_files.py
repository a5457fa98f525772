"""Files: only regular ones, only below the inbox, only up to a size."""

import os
from pathlib import Path

import pytest

from recon_service.readers.errors import SourceUnreadable
from recon_service.readers.files import checked_file, read_file, resolve_in_inbox


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    (folder / "deep").mkdir(parents=True)
    (folder / "bank.csv").write_text("a")
    (folder / "deep" / "bank.csv").write_text("b")
    (tmp_path / "secret.csv").write_text("s")
    return folder


def test_names_below_the_inbox_are_found(inbox: Path) -> None:
    assert resolve_in_inbox(inbox, "bank.csv").read_text() == "a"
    assert resolve_in_inbox(inbox, "deep/bank.csv").read_text() == "b"


def test_a_link_that_stays_inside_is_followed(inbox: Path) -> None:
    (inbox / "link.csv").symlink_to(inbox / "deep" / "bank.csv")
    assert resolve_in_inbox(inbox, "link.csv").read_text() == "b"


@pytest.mark.parametrize(
    "name", ["", "../secret.csv", "deep/../../secret.csv", "/etc/passwd", "a\0b", "..\\x", "."]
)
def test_names_that_lead_out_are_refused(inbox: Path, name: str) -> None:
    with pytest.raises(SourceUnreadable) as caught:
        resolve_in_inbox(inbox, name)
    assert caught.value.code == "outside-inbox"


def test_a_link_that_leads_out_is_refused(inbox: Path) -> None:
    (inbox / "link.csv").symlink_to(inbox.parent / "secret.csv")
    with pytest.raises(SourceUnreadable) as caught:
        resolve_in_inbox(inbox, "link.csv")
    assert caught.value.code == "outside-inbox"


def test_what_is_not_there_is_named(inbox: Path) -> None:
    with pytest.raises(SourceUnreadable, match=r"'nope\.csv' does not exist") as caught:
        resolve_in_inbox(inbox, "nope.csv")
    assert caught.value.code == "not-found"


def test_a_link_in_a_circle_is_an_error_with_a_code(inbox: Path) -> None:
    (inbox / "loop.csv").symlink_to(inbox / "loop.csv")
    with pytest.raises(SourceUnreadable) as caught:
        resolve_in_inbox(inbox, "loop.csv")
    assert caught.value.code in {"not-found", "not-a-file"}


def test_folders_pipes_and_devices_are_not_files(inbox: Path) -> None:
    os.mkfifo(inbox / "pipe.csv")
    for path in (inbox / "deep", inbox / "pipe.csv", Path("/dev/zero")):
        with pytest.raises(SourceUnreadable) as caught:
            checked_file(path)
        assert caught.value.code == "not-a-file"


def test_a_file_over_the_limit_is_refused_without_being_read(tmp_path: Path) -> None:
    huge = tmp_path / "huge.csv"
    with huge.open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(SourceUnreadable, match="1,073,741,824 bytes") as caught:
        read_file(huge)
    assert caught.value.code == "file-too-large"


def test_the_limit_itself_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "ten.csv"
    path.write_bytes(b"0123456789")
    assert read_file(path, size_max=10) == b"0123456789"
    with pytest.raises(SourceUnreadable):
        read_file(path, size_max=9)
