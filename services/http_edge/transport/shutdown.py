"""Graceful shutdown of an edge: running requests can finish; those that exceed the grace period are cut.

A request that is cut fails as `edge_stops`. If its response has not begun, the client receives a 503; otherwise the
body ends without its last chunk, so the client can detect it, and can resume the response at another edge.
"""

import asyncio
import time
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from services.http_edge.errors import EdgeStops

log = structlog.get_logger()

_CUT_S: Final = 5.0  # for requests that were cut to cancel their work on NATS
CLEANUP_S: Final = 1.0  # aiohttp waits this long, twice, after all requests have ended


class RunningHandlers:
    """The requests that this process is handling."""

    def __init__(self) -> None:
        self._tasks = set[asyncio.Task[Any]]()
        self._cutting = False

    def middleware(self) -> Middleware:
        """Return the middleware that tracks requests. The middleware that translates failures must wrap it."""

        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            task = asyncio.current_task()
            assert task is not None  # noqa: S101  # the server runs it in a task
            if self._cutting:
                raise _edge_stops()

            # The task ends when the response is sent, which is after this function returns.
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

            try:
                return await handler(request)
            except asyncio.CancelledError:
                if not self._cutting:
                    raise  # the client disconnected

                while task.uncancel():
                    pass
                raise _edge_stops() from None

        return middleware

    async def end(self, patience_s: float) -> None:
        """Wait up to `patience_s` for running requests, and cut the others. New requests are refused then."""
        await self._until_idle(patience_s)

        if self._tasks:
            log.warning("requests_cut", requests=len(self._tasks))

        self._cutting = True
        for _ in range(2):  # asyncio.wait_for may swallow a cancellation
            for task in list(self._tasks):
                task.cancel()
            await self._until_idle(_CUT_S / 2)

    async def _until_idle(self, patience_s: float) -> None:
        until_s = time.monotonic() + patience_s

        # New requests can arrive meanwhile on open connections.
        while self._tasks and (left_s := until_s - time.monotonic()) > 0:
            await asyncio.wait(set(self._tasks), timeout=left_s)


def _edge_stops() -> EdgeStops:
    return EdgeStops(
        "this server is shutting down; send the request again, or resume it at another server"
    )
