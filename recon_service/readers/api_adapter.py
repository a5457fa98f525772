"""Reads records from a JSON API page by page into the same columns of strings as a file."""

import asyncio
import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import polars as pl

from recon_service.domain.config import SourceConfig
from recon_service.domain.records import RAW_FIELDS, RAW_SCHEMA, REJECTED_SCHEMA, RawRead
from recon_service.readers.errors import SourceUnreadable

BYTES_MAX = 256 * 1024 * 1024
PAGES_MAX = 10_000
DEADLINE_SECONDS = 300.0
_FIELD_CHARS_MAX = 10_000
_RAW_CHARS_MAX = 2_000
_ACCEPT = "application/json"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class APIAdapter:
    """Asks one source's API for a business day.

    `hosts` are the only ones that are asked, as `host` or `host:port`; redirects are not
    followed. `transport` replaces the network in tests.
    """

    config: SourceConfig
    hosts: Collection[str]
    bytes_max: int = BYTES_MAX
    pages_max: int = PAGES_MAX
    deadline_seconds: float = DEADLINE_SECONDS
    transport: httpx.AsyncBaseTransport | None = None

    async def read(self, day: date) -> RawRead:
        """Read every page of a day. Raises SourceUnreadable; half an answer is never used."""
        url = self.config.url_for(day)
        if url is None:
            raise SourceUnreadable("api-answer", "The source has no URL.")
        self._check_host(url)
        try:
            async with asyncio.timeout(self.deadline_seconds):
                return await self._read_pages(url)
        except TimeoutError as error:
            raise SourceUnreadable(
                "api-unreachable",
                f"{_host(url)} did not answer in full within {self.deadline_seconds:g} seconds.",
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SourceUnreadable(
                "api-unreachable", f"{_host(url)} cannot be reached: {type(error).__name__}."
            ) from error

    async def _read_pages(self, url: str) -> RawRead:
        pages = _Pages(self.config)
        seen: set[str] = set()
        next_url: str | None = url
        async with httpx.AsyncClient(
            transport=self.transport,
            follow_redirects=False,
            headers={"Accept": _ACCEPT},
            trust_env=False,
        ) as client:
            while next_url is not None:
                if next_url in seen:
                    raise SourceUnreadable("api-answer", "The API's next links run in a circle.")
                if len(seen) >= self.pages_max:
                    raise SourceUnreadable(
                        "api-answer", f"The API has more than {self.pages_max} pages."
                    )
                seen.add(next_url)
                body = await self._fetch(client, next_url, self.bytes_max - pages.size_bytes)
                next_url = self._next(next_url, pages.add(body))
        return pages.result()

    async def _fetch(self, client: httpx.AsyncClient, url: str, bytes_left: int) -> bytes:
        async with client.stream("GET", url) as answer:
            if answer.status_code != 200:
                raise SourceUnreadable(
                    "api-answer", f"{_host(url)} answered with status {answer.status_code}."
                )
            parts: list[bytes] = []
            async for part in answer.aiter_bytes():
                parts.append(part)
                bytes_left -= len(part)
                if bytes_left < 0:
                    raise SourceUnreadable(
                        "file-too-large",
                        f"{_host(url)} sent more than the limit of {self.bytes_max:,} bytes.",
                    )
            return b"".join(parts)

    def _next(self, url: str, link: object) -> str | None:
        if link is None or link == "":
            return None
        if not isinstance(link, str):
            raise SourceUnreadable("api-answer", "The API's next link is not a string.")
        following = urljoin(url, link)
        self._check_host(following)
        return following

    def _check_host(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS.get(parts.scheme)
        except ValueError as error:
            raise SourceUnreadable("api-answer", "The API's next link is not a URL.") from error
        names = {parts.hostname, f"{parts.hostname}:{port}"}
        if parts.scheme not in _PORTS or not names & set(self.hosts):
            raise SourceUnreadable(
                "host-not-allowed", f"{_host(url)} is not among the hosts that may be asked."
            )


@dataclass(slots=True)
class _Pages:
    """Gathers the records of all pages; `line_no` counts records from 1 over all of them."""

    config: SourceConfig
    size_bytes: int = 0
    digest: Any = field(default_factory=hashlib.sha256)
    records: list[dict[str, object]] = field(default_factory=list)
    rejected: list[dict[str, object]] = field(default_factory=list)

    def add(self, body: bytes) -> object:
        """Take a page's records and return its next link, if it has one."""
        self.size_bytes += len(body)
        self.digest.update(len(body).to_bytes(8, "big") + body)
        try:
            page = json.loads(body, parse_float=str, parse_int=str, parse_constant=str)
        except (ValueError, RecursionError) as error:
            raise SourceUnreadable("api-answer", "The API's answer is not JSON.") from error
        found = page if self.config.records_path is None else _at(page, self.config.records_path)
        if not isinstance(found, list):
            place = self.config.records_path or "the top"
            raise SourceUnreadable(
                "api-answer", f"The API's answer has no list of records at {place}."
            )
        for record in found:
            self._add_record(record)
        return _at(page, self.config.next_path) if isinstance(page, dict) else None

    def result(self) -> RawRead:
        """Return what was gathered."""
        return RawRead(
            frame=pl.DataFrame(self.records, schema=RAW_SCHEMA),
            rejected=pl.DataFrame(self.rejected, schema=REJECTED_SCHEMA),
            lines=len(self.records) + len(self.rejected),
            sha256=self.digest.hexdigest(),
            size_bytes=self.size_bytes,
            encoding="utf-8",
        )

    def _add_record(self, record: object) -> None:
        line_no = len(self.records) + len(self.rejected) + 1
        try:
            raw = json.dumps(record, ensure_ascii=True)[:_RAW_CHARS_MAX].replace("\0", "\ufffd")
        except RecursionError as error:
            raise SourceUnreadable(
                "api-answer", f"Record {line_no} of the API's answer is nested too deeply."
            ) from error
        place = {"line_no": line_no, "offset": line_no - 1, "raw": raw}
        values: dict[str, str | None] = dict.fromkeys(RAW_FIELDS)
        reason = None if isinstance(record, dict) else "the record is not an object"
        for name, path in self.config.columns.mapped().items():
            if reason is None:
                values[name], reason = _text(_at(record, str(path)), str(path))
        if reason is not None:
            self.rejected.append(place | {"reason": reason})
        else:
            self.records.append(place | values)


def _text(value: object, path: str) -> tuple[str | None, str | None]:
    """Return a JSON value as text, or the reason why it cannot be one."""
    if value is None:
        return None, None
    if not isinstance(value, str):
        return None, f"{path} is neither text nor a number"
    if len(value) > _FIELD_CHARS_MAX:
        return None, f"{path} has more than {_FIELD_CHARS_MAX} characters"
    if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
        return None, f"{path} has a character that is not text"
    return value, None


def _at(document: object, path: str) -> object:
    """Return what stands at a dotted path; a key that has the dots itself comes first."""
    if isinstance(document, dict) and path in document:
        return document[path]
    for key in path.split("."):
        if not isinstance(document, dict):
            return None
        document = document.get(key)
    return document


def _host(url: str) -> str:
    return urlsplit(url).netloc or "The API"
