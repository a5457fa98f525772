"""Uploaded statements: files named by the SHA-256 of their content, and the rows that know them."""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from recon_service.domain.errors import UploadTooLarge

_KEEP = """
INSERT INTO recon.uploads (upload_id, size_bytes, uploaded_at) VALUES ($1, $2, now())
ON CONFLICT (upload_id) DO NOTHING
"""
_EXISTS = "SELECT EXISTS (SELECT FROM recon.uploads WHERE upload_id = $1)"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in the uploads folder."""

    upload_id: str
    size_bytes: int


async def store_file(folder: Path, chunks: AsyncIterator[bytes], *, bytes_max: int) -> StoredFile:
    """Write a stream into `folder` under its own hash; the same content is the same file.

    Raises UploadTooLarge as soon as it is.
    """
    part = await asyncio.to_thread(_Part, folder)
    try:
        async for chunk in chunks:
            if part.size_bytes + len(chunk) > bytes_max:
                raise UploadTooLarge(
                    f"an upload has at most {bytes_max:,} bytes", bytes_max=bytes_max
                )
            await asyncio.to_thread(part.write, chunk)
        return await asyncio.to_thread(part.keep)
    finally:
        part.drop()


async def keep_upload(connection: asyncpg.Connection, stored: StoredFile) -> None:
    """Remember an upload; one of the same content is remembered already."""
    await connection.execute(_KEEP, stored.upload_id, stored.size_bytes)


async def upload_exists(connection: asyncpg.Connection, upload_id: str) -> bool:
    """Tell whether there is such an upload."""
    return bool(await connection.fetchval(_EXISTS, upload_id))


class _Part:
    """A file that is being written, and gets its name when it is whole."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=".part.")
        self._folder, self._path = folder, Path(name)
        self._file = os.fdopen(descriptor, "wb")
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._digest.update(chunk)
        self.size_bytes += len(chunk)

    def keep(self) -> StoredFile:
        upload_id = self._digest.hexdigest()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._path.replace(self._folder / upload_id)
        return StoredFile(upload_id, self.size_bytes)

    def drop(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)
