"""The HTTP server of an edge: connection limits, buffer sizes and shutdown."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.log import server_logger

from services.common.runtime.lifecycle import every, tasks
from services.common.runtime.log_limits import limited_logs
from services.common.runtime.tcp_ports import listen_error
from services.common.wire.fields import MOST_CLIPS
from services.http_edge.auth.guard import OPEN
from services.http_edge.errors import AddressUnavailable
from services.http_edge.http.malformed_requests import protocol_factory
from services.http_edge.settings import Settings
from services.http_edge.transport.connections import Addresses, Connections
from services.http_edge.transport.file_descriptors import accepted_at_once, most_connections
from services.http_edge.transport.shutdown import CLEANUP_S, RunningHandlers

log = structlog.get_logger()

_SWEEP_S: Final = 2.0
_BACKLOG: Final = 1024  # connections in the kernel that are not accepted yet
# Reading is paused while more of a body than this is buffered; at most twice as much is in memory.
_READ_BYTES: Final = 64 * 1024
_LINGER_S: Final = 5.0  # for the client to read a response that was sent before the end of its body


async def serve_http(app: web.Application, settings: Settings, stop: asyncio.Event) -> None:
    """Serve an application until `stop` is set, drain it, and cut the remaining requests. Raises AddressUnavailable."""
    connections = _connections(settings)
    running = RunningHandlers()
    app.middlewares.insert(0, connections.middleware())
    app.middlewares.append(running.middleware())

    # handler_cancellation: when a client disconnects, its handler is cancelled, and with it the work on the bus.
    # auto_decompress: compressed bodies are refused, so they must not be decompressed first.
    runner = web.AppRunner(
        app,
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=CLEANUP_S,
        auto_decompress=False,
        read_bufsize=_READ_BYTES,
        lingering_time=_LINGER_S,
    )

    with limited_logs(), _client_errors_unlogged():
        await runner.setup()
        try:
            async with _listening(runner, connections, settings) as address:
                log.info("edge_ready", url=f"http://{settings.http_host}:{address[1]}")
                async with tasks() as group:
                    group.create_task(_sweep(connections, stop), name="sweep")
                    await stop.wait()

                # Meanwhile load balancers read /readyz, and stop sending requests.
                await asyncio.sleep(settings.http_drain_s)
        finally:
            await running.end(settings.http_stop_s)
            await runner.cleanup()


def _connections(settings: Settings) -> Connections:
    most = most_connections(settings.max_sockets, files=MOST_CLIPS * settings.max_uploads)
    return Connections(
        Addresses(settings.trusted_proxies),
        most=most,
        most_of_address=min(settings.max_sockets_per_address or most * 3 // 4, most),
        idle_s=settings.connection_idle_timeout_s,
        public=OPEN,
    )


async def _sweep(connections: Connections, stop: asyncio.Event) -> None:
    async def sweep() -> None:
        connections.sweep()

    await every(_SWEEP_S, sweep, stop)


@contextmanager
def _client_errors_unlogged() -> Iterator[None]:
    client_errors = _ClientErrorFilter()
    server_logger.addFilter(client_errors)
    try:
        yield
    finally:
        server_logger.removeFilter(client_errors)


class _ClientErrorFilter(logging.Filter):
    """Drops log records of client errors, such as invalid request heads and lost connections."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log the record."""
        raised = record.exc_info[1] if record.exc_info else None
        return not isinstance(raised, HttpProcessingError | ConnectionError)


@asynccontextmanager
async def _listening(
    runner: web.AppRunner, connections: Connections, settings: Settings
) -> AsyncIterator[tuple[str, int]]:
    """Accept connections while the block runs, and yield the address. Raises AddressUnavailable."""
    server = runner.server
    assert server is not None  # noqa: S101  # set by `setup`
    loop = asyncio.get_running_loop()
    make_handler = protocol_factory(server)
    try:
        listener = await loop.create_server(
            lambda: connections.protocol(make_handler),
            settings.http_host,
            settings.http_port,
            backlog=accepted_at_once(),
        )

        # asyncio accepts up to `backlog` connections at a time. The kernel's queue can be longer.
        for listening in listener.sockets:
            with socket.fromfd(listening.fileno(), listening.family, listening.type) as duplicate:
                duplicate.listen(_BACKLOG)
    except OSError as error:
        reason = listen_error(settings.http_host, settings.http_port, error)
        raise AddressUnavailable(f"{reason}; choose another HTTP_PORT or HTTP_HOST") from None

    try:
        host, port, *_ = listener.sockets[0].getsockname()
        yield host, port
    finally:
        listener.close()
