"""The decoder of an edge that a test starts, without what hundreds of such edges would repeat."""

import asyncio
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

from services.http_edge.intake.reference.decoder import (
    InspectedRecording,
    PreparedClip,
    ReferenceDecoder,
)

# by the SHA-256 of the file: a clip depends on nothing else
_PREPARED: Final[dict[bytes, PreparedClip]] = {}


class CachedDecoder(ReferenceDecoder):
    """One decoder process that starts with the first file, and decodes each file once in all tests of this process.

    Refused files are decoded again each time.
    """

    def __init__(self) -> None:
        super().__init__(1)
        self._started: asyncio.Task[ReferenceDecoder] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def prepare(self, path: Path, tenant: str) -> PreparedClip:
        content = await asyncio.to_thread(path.read_bytes)
        name = sha256(content).digest()

        if name not in _PREPARED:
            await self._start_once()
            _PREPARED[name] = await super().prepare(path, tenant)

        return _PREPARED[name]

    async def inspect(self, path: Path, tenant: str) -> InspectedRecording:
        await self._start_once()
        return await super().inspect(path, tenant)

    async def _start_once(self) -> None:
        if self._started is None:
            self._started = asyncio.create_task(super().__aenter__())

        await asyncio.shield(self._started)  # of one client that leaves, and of many that wait
