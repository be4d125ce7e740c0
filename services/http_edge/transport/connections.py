"""Connection limits, per address and in total, and eviction of idle connections.

How it works

Each connection is a `_Connection`, which passes incoming bytes to aiohttp's handler. It is busy while a request is
handled, and idle before and after that, also while a request head arrives slowly. When an address or the edge has
reached its limit, a new connection replaces the one that has been idle the longest. Half-open connections therefore
evict each other, but never a request in progress. If no connection is idle, a few more are accepted on which only the
public paths (such as `/livez`) are served; all others are refused with 503.

Input is parsed in small blocks, so no connection delays the others for long. If a response is sent before the end of
the request's body, the rest of the body is discarded without parsing while the client reads the response.
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
from services.http_edge.errors import TooManyRequests
from services.http_edge.problems import problem
from services.http_edge.transport.file_descriptors import highest_descriptor

log = structlog.get_logger()

_READ_BYTES: Final = 32 * 1024  # parsed at a time; 30 ms if they are tiny HTTP chunks
_RESERVED: Final = 16  # connections beyond the limit, for the public paths only
_LOG_INTERVAL_S: Final = 5.0  # minimum interval of log lines about refused connections
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
                f"TRUSTED_PROXIES is invalid: {error}; set comma-separated addresses or networks"
            ) from None

    def trusted(self, address: str) -> bool:
        """Return whether an address is a trusted proxy."""
        try:
            found = ip_address(address)
        except ValueError:
            return False

        return any(found in network for network in self._trusted)

    def client(self, request: web.Request) -> str:
        """Return the client's address: behind trusted proxies, the last untrusted one of X-Forwarded-For."""
        remote = request.remote or ""
        if not self.trusted(remote):
            return _client_network(remote)

        forwarded = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
        for address in reversed([part.strip() for part in forwarded if part.strip()]):
            if not self.trusted(address):
                return _client_network(address)

        return remote


def _client_network(address: str) -> str:
    """Return an IPv4 address, or the /64 network of an IPv6 address, all of which one client can use."""
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
        self._idle: dict[_Connection, float] = {}  # idle since; the longest first
        self._count: dict[str, int] = {}  # open connections by address
        self._reserved: set[_Connection] = set()  # beyond the limit, for the public paths only
        self._refused = 0
        self._evicted = 0
        self._logged_s = 0.0
        self.buffer = memoryview(bytearray(_READ_BYTES))

    def protocol(self, handler: Callable[[], web.RequestHandler]) -> asyncio.BaseProtocol:
        """Return the protocol of a new connection. `handler` creates aiohttp's protocol."""
        return _Connection(self, handler)

    def middleware(self) -> Middleware:
        """Return the outermost middleware, which tracks which connections are busy."""

        @web.middleware
        async def track(request: web.Request, handler: Handler) -> web.StreamResponse:
            connection = self._open.get(request.protocol)
            if connection is None:
                return await handler(request)

            if connection in self._reserved and request.path not in self._public:
                failure = TooManyRequests("too many open connections; retry later")
                refused = problem(failure, secrets.token_hex(16))
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

        return track

    def sweep(self) -> None:
        """Close connections that have been idle too long, and log refusals. Call it every few seconds."""
        now_s = time.monotonic()

        for connection, since_s in list(self._idle.items()):
            if now_s - since_s <= self._idle_s:
                break
            connection.abort()

        if (self._refused or self._evicted) and now_s - self._logged_s >= _LOG_INTERVAL_S:
            log.warning(
                "connections_refused",
                refused=self._refused,
                pushed_out=self._evicted,
                connections=len(self._open),
            )
            self._refused = 0
            self._evicted = 0
            self._logged_s = now_s

    def admit(self, connection: "_Connection", descriptor: int) -> bool:
        """Return whether to accept a new connection. May close an idle one in its favour."""
        address = connection.address
        over_address_limit = self._count.get(
            address, 0
        ) >= self._most_of_address and not self._addresses.trusted(address)

        if over_address_limit or self._ordinary >= self._most or descriptor >= highest_descriptor():
            candidates = (
                idle for idle in self._idle if idle.address == address or not over_address_limit
            )
            oldest = next(candidates, None)

            if oldest is not None:
                self._evicted += 1
                oldest.abort()
            elif len(self._reserved) < _RESERVED:
                self._reserved.add(connection)
            else:
                self._refused += 1
                return False

        self._count[address] = self._count.get(address, 0) + 1
        self._idle[connection] = time.monotonic()
        return True

    @property
    def _ordinary(self) -> int:
        return len(self._open) - len(self._reserved)

    def opened(self, connection: "_Connection", handler: web.RequestHandler) -> None:
        """Register an accepted connection under its handler."""
        self._open[handler] = connection

    def closed(self, connection: "_Connection", handler: web.RequestHandler | None) -> None:
        """Remove a connection."""
        if handler is None or self._open.pop(handler, None) is None:
            return

        self._idle.pop(connection, None)
        self._reserved.discard(connection)
        self._count[connection.address] -= 1
        if not self._count[connection.address]:
            del self._count[connection.address]


class _Connection(asyncio.BufferedProtocol):
    """One connection: passes bytes to aiohttp's handler in small blocks, and counts them."""

    def __init__(self, connections: Connections, handler: Callable[[], web.RequestHandler]) -> None:
        self.address = ""
        self.received_bytes = 0
        self.answered_early = False  # before the end of the body, whose rest is discarded
        self._connections = connections
        self._make_handler = handler
        self._handler: web.RequestHandler | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept or refuse the connection."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # for the type checker
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self.address = _client_network(peer[0]) if isinstance(peer, tuple) else ""
        if not self._connections.admit(self, transport.get_extra_info("socket").fileno()):
            transport.write(_REFUSAL)
            transport.close()
            return

        self._handler = self._make_handler()
        self._connections.opened(self, self._handler)
        self._handler.connection_made(transport)

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Return the buffer for incoming bytes, which all connections share: its content is copied immediately."""
        return self._connections.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Pass the received bytes to the handler."""
        self.received_bytes += nbytes
        if self._handler is not None and not self.answered_early:
            self._handler.data_received(bytes(self._connections.buffer[:nbytes]))

    def eof_received(self) -> None:
        """Notify the handler that the client has finished sending."""
        if self._handler is not None:
            self._handler.eof_received()

    def pause_writing(self) -> None:
        """Notify the handler that the send buffer is full."""
        if self._handler is not None:
            self._handler.pause_writing()

    def resume_writing(self) -> None:
        """Notify the handler that the send buffer has space again."""
        if self._handler is not None:
            self._handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Notify the handler that the connection is closed."""
        self._connections.closed(self, self._handler)
        if self._handler is not None:
            self._handler.connection_lost(exc)

    def abort(self) -> None:
        """Close the connection immediately."""
        self._connections.closed(self, self._handler)
        if self._transport is not None:
            self._transport.abort()


def received_by(request: web.Request) -> Callable[[], int]:
    """Return a function that returns the bytes received on the connection since now, with framing."""
    connection = request.get(_CONNECTION)
    if not isinstance(connection, _Connection):
        return lambda: 0

    before = connection.received_bytes
    return lambda: connection.received_bytes - before
