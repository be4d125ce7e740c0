"""A TCP line between one process and nats-server, which a test may cut or hang."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, Literal

_BLOCK_BYTES: Final = 64 * 1024

State = Literal["whole", "cut", "hung"]


class Line:
    """Forwards everything while it is whole; cut, it closes and refuses; hung, it holds everything back."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self._target_port = target_port
        self._state: State = "whole"
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._talks: set[asyncio.Task[None]] = set()

    def set(self, state: State) -> None:
        """Change what the line does, for the connections that stand as well as for new ones."""
        self._state = state
        if state == "hung":
            self._flowing.clear()
            return
        self._flowing.set()
        if state == "cut":
            for talk in self._talks:
                talk.cancel()

    async def serve(self, near: asyncio.StreamReader, near_writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either end closes it."""
        talk = asyncio.ensure_future(self._carry(near, near_writer))
        self._talks.add(talk)
        with suppress(asyncio.CancelledError):
            await talk
        self._talks.discard(talk)

    async def close(self) -> None:
        """End all connections."""
        self.set("cut")
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def _carry(self, near: asyncio.StreamReader, near_writer: asyncio.StreamWriter) -> None:
        far_writer: asyncio.StreamWriter | None = None
        try:
            if self._state == "cut":
                return
            far, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            ways = {
                asyncio.ensure_future(self._pump(near, far_writer)),
                asyncio.ensure_future(self._pump(far, near_writer)),
            }
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            return  # the server is down: so is the line
        finally:
            for writer in (near_writer, far_writer):
                if writer is not None:
                    writer.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while block := await source.read(_BLOCK_BYTES):
                await self._flowing.wait()
                sink.write(block)
                await sink.drain()


@asynccontextmanager
async def line_to(target_port: int) -> AsyncIterator[Line]:
    """Open a line to a server on loopback; `port` is its near end."""
    line = Line(target_port)
    server = await asyncio.start_server(line.serve, "127.0.0.1", 0)
    line.port = server.sockets[0].getsockname()[1]
    try:
        yield line
    finally:
        server.close()
        await line.close()
        await server.wait_closed()
