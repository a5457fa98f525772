"""Posts to addresses that strangers name, and not to those that only we can reach.

A webhook's URL is a request that somebody else makes the service send. Its host is resolved anew
for each request, every address that it has must be public, and the request goes to the address that
was looked at: a name that changes its mind in between changes nothing. Redirects are not followed.
https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from time import perf_counter

import httpx

from ledger_service.repositories.webhooks import Outcome

ANSWER_BYTES_MAX = 16_384
"""So much of an answer is read, to use the connection again; more ends the connection."""
ERROR_CHARS_MAX = 200
ADDRESSES_TRIED_MAX = 4
REFUSED = "refused: the host has an address that is not public"
_NAT64 = IPv6Network("64:ff9b::/96")
_NAT64_OF_ONES_OWN = IPv6Network("64:ff9b:1::/48")  # RFC 8215; Python takes it for public
Resolve = Callable[[str, int], Awaitable[list[str]]]


class TargetRefused(Exception):
    """The host has an address that is not public."""


def is_public(address: str) -> bool:
    """Tell whether an IP address is one of the public Internet, behind any IPv4-in-IPv6 form."""
    found = ip_address(address)
    if isinstance(found, IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if found in _NAT64:
            inner = IPv4Address(int(found) & 0xFFFFFFFF)
        if found.teredo is not None or found in _NAT64_OF_ONES_OWN:
            return False
        if inner is not None:
            return is_public(str(inner))
    return found.is_global and not found.is_multicast


def require_url(url: str) -> str:
    """Return `url`; raise ValueError where nothing could ever be sent to it."""
    try:
        host = _host(httpx.URL(url))
    except httpx.InvalidURL as error:
        raise ValueError(f"cannot be read: {error}") from error
    if ":" in host:
        IPv6Address(host)
    return url


def names_private_host(url: str) -> bool:
    """Tell whether a URL names, without any look-up, a host that is not public."""
    host = _host(httpx.URL(url)).lower().rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return not is_public(host)
    except ValueError:
        return False  # a name: it is looked up when there is something to send


async def resolve(host: str, port: int) -> list[str]:
    """Return the host's addresses; OSError or UnicodeError where it has none."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


class Connection:
    """Posts to one receiver, over one connection as long as that lives."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        seconds_max: float,
        is_private_allowed: bool,
        resolve: Resolve,
    ) -> None:
        self._client = client
        self._seconds_max = seconds_max
        self._is_private_allowed = is_private_allowed
        self._resolve = resolve

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Outcome:
        """Post `body` and return what came of it; trouble of any kind is an outcome too."""
        begun = perf_counter()
        status_code, error = None, None
        try:
            async with asyncio.timeout(self._seconds_max):
                status_code = await self._post(httpx.URL(url), headers, body)
        except TimeoutError:
            error = f"timeout: no answer within {self._seconds_max:g} s"
        except TargetRefused:
            error = REFUSED
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError, ssl.SSLError) as trouble:
            error = f"{type(trouble).__name__}: {trouble}"[:ERROR_CHARS_MAX]
        milliseconds = round((perf_counter() - begun) * 1_000)
        return Outcome(status_code, error, milliseconds)

    async def _post(self, url: httpx.URL, headers: dict[str, str], body: bytes) -> int:
        host = _host(url)
        port = url.port or (443 if url.scheme == "https" else 80)
        addresses = await self._resolve(host, port)
        if not self._is_private_allowed and not all(map(is_public, addresses)):
            raise TargetRefused
        *others, last = addresses[:ADDRESSES_TRIED_MAX]
        for address in others:
            try:
                return await self._post_to(address, url, headers, body)
            except httpx.ConnectError:
                continue  # nothing was sent
        return await self._post_to(last, url, headers, body)

    async def _post_to(
        self, address: str, url: httpx.URL, headers: dict[str, str], body: bytes
    ) -> int:
        request = self._client.build_request(
            "POST",
            url.copy_with(host=address),
            content=body,
            headers=headers | {"Host": url.netloc.decode("ascii")},
            extensions={"sni_hostname": _host(url)},  # whose certificate it is
        )
        answer = await self._client.send(request, stream=True)
        try:
            read = 0
            async for part in answer.aiter_raw():
                read += len(part)
                if read > ANSWER_BYTES_MAX:
                    break
        finally:
            await answer.aclose()
        return answer.status_code


def _host(url: httpx.URL) -> str:
    return url.raw_host.decode("ascii")


class Targets:
    """Opens connections to receivers."""

    def __init__(
        self, *, seconds_max: float, is_private_allowed: bool, resolve: Resolve = resolve
    ) -> None:
        """`seconds_max` bounds a whole request, from the look-up of its host to its answer."""
        self._seconds_max = seconds_max
        self._is_private_allowed = is_private_allowed
        self._resolve = resolve
        self._certificates = ssl.create_default_context()

    @property
    def is_private_allowed(self) -> bool:
        return self._is_private_allowed

    @property
    def seconds_max(self) -> float:
        return self._seconds_max

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Hold a connection for one receiver: none is shared by hosts of the same address."""
        async with httpx.AsyncClient(
            verify=self._certificates,
            trust_env=False,
            follow_redirects=False,
            timeout=self._seconds_max,
            limits=httpx.Limits(max_connections=1),
        ) as client:
            yield Connection(
                client,
                seconds_max=self._seconds_max,
                is_private_allowed=self._is_private_allowed,
                resolve=self._resolve,
            )
