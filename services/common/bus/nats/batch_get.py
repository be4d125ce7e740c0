"""Reads many messages of a stream with one request (ADR-31 of nats-architecture, batched direct get)."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from services.common.bus.ports import PAGE_BYTES, PAGE_MESSAGES, Stored
from services.common.runtime.cancellation import cancellation_kept
from services.common.wire.failures import BusUnavailable

MOST_AT_ONCE: Final = 512  # subjects of one request; the server takes 1,024
_WAIT_S: Final = 5.0  # between two messages of one answer
_NO_MESSAGES: Final = "404"
_END: Final = "204"


async def last_messages(client: Client, stream: str, subjects: Sequence[str]) -> dict[str, bytes]:
    """Return the last message of each of these subjects, at most `MOST_AT_ONCE`; missing ones are left out.

    Raises BusUnavailable, and nats.errors.Error where the connection fails.
    """
    if not subjects:
        return {}
    messages = await _batch(client, stream, {"multi_last": list(subjects)}, MOST_AT_ONCE)
    return {_header(message, "Nats-Subject"): message.data for message in messages}


async def next_messages(
    client: Client, stream: str, subject: str, *, after: int, since_unix_s: float
) -> list[Stored]:
    """Return a page of the messages of a subject, as `ports.Bus.page` does.

    Raises BusUnavailable, and nats.errors.Error where the connection fails.
    """
    query: dict[str, object] = {
        "next_by_subj": subject,
        "batch": PAGE_MESSAGES,
        "max_bytes": PAGE_BYTES,
    }
    if after or since_unix_s <= 0:
        query["seq"] = after + 1
    else:
        query["start_time"] = datetime.fromtimestamp(since_unix_s, UTC).isoformat()
    messages = await _batch(client, stream, query, PAGE_MESSAGES)
    return [
        Stored(
            number=int(_header(message, "Nats-Sequence")),
            subject=_header(message, "Nats-Subject"),
            payload=message.data,
            unix_s=_unix_s(_header(message, "Nats-Time-Stamp")),
        )
        for message in messages
    ]


async def _batch(client: Client, stream: str, query: Mapping[str, object], most: int) -> list[Msg]:
    """Return all messages of the answer to one direct get, at most `most`."""
    inbox = client.new_inbox()
    answers = await client.subscribe(inbox, pending_msgs_limit=most + 1)
    try:
        await client.publish(
            f"$JS.API.DIRECT.GET.{stream}", msgspec.json.encode(query), reply=inbox
        )
        found: list[Msg] = []
        while True:
            message = await _next(answers)
            status = (message.headers or {}).get("Status", "")
            if status in (_END, _NO_MESSAGES):
                return found
            if status:
                raise BusUnavailable(f"NATS refused a batch of direct gets (status {status})")
            found.append(message)
    finally:
        await answers.unsubscribe()


def _header(message: Msg, name: str) -> str:
    return (message.headers or {})[name]


def _unix_s(stamp: str) -> float:
    """Return a time of NATS, which has up to nine decimals, in seconds since 1970."""
    return datetime.fromisoformat(stamp).timestamp()


async def _next(answers: Subscription) -> Msg:
    try:
        with cancellation_kept():
            return await answers.next_msg(timeout=_WAIT_S)
    except nats.errors.TimeoutError:
        raise BusUnavailable("NATS does not answer a batch of direct gets in time") from None
