"""An asynchronous stream of blocks of audio, of either transport."""

from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Self


class BlockStream:
    """Iterates over the blocks of a generator, and closes it at the end of an `async with` block."""

    _blocks: AsyncGenerator[bytes, None]  # set by the subclass

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._blocks)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the stream; cancel the request if its audio is not complete."""
        await self._blocks.aclose()
