"""Object stores. A store is a stream of chunks and metadata (ADR-20 of nats-architecture)."""

import asyncio
from base64 import urlsafe_b64encode

import nats.js.errors
from nats.aio.client import Client
from nats.js.object_store import ObjectStore

from services.common.bus.nats.errors import translated
from services.common.bus.nats.streams import StreamOperations


class ObjectOperations(StreamOperations):
    """Operations on object stores."""

    def __init__(self, client: Client, *, patience_s: float) -> None:
        super().__init__(client, patience_s=patience_s)
        self._object_stores: dict[str, ObjectStore] = {}

    async def has_object(self, store: str, name: str) -> bool:
        """Return whether the object exists; its metadata is written after its last chunk."""
        async with translated():
            try:
                await (await self._object_store(store)).get_info(name)
            except nats.js.errors.NotFoundError:
                return False
        return True

    async def get_object(self, store: str, name: str) -> bytes | None:
        """Return an object; the client verifies its digest."""
        async with translated():
            try:
                # the client waits without end for chunks that are purged after it has read the metadata
                async with asyncio.timeout(self._patience_s):
                    return (await (await self._object_store(store)).get(name)).data
            except nats.js.errors.NotFoundError:
                return None
            except TimeoutError:
                if await self.has_object(store, name):
                    raise
                return None

    async def put_object(self, store: str, name: str, content: bytes) -> None:
        """Store an object in chunks of 128 KiB."""
        async with translated():
            await (await self._object_store(store)).put(name, content)

    async def drop_object(self, store: str, name: str) -> None:
        """Purge an object's messages, metadata first; the client's own delete leaves a marker."""
        chunks = await self._purge_metadata(store, name)
        if chunks is not None:
            await self.purge(f"OBJ_{store}", chunks)

    async def erase_object(self, store: str, name: str) -> None:
        """Delete an object's messages one by one: unlike a purge, that overwrites their bytes on disk."""
        chunks = await self._purge_metadata(store, name)
        if chunks is None:
            return

        number = 0
        while next_number := await self._next_message(f"OBJ_{store}", chunks, number + 1):
            await self.remove(f"OBJ_{store}", next_number)
            number = next_number

    async def _purge_metadata(self, store: str, name: str) -> str | None:
        """Purge an object's metadata; return the subject of its chunks, or None if there is no object."""
        async with translated():
            try:
                info = await (await self._object_store(store)).get_info(name)
            except nats.js.errors.NotFoundError:
                return None

        encoded_name = urlsafe_b64encode(name.encode()).decode()
        await self.purge(f"OBJ_{store}", f"$O.{store}.M.{encoded_name}")
        return f"$O.{store}.C.{info.nuid}"

    async def _next_message(self, stream: str, subject: str, first: int) -> int | None:
        """Return the number of the first message with this subject, from the number `first` on."""
        async with translated():
            try:
                message = await self._jetstream.get_msg(stream, first, subject, next=True)
            except nats.js.errors.NotFoundError:
                return None
        return message.seq

    async def _object_store(self, store: str) -> ObjectStore:
        if store not in self._object_stores:
            self._object_stores[store] = await self._jetstream.object_store(store)
        return self._object_stores[store]
