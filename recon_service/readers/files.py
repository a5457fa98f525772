"""Opens source files safely: names below the inbox folder, regular files, bounded size."""

import os
import stat
from pathlib import Path

from recon_service.readers.errors import SourceUnreadable

FILE_BYTES_MAX = 512 * 1024 * 1024
_NAME_CHARS_MAX = 500


def resolve_in_inbox(inbox: Path, name: str) -> Path:
    """Return the file that `name` means below `inbox`.

    Raises SourceUnreadable `outside-inbox` for an absolute name, `..`, or a link that leads out,
    and what `checked_file` raises.
    """
    if not name or len(name) > _NAME_CHARS_MAX or "\0" in name or "\\" in name:
        raise SourceUnreadable("outside-inbox", "A file is named relative to the inbox folder.")
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise SourceUnreadable(
            "outside-inbox", f"{_shown(name)} is not a name below the inbox folder."
        )
    root = inbox.resolve()
    try:
        path = (root / name).resolve()
    except (OSError, RuntimeError, UnicodeError) as error:
        raise SourceUnreadable("not-found", f"{_shown(name)} cannot be found.") from error
    if not path.is_relative_to(root) or path == root:
        raise SourceUnreadable("outside-inbox", f"{_shown(name)} leads out of the inbox folder.")
    return checked_file(path, shown=name)


def checked_file(path: Path, *, shown: str | None = None) -> Path:
    """Return `path` if it is a regular file that can be read.

    Raises SourceUnreadable `not-found`, `not-a-file` (folder, device, pipe) or
    `permission-denied`; `shown` is how the message names the file.
    """
    with os.fdopen(_open(path, shown or str(path)), "rb"):
        return path


def read_file(path: Path, *, size_max: int = FILE_BYTES_MAX) -> bytes:
    """Return the content of a regular file of at most `size_max` bytes.

    Raises what `checked_file` raises, and SourceUnreadable `file-too-large` before reading.
    """
    with os.fdopen(_open(path, str(path)), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        content = b"" if size > size_max else file.read(size_max + 1)
        if size > size_max or len(content) > size_max:
            raise SourceUnreadable(
                "file-too-large",
                f"{path.name} has {max(size, len(content)):,} bytes;"
                f" the limit is {size_max:,} bytes.",
            )
        return content


def _open(path: Path, shown: str) -> int:
    """Open without blocking, so that a pipe nobody writes to cannot hold us up."""
    name = _shown(shown)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SourceUnreadable("not-found", f"{name} does not exist.") from error
    except PermissionError as error:
        raise SourceUnreadable("permission-denied", f"{name} may not be read.") from error
    except (OSError, ValueError) as error:
        raise SourceUnreadable("not-a-file", f"{name} cannot be opened as a file.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SourceUnreadable("not-a-file", f"{name} is not a regular file.")
    return descriptor


def _shown(name: str) -> str:
    return repr(name[:100])
