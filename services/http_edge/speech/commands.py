"""The two commands that the edge publishes: a speech request, and its cancellation."""

from contextlib import suppress

from services.common.bus.ports import Bus, SubjectFull
from services.common.runtime.deadline import Deadline
from services.common.wire import codec, subjects
from services.common.wire.failures import BusUnavailable, QueueFull, TenantQueueFull
from services.common.wire.identity import Kind, identity_of
from services.common.wire.messages import CancelSpeech, SpeechRequest


async def publish_request(
    bus: Bus, request: SpeechRequest, kind: Kind = "request", part: int = 0
) -> bool:
    """Queue a request or a job; it expires from the queue at its deadline.

    `part` is the first sentence of a later portion: it distinguishes the portions of a request, which share its id.

    Return False if it is queued already, or was queued within the last two minutes. Raises TenantQueueFull, QueueFull,
    TextTooLong, BusUnavailable.
    """
    try:
        return await bus.publish(
            subjects.job(request.tenant) if kind == "job" else subjects.request(request.tenant),
            codec.encode(request),
            message_id=identity_of(request)
            ._replace(kind=kind)
            .message_id(*([part] if part else [])),
            lifetime_s=Deadline.at(request.deadline_unix_ms).left_s,
        )
    except SubjectFull:
        raise TenantQueueFull(
            "your requests fill your share of the queue; wait for some to finish"
        ) from None
    except QueueFull:
        raise QueueFull("the service has all the work that it takes; try again later") from None


async def cancel(
    bus: Bus, tenant: str, *requests: str, reason: str = "nobody listens any more"
) -> None:  # prose: allow nobody, any more
    """Publish the cancellation of these requests."""
    with suppress(BusUnavailable):  # then their sentences expire at their deadline
        for request in requests:
            message = CancelSpeech(request=request, tenant=tenant, reason=reason)
            await bus.send(subjects.cancel(tenant, request), codec.encode(message))
