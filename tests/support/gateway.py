"""A proxy between a client and the service that refuses, cuts and loses what a bad network does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

_NOT_PASSED_ON = ("transfer-encoding", "content-length", "connection", "host", "date", "server")


@dataclass
class Gateway:
    """The proxy's address, and what it does to the next requests."""

    address: str = ""
    refusals: list[web.Response] = field(default_factory=list)  # answered instead, in this order
    cut_after: int | None = None  # bytes of every body, then the connection is reset
    ends_cleanly: bool = False  # the shortened body gets an end, as if it were complete
    loses: int = 0  # so many responses are lost: the service has done the work
    seen: list[str] = field(default_factory=list)  # method and path of every request

    def posts(self) -> int:
        """Return how many POST requests arrived."""
        return sum(entry.startswith("POST") for entry in self.seen)


@asynccontextmanager
async def gateway(upstream: str) -> AsyncIterator[Gateway]:
    """Run the proxy while the block runs."""
    state = Gateway()

    async with aiohttp.ClientSession(auto_decompress=False) as session:

        async def forward(request: web.Request) -> web.StreamResponse:
            state.seen.append(f"{request.method} {request.path_qs}")
            if state.refusals:
                await request.read()
                return state.refusals.pop(0)

            headers = {
                name: value
                for name, value in request.headers.items()
                if name.lower() not in _NOT_PASSED_ON
            }
            async with session.request(
                request.method,
                f"{upstream}{request.rel_url}",
                headers=headers,
                data=await request.read(),
            ) as response:
                if state.loses:
                    state.loses -= 1
                    await response.content.readany()
                    return _reset(request)
                return await _passed(state, request, response)

        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", forward)
        async with TestServer(app, handler_cancellation=True) as server:
            state.address = str(server.make_url("")).rstrip("/")
            yield state


async def _passed(
    state: Gateway, request: web.Request, response: aiohttp.ClientResponse
) -> web.StreamResponse:
    answer = web.StreamResponse(status=response.status, reason=response.reason)
    for name, value in response.headers.items():
        if name.lower() not in _NOT_PASSED_ON:
            answer.headers[name] = value
    if response.content_length is not None and state.cut_after is None:
        answer.content_length = response.content_length
    await answer.prepare(request)

    left = state.cut_after
    async for block in response.content.iter_any():
        await answer.write(block if left is None else block[:left])
        if left is not None:
            left -= len(block)
            if left <= 0:
                if not state.ends_cleanly:
                    await asyncio.sleep(0)
                    return _reset(request)
                break

    await answer.write_eof()
    return answer


def _reset(request: web.Request) -> web.Response:
    """Break the client's connection."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()
