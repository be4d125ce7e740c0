"""Resolves the voice of a request: once, so that all of its sentences are spoken by one voice.

How it works

A client names a voice, or leaves the choice to the engine. The first delivery of the request resolves that to a
fixed revision (`v_...@3`), which `TextSplit` announces and `TTS_AUDIO` stores. A later delivery, or a later portion,
uses the announced voice, whatever the name leads to by then. If the voice was deleted or its clips were replaced, the
request fails with `unknown_voice`: it never continues in another voice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from msgspec import UNSET

from services.common.bus import topology
from services.common.bus.inbox import decoded
from services.common.bus.library.resolving import VoiceResolver
from services.common.bus.library.voices import VoiceLibrary
from services.common.bus.ports import Bus
from services.common.wire import subjects
from services.common.wire.messages import SpeechRequest, TextSplit, WorkerState


@dataclass(frozen=True)
class RequestVoices:
    """Resolves the voices of requests."""

    bus: Bus

    async def resolved(
        self, request: SpeechRequest, workers: Sequence[WorkerState], *, attempt: int
    ) -> SpeechRequest:
        """Return the request with clips or a resolved voice; `request.language` is a language code.

        If it names a voice, it gets the parameters of the voice that it does not set itself. `attempt` is the number of
        the delivery. Raises MalformedMessage, UnknownVoice, BusUnavailable.
        """
        begun = attempt > 1 or request.first_sentence > 0
        if begun and not request.clips:
            split = await self._split(request)
            if split is not None and split.voice is not UNSET:
                return await self._continued(request, split, split.voice, workers)

        return await self._resolver.resolve_request(request, request.language, workers)

    async def announced(self, request: SpeechRequest) -> bool:
        """Return whether the voice of this request is the announced one.

        Two deliveries at the same time may resolve a name differently; the first announcement counts.
        """
        split = await self._split(request)
        return (
            split is None or UNSET in (split.voice, request.voice) or split.voice == request.voice
        )

    async def _split(self, request: SpeechRequest) -> TextSplit | None:
        """Return what was announced of this request before, while it is stored."""
        subject = subjects.text_split(request.tenant, request.request)
        payload = await self.bus.last(topology.AUDIO, subject)
        event = None if payload is None else decoded(subject, payload)
        return event if isinstance(event, TextSplit) else None

    async def _continued(
        self,
        request: SpeechRequest,
        split: TextSplit,
        voice: str,
        workers: Sequence[WorkerState],
    ) -> SpeechRequest:
        """Return the request with the voice and parameters that its first sentences have."""
        chosen = await self._resolver.resolve(request.tenant, voice, workers)
        parameters = split.parameters
        return msgspec.structs.replace(
            request,
            voice=chosen.reference,
            parameters=request.parameters if parameters is UNSET else parameters,
        )

    @property
    def _resolver(self) -> VoiceResolver:
        return VoiceResolver(VoiceLibrary(self.bus))
