"""The health server of services without an HTTP API: /livez, /readyz and /metrics."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.aiohttp import make_aiohttp_handler

from services.common.runtime.tcp_ports import CannotListen, listen_error

NotReady = Callable[[], str | None]  # why the service cannot work now; None when it can


@asynccontextmanager
async def health_server(
    port: int,
    registry: CollectorRegistry,
    not_ready: NotReady,
    host: str,
    *,
    advice: str = "choose another port for the health server",
) -> AsyncIterator[None]:
    """Serve while the block runs; port 0 disables it, for several workers on one machine.

    Raises CannotListen, with `advice` where the port is taken.
    """
    if port == 0:
        yield
        return
    app = web.Application()
    app.router.add_get("/livez", _livez)
    app.router.add_get("/readyz", _readyz(not_ready))
    app.router.add_get("/metrics", make_aiohttp_handler(registry))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise CannotListen(f"{listen_error(host, port, error)}; {advice}") from None
        yield
    finally:
        await runner.cleanup()


async def _livez(_request: web.Request) -> web.Response:
    return web.json_response({"status": "alive"})


def _readyz(not_ready: NotReady) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(_request: web.Request) -> web.Response:
        reason = not_ready()
        if reason is not None:
            return web.json_response({"status": "not ready", "detail": reason}, status=503)
        return web.json_response({"status": "ready"})

    return handler
