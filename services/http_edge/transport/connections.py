"""Connection limits, per address and in total, and eviction of idle connections.

How it works

Each connection is a `_Connection`, which passes incoming bytes to aiohttp's handler. It is busy while a request is
handled, and idle before and after, also while a request head arrives slowly. At the limit, of its address or in total,
the connection that has been idle the longest is closed in favour of a new one; so half-open connections evict each
other and never a request in progress. If none is idle, a few more connections are accepted that are served on the
public paths only (such as `/livez`); all others get 503 and are closed.

Input is parsed in small blocks, so that no connection keeps the others waiting. The rest of a body that was answered
before its end is discarded unparsed, for the few seconds that a client needs to read the answer.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from services.common.runtime.settings import BadSettings
from services.http_edge.errors import TooManyRequests, problem
from services.http_edge.transport.file_descriptors import highest_descriptor

log = structlog.get_logger()

_READ_BYTES: Final = 32 * 1024  # parsed at a time: in tiny chunks they take 30 ms
_KEPT: Final = 16  # connections beyond the limit, for the public paths
_TELL_S: Final = 5.0  # one line about refused connections in so long
_REFUSAL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 5\r\n"
    b"Connection: close\r\nContent-Length: 73\r\n\r\n"
    b'{"status": 503, "code": "too_many_connections", "retryable": true}       '
)
_CONNECTION: Final = web.RequestKey("connection", object)


class Addresses:
    """Client addresses; behind a trusted proxy, those of its `X-Forwarded-For`."""

    def __init__(self, trusted_proxies: str) -> None:
        """Raises BadSettings."""
        given = [part.strip() for part in trusted_proxies.split(",") if part.strip()]
        try:
            self._trusted: list[IPv4Network | IPv6Network] = [
                ip_network(part, strict=False) for part in given
            ]
        except ValueError as error:
            raise BadSettings(
                f"TRUSTED_PROXIES is invalid: {error}; give addresses or networks, with commas between"
            ) from None

    def trusted(self, address: str) -> bool:
        """Return whether this is a proxy of ours."""
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._trusted)

    def client(self, request: web.Request) -> str:
        """Return the address that a request came from: the last one in X-Forwarded-For where a trusted proxy set it."""
        remote = request.remote or ""
        if not self.trusted(remote):
            return _grouped(remote)
        told = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
        for address in reversed([part.strip() for part in told if part.strip()]):
            if not self.trusted(address):
                return _grouped(address)
        return remote


def _grouped(address: str) -> str:
    """Return an address, of IPv6 its network of 64 bits: one client may use all of these."""
    try:
        found = ip_address(address)
    except ValueError:
        return address[:64]
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Network((found, 64), strict=False))


class Connections:
    """All connections of an edge."""

    def __init__(
        self,
        addresses: Addresses,
        *,
        most: int,
        most_of_address: int,
        idle_s: float,
        public: AbstractSet[str],
    ) -> None:
        """`public`: paths that are also served on the reserved connections."""
        self._addresses = addresses
        self._public = public
        self._most = most
        self._most_of_address = most_of_address
        self._idle_s = idle_s
        self._open: dict[web.RequestHandler, _Connection] = {}
        self._idle: dict[_Connection, float] = {}  # and since when; the longest first
        self._count: dict[str, int] = {}  # by address
        self._kept: set[_Connection] = set()  # beyond the limit
        self._refused = 0
        self._pushed_out = 0
        self._told_s = 0.0
        self.buffer = memoryview(bytearray(_READ_BYTES))

    def protocol(self, handler: Callable[[], web.RequestHandler]) -> asyncio.BaseProtocol:
        """Return the protocol of a new connection. `handler` makes aiohttp's."""
        return _Connection(self, handler)

    def middleware(self) -> Middleware:
        """Return the outermost middleware, which notes when requests begin and end."""

        @web.middleware
        async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
            connection = self._open.get(request.protocol)
            if connection is None:
                return await handler(request)
            if connection in self._kept and request.path not in self._public:
                refusal = TooManyRequests(
                    "this server has as many connections as it may; try again soon"
                )
                refused = problem(refusal, secrets.token_hex(16))
                refused.force_close()
                return refused
            request[_CONNECTION] = connection
            self._idle.pop(connection, None)
            try:
                response = await handler(request)
                if not request.content.is_eof():
                    connection.answered_early = True
                    response.force_close()
                return response
            finally:
                if request.protocol in self._open:
                    self._idle[connection] = time.monotonic()

        return note

    def sweep(self) -> None:
        """Close what has been idle for too long, and say what was refused; to be called every few seconds."""
        now_s = time.monotonic()
        for connection, since_s in list(self._idle.items()):
            if now_s - since_s <= self._idle_s:
                break
            connection.abort()
        if (self._refused or self._pushed_out) and now_s - self._told_s >= _TELL_S:
            log.warning(
                "connections_refused",
                refused=self._refused,
                pushed_out=self._pushed_out,
                connections=len(self._open),
            )
            self._refused = self._pushed_out = 0
            self._told_s = now_s

    def admit(self, connection: "_Connection", descriptor: int) -> bool:
        """Return whether a connection may stay; another one may have to go for it."""
        address = connection.address
        over = self._count.get(address, 0) >= self._most_of_address and not self._addresses.trusted(
            address
        )
        if over or self._counted >= self._most or descriptor >= highest_descriptor():
            oldest = next(
                (idle for idle in self._idle if idle.address == address or not over), None
            )
            if oldest is not None:
                self._pushed_out += 1
                oldest.abort()
            elif len(self._kept) < _KEPT:
                self._kept.add(connection)
            else:
                self._refused += 1
                return False
        self._count[address] = self._count.get(address, 0) + 1
        self._idle[connection] = time.monotonic()
        return True

    @property
    def _counted(self) -> int:
        return len(self._open) - len(self._kept)

    def opened(self, connection: "_Connection", handler: web.RequestHandler) -> None:
        """Know a connection by its handler."""
        self._open[handler] = connection

    def closed(self, connection: "_Connection", handler: web.RequestHandler | None) -> None:
        """Forget a connection."""
        if handler is None or self._open.pop(handler, None) is None:
            return
        self._idle.pop(connection, None)
        self._kept.discard(connection)
        self._count[connection.address] -= 1
        if not self._count[connection.address]:
            del self._count[connection.address]


class _Connection(asyncio.BufferedProtocol):
    """One connection: aiohttp's handler behind a count of bytes, given few of them at a time."""

    def __init__(self, connections: Connections, handler: Callable[[], web.RequestHandler]) -> None:
        self.address = ""
        self.received_bytes = 0
        self.answered_early = False  # the rest of the body is not looked at
        self._connections = connections
        self._make_handler = handler
        self._handler: web.RequestHandler | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the connection in, or refuse it."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # for the type checker
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self.address = _grouped(peer[0]) if isinstance(peer, tuple) else ""
        if not self._connections.admit(self, transport.get_extra_info("socket").fileno()):
            transport.write(_REFUSAL)
            transport.close()
            return
        self._handler = self._make_handler()
        self._connections.opened(self, self._handler)
        self._handler.connection_made(transport)

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Return where to put what arrives; all connections share it, as it is copied at once."""
        return self._connections.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Hand on what arrived."""
        self.received_bytes += nbytes
        if self._handler is not None and not self.answered_early:
            self._handler.data_received(bytes(self._connections.buffer[:nbytes]))

    def eof_received(self) -> None:
        """Hand on that the client sends nothing more."""
        if self._handler is not None:
            self._handler.eof_received()

    def pause_writing(self) -> None:
        """Hand on that the client reads more slowly."""
        if self._handler is not None:
            self._handler.pause_writing()

    def resume_writing(self) -> None:
        """Hand on that the client has read."""
        if self._handler is not None:
            self._handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Hand on the end."""
        self._connections.closed(self, self._handler)
        if self._handler is not None:
            self._handler.connection_lost(exc)

    def abort(self) -> None:
        """Close at once."""
        self._connections.closed(self, self._handler)
        if self._transport is not None:
            self._transport.abort()


def received_by(request: web.Request) -> Callable[[], int]:
    """Return a function that counts the bytes received on a request's connection from now on, framing included."""
    connection = request.get(_CONNECTION)
    if not isinstance(connection, _Connection):
        return lambda: 0
    before = connection.received_bytes
    return lambda: connection.received_bytes - before
