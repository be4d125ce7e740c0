"""The HTTP server around an edge's application: who may connect, how much of a body waits, and how it ends."""

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
from services.common.wire.messages import MOST_CLIPS
from services.http_edge.auth.guard import OPEN
from services.http_edge.errors import CannotListen
from services.http_edge.settings import Settings
from services.http_edge.transport.connections import Addresses, Connections
from services.http_edge.transport.file_descriptors import accepted_at_once, most_connections
from services.http_edge.transport.shutdown import CLEANUP_S, Running

log = structlog.get_logger()

_SWEEP_S: Final = 2.0
_WAITING: Final = 1024  # connections that are not accepted yet
# of a body that wait in memory before the connection is paused, twice at most
_READ_BYTES: Final = 64 * 1024
_LINGER_S: Final = 5.0  # an answer that came before the end of the body may be read for so long


async def serve_http(app: web.Application, settings: Settings, stop: asyncio.Event) -> None:
    """Serve an application until `stop` is set; then drain, and cut what still runs. Raises CannotListen."""
    connections, running = _connections(settings), Running()
    app.middlewares.insert(0, connections.middleware())
    app.middlewares.append(running.middleware())
    # handler_cancellation: a client that leaves ends its handler at once, and with it the work on the bus.
    # auto_decompress: bodies that are compressed are refused, and nothing of them is inflated before.
    runner = web.AppRunner(
        app,
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=CLEANUP_S,
        auto_decompress=False,
        read_bufsize=_READ_BYTES,
        lingering_time=_LINGER_S,
    )
    with limited_logs(), _of_the_client():
        await runner.setup()
        try:
            async with _listening(runner, connections, settings) as address:
                log.info("edge_ready", url=f"http://{settings.http_host}:{address[1]}")
                async with tasks() as group:
                    group.create_task(_sweep(connections, stop), name="sweep")
                    await stop.wait()
                # load balancers read /readyz, and send no more clients
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
def _of_the_client() -> Iterator[None]:
    quiet = _OfTheClient()
    server_logger.addFilter(quiet)
    try:
        yield
    finally:
        server_logger.removeFilter(quiet)


class _OfTheClient(logging.Filter):
    """Leaves out what strangers do to the HTTP server: broken heads, connections that break. It has been answered."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log the record."""
        raised = record.exc_info[1] if record.exc_info else None
        return not isinstance(raised, HttpProcessingError | ConnectionError)


@asynccontextmanager
async def _listening(
    runner: web.AppRunner, connections: Connections, settings: Settings
) -> AsyncIterator[tuple[str, int]]:
    """Accept connections while the block runs, and yield the address. Raises CannotListen."""
    server = runner.server
    assert server is not None  # noqa: S101  # since `setup`
    loop = asyncio.get_running_loop()
    try:
        listener = await loop.create_server(
            lambda: connections.protocol(server),
            settings.http_host,
            settings.http_port,
            backlog=accepted_at_once(),
        )
        for (
            accepting
        ) in listener.sockets:  # the kernel may let more wait than the event loop accepts at once
            with socket.fromfd(accepting.fileno(), accepting.family, accepting.type) as same:
                same.listen(_WAITING)
    except OSError as error:
        reason = listen_error(settings.http_host, settings.http_port, error)
        raise CannotListen(f"{reason}; choose another HTTP_PORT or HTTP_HOST") from None
    try:
        host, port, *_ = listener.sockets[0].getsockname()
        yield host, port
    finally:
        listener.close()
