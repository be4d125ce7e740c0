"""Graceful shutdown of an edge: running requests may finish, and those that exceed the grace period are cut visibly.

A request that is cut fails as `edge_stops`: before its answer has begun it is a 503, afterwards the body ends without
its last chunk, so that no client takes a part for the whole. Another edge continues it when the client asks there.
"""

import asyncio
import time
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from services.http_edge.errors import EdgeStops

log = structlog.get_logger()

_CUT_S: Final = 5.0  # requests that were cut get so long to cancel their work on NATS
CLEANUP_S: Final = 1.0  # aiohttp waits for so long twice, when all requests have ended


class Running:
    """The requests that run in this process."""

    def __init__(self) -> None:
        self._tasks = set[asyncio.Task[Any]]()
        self._cutting = False

    def middleware(self) -> Middleware:
        """Return the middleware that tracks requests; the one that translates failures has to be around it."""

        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            task = asyncio.current_task()
            assert task is not None  # noqa: S101  # a coroutine of the server
            if self._cutting:
                raise _stops()
            self._tasks.add(task)
            # when the answer is sent, which is after this returns
            task.add_done_callback(self._tasks.discard)
            try:
                return await handler(request)
            except asyncio.CancelledError:
                if not self._cutting:
                    raise  # the client left
                while task.uncancel():
                    pass
                raise _stops() from None

        return middleware

    async def end(self, patience_s: float) -> None:
        """Wait for running requests, at most so long, and cut the others; new connections are refused."""
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
        while (
            self._tasks and (left_s := until_s - time.monotonic()) > 0
        ):  # a connection may bring another one
            await asyncio.wait(set(self._tasks), timeout=left_s)


def _stops() -> EdgeStops:
    return EdgeStops(
        "this server is shutting down; send the request again, or resume it at another server"
    )
