"""Reads many last messages of a stream with one request (ADR-31 of nats-architecture, `multi_last`)."""

from collections.abc import Sequence
from typing import Final

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

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
    inbox = client.new_inbox()
    answers = await client.subscribe(inbox, pending_msgs_limit=MOST_AT_ONCE + 1)
    try:
        await client.publish(
            f"$JS.API.DIRECT.GET.{stream}",
            msgspec.json.encode({"multi_last": list(subjects)}),
            reply=inbox,
        )
        found: dict[str, bytes] = {}
        while True:
            message = await _next(answers)
            headers = message.headers or {}
            status = headers.get("Status", "")
            if status in (_END, _NO_MESSAGES):
                return found
            if status:
                raise BusUnavailable(f"NATS refused a batch of direct gets (status {status})")
            found[headers["Nats-Subject"]] = message.data
    finally:
        await answers.unsubscribe()


async def _next(answers: Subscription) -> Msg:
    try:
        with cancellation_kept():
            return await answers.next_msg(timeout=_WAIT_S)
    except nats.errors.TimeoutError:
        raise BusUnavailable("NATS does not answer a batch of direct gets in time") from None
