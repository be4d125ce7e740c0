"""Receives a tenant's `SpeechRequest` over NATS, as HTTP does a form.

Checks, admits, stores and queues it.

The sender publishes as to a stream, and the reply is that of a stream: a JetStream publish
acknowledgement (nats-architecture, ADR-3 and "PubAck"), or its `error`, whose description begins
with a failure code of the contract. The sequence number is always 0: the true one would reveal how
many requests other tenants send.
"""

import asyncio
import json
import time
from asyncio import TaskGroup
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog
from msgspec import UNSET

from services.common.bus import topology
from services.common.bus.clips import has_clip
from services.common.bus.library.resolving import VoiceResolver
from services.common.bus.library.voices import VoiceLibrary
from services.common.bus.ports import Bus, Received
from services.common.runtime.deadline import Deadline
from services.common.ssml.dialogue import names_in
from services.common.wire import codec, subjects
from services.common.wire.addressing import require_own
from services.common.wire.estimate import audio_seconds
from services.common.wire.failures import (
    DeadlineExceeded,
    PipelineError,
    TenantQueueFull,
    TextTooLong,
    UnknownClip,
    UnsupportedLanguage,
)
from services.common.wire.languages import language_code
from services.common.wire.messages import SpeechRequest
from services.http_edge.capacity.admission import Admission, PendingRequest
from services.http_edge.capacity.fleet import Fleet
from services.http_edge.errors import RequestIdTaken
from services.http_edge.jobs.store import JobStore
from services.http_edge.settings import Settings
from services.http_edge.speech.commands import publish_request
from services.http_edge.speech.request_store import RequestStore

log = structlog.get_logger()

# of a request: the longest text in any script, with all other fields
_MOST_BYTES: Final = 1024 * 1024
# The number of a tenant's queued requests times the size of a new one: it leaves others most of the stream's 256 MiB.
_MOST_QUEUED_BYTES: Final = 16 * 1024 * 1024
_COUNTED_S: Final = 10.0  # a splitter reports the requests that it has received every second


@dataclass(frozen=True)
class RequestIngress:
    """Queues the requests of tenants."""

    bus: Bus
    fleet: Fleet
    admission: Admission
    settings: Settings
    group: TaskGroup
    stop: asyncio.Event

    async def answer(self, tenant: str, message: Received) -> bytes:
        """Queue a request and return its acknowledgement.

        Raises MalformedMessage, TextTooLong, DeadlineExceeded, EngineUnavailable,
        UnsupportedLanguage, UnsupportedParameter, MalformedSsml, UnknownClip, UnknownVoice, TenantQueueFull,
        QueueFull, RequestIdTaken, BusUnavailable.
        """
        if len(message.payload) > _MOST_BYTES:
            raise TextTooLong(
                f"the request is larger than {_MOST_BYTES} bytes; send the text in parts"
            )
        request = codec.decode(message.payload, SpeechRequest)
        require_own(request, message.subject)
        language = self._check(request)
        self.admission.check(tenant, request.engine)
        await self._check_clips(request)
        resolved = await self._resolved(request, language)
        await self._check_queue(request)
        stored = await self._queue(request, resolved, language)
        acknowledged = {"stream": topology.REQUESTS, "seq": 0}
        return json.dumps(acknowledged if stored else acknowledged | {"duplicate": True}).encode()

    def refuse(self, failure: PipelineError) -> bytes:
        """Return the acknowledgement with the reason why a request was not queued."""
        error = {
            "code": failure.http_status,
            "err_code": 0,
            "description": f"{failure.code}: {failure}",
        }
        return json.dumps({"error": error}, ensure_ascii=False).encode()

    def _check(self, request: SpeechRequest) -> str:
        """Return the code of the request's language.

        Refuses what no worker can synthesize, or not in time.
        """
        if len(request.text) > self.settings.max_text_characters:
            raise TextTooLong(
                f"the text is longer than {self.settings.max_text_characters} characters; send it in parts"
            )
        if Deadline.at(request.deadline_unix_ms).passed:
            raise DeadlineExceeded("deadline_unix_ms has passed; send the request with a later one")
        language = language_code(request.language)
        if language is None:
            raise UnsupportedLanguage("language is unknown; send one that a worker lists")
        fleet = self._fleet(request)
        fleet.require_known()
        fleet.require(language, request.parameters)
        return language

    def _fleet(self, request: SpeechRequest) -> Fleet:
        return self.fleet.of(request.engine)

    async def _resolved(self, request: SpeechRequest, language: str) -> SpeechRequest:
        """Return the request with its voices resolved.

        Those of a portion are only checked: the splitter continues with those of the first one.
        """
        listed = [speaker.name for speaker in request.voices or ()]
        names = await asyncio.to_thread(names_in, request.text, request.text_type, listed)
        resolver = VoiceResolver(VoiceLibrary(self.bus))
        workers = self._fleet(request).ready()
        resolved = await resolver.resolve_request(request, language, workers, names)
        return resolved if request.portion_s is UNSET else request

    async def _check_clips(self, request: SpeechRequest) -> None:
        for clip in request.clips:
            if not await has_clip(self.bus, request.tenant, clip):
                raise UnknownClip(
                    "the object store does not have this reference clip; store it again with StoreClip"
                )

    async def _check_queue(self, request: SpeechRequest) -> None:
        subject = subjects.request(request.tenant)
        queued = await self.bus.count_by_subject(topology.REQUESTS, subject)
        if queued.get(subject, 0) * len(codec.encode(request)) > _MOST_QUEUED_BYTES:
            raise TenantQueueFull(
                "your requests fill your share of the queue; retry when some have finished"
            )

    async def _queue(self, request: SpeechRequest, resolved: SpeechRequest, language: str) -> bool:
        """Reserve the request's id, and queue the request with its voice resolved.

        Return False if the same request is queued already.
        """
        records = RequestStore(self.bus, topology.KEPT)
        jobs = JobStore(self.bus, RequestStore(self.bus, topology.PROGRESS))
        if not await records.hold(request):
            if not await records.holds(request):
                raise RequestIdTaken(
                    "another request has this request id; send another one, chosen at random"
                )
            return await self._publish(resolved)  # JetStream drops the duplicate by its message id
        with ExitStack() as held:
            try:
                if (
                    await jobs.progress(request.tenant, request.request) is not None
                ):  # as `Acceptor` does: store first, then look for a job
                    raise RequestIdTaken(
                        "a job has this request id; send another one, chosen at random"
                    )
                pending = held.enter_context(self._admitted(resolved, language))
                stored = await self._publish(resolved)
            except PipelineError:
                await records.forget(request.tenant, request.request)
                raise
            self.group.create_task(self._count(pending, held.pop_all()), name="counted")
        log.info(
            "Synthesizing text",
            request=request.request,
            language=language,
            characters=len(request.text),
        )
        return stored

    async def _publish(self, request: SpeechRequest) -> bool:
        portion = 0 if request.portion_s is UNSET else request.first_sentence
        marked = self.fleet.marked(request)  # a tenant cannot leave the watermark out
        return await publish_request(self.bus, self._in_time(marked), part=portion)

    def _admitted(
        self, request: SpeechRequest, language: str
    ) -> AbstractContextManager[PendingRequest]:
        audio_s = audio_seconds(len(request.text), language, request.parameters.speed or 1.0)
        return self.admission.admit(request.request, request.tenant, audio_s, request.engine)

    def _in_time(self, request: SpeechRequest) -> SpeechRequest:
        """Return the request with a deadline that is at most that of a request over HTTP."""
        latest = round((time.time() + self.settings.request_timeout_s) * 1000)
        return msgspec.structs.replace(
            request, deadline_unix_ms=min(latest, request.deadline_unix_ms)
        )

    async def _count(self, pending: PendingRequest, held: ExitStack) -> None:
        """Count a request in the backlog until a splitter does."""
        with held:
            until_s = time.monotonic() + _COUNTED_S
            while not pending.reported and time.monotonic() < until_s and not self.stop.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.25):
                        await self.stop.wait()
