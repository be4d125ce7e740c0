"""Key-value buckets. A bucket is a stream with one message per key (ADR-8 of nats-architecture)."""

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import nats.js.errors
from nats.js import api

from services.common.bus.nats.batch_get import MOST_AT_ONCE, last_messages
from services.common.bus.nats.errors import WRONG_LAST_SEQUENCE, refusal, translated
from services.common.bus.nats.streams import StreamOperations
from services.common.bus.ports import Value
from services.common.bus.topology import value_subject

_STALE_READS: Final = 5
_STALE_READ_S: Final = 0.1


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
        """Set a value if the subject's last message has this sequence number; the server decides.

        A publish without an answer is repeated. If the server stored it before it crashed, the
        repeat may be refused because of its own first copy; the message id distinguishes the two
        cases.
        """
        message_id = secrets.token_hex(16)
        subject = value_subject(bucket, key)
        headers = {
            api.Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: str(revision),
            api.Header.MSG_ID.value: message_id,
        }

        try:
            await self._publish_until_stored(subject, value, headers)
        except nats.js.errors.APIError as error:
            if error.err_code != WRONG_LAST_SEQUENCE:
                raise refusal(error) from None
            return await self._is_own_copy(bucket, subject, after=revision, message_id=message_id)

        return True

    async def _is_own_copy(self, bucket: str, subject: str, *, after: int, message_id: str) -> bool:
        """Return whether the subject's last message, if newer than `after`, has this id.

        By direct get, as a service's NATS user has no permission for more. A replica that answers
        with an older message is behind the leader, so the read is repeated.
        """
        for _ in range(_STALE_READS):
            async with translated():
                with suppress(nats.js.errors.NotFoundError):
                    message = await self._jetstream.get_msg(
                        f"KV_{bucket}", subject=subject, direct=True
                    )
                    if (message.seq or 0) > after:
                        headers = message.headers or {}
                        return headers.get(api.Header.MSG_ID.value) == message_id

            await asyncio.sleep(_STALE_READ_S)

        return False

    async def drop_value(self, bucket: str, key: str) -> None:
        """Purge the value's messages; a delete marker would block the next `create_value`."""
        await self.purge(f"KV_{bucket}", value_subject(bucket, key))
