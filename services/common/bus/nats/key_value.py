"""Key-value buckets. A bucket is a stream with one message per key (ADR-8 of nats-architecture)."""

from collections.abc import Sequence

import nats.js.errors

from services.common.bus.nats.batch_get import MOST_AT_ONCE, last_messages
from services.common.bus.nats.errors import translated
from services.common.bus.nats.streams import StreamOperations
from services.common.bus.ports import Value
from services.common.bus.topology import value_subject


class KeyValueOperations(StreamOperations):
    """Operations on key-value buckets."""

    async def get_value(self, bucket: str, key: str) -> bytes | None:
        """Return a value, by direct get."""
        return await self.last(f"KV_{bucket}", value_subject(bucket, key)) or None

    async def get_values(self, bucket: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the values of these keys, by one direct get for each 512 of them."""
        found: dict[str, bytes] = {}
        prefix = len(value_subject(bucket, ""))

        for begin in range(0, len(keys), MOST_AT_ONCE):
            wanted = [value_subject(bucket, key) for key in keys[begin : begin + MOST_AT_ONCE]]
            async with translated():
                messages = await last_messages(self._client, f"KV_{bucket}", wanted)
            found |= {subject[prefix:]: value for subject, value in messages.items() if value}

        return found

    async def put_value(self, bucket: str, key: str, value: bytes) -> None:
        """Set a value unconditionally: workers that set the same key set the same value."""
        async with translated():
            await self._jetstream.publish(value_subject(bucket, key), value)

    async def create_value(self, bucket: str, key: str, value: bytes) -> bool:
        """Set a value if the subject has no message; the server decides, so one caller succeeds."""
        return await self.update_value(bucket, key, value, 0)

    async def get_revision(self, bucket: str, key: str) -> Value | None:
        """Return a value and the sequence number of its message.

        A replica may return a stale value, whose update is then refused.
        """
        subject = value_subject(bucket, key)

        async with translated():
            try:
                message = await self._jetstream.get_msg(
                    f"KV_{bucket}", subject=subject, direct=True
                )
            except nats.js.errors.NotFoundError:
                return None

        return Value(message.data or b"", message.seq or 0)

    async def update_value(self, bucket: str, key: str, value: bytes, revision: int) -> bool:
        """Set a value if the subject's last message has this sequence number; the server decides."""
        stored = await self.append(
            f"KV_{bucket}", value_subject(bucket, key), value, after=revision
        )
        return stored is not None

    async def drop_value(self, bucket: str, key: str) -> None:
        """Purge the value's messages; a delete marker would block the next `create_value`."""
        await self.purge(f"KV_{bucket}", value_subject(bucket, key))
