"""Resolves the voice of a request: once, so that all of its sentences are spoken by one voice.

How it works

A client names a voice, or leaves the choice to the engine. The first delivery of the request resolves that to a
fixed revision (`v_...@3`), which `TextSplit` announces and `TTS_AUDIO` stores. A later delivery, or a later portion,
uses the announced voice, whatever the name leads to by then. The same holds for the voices that parts of the text
name. If the voice was deleted or its clips were replaced, the
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
        self,
        request: SpeechRequest,
        workers: Sequence[WorkerState],
        names: Sequence[str] = ("",),
        *,
        attempt: int,
    ) -> SpeechRequest:
        """Return the request with clips or a resolved voice, and the resolved voices of these names in its text.

        If it names a voice, it gets the parameters of the voice that it does not set itself. `request.language` is a
        language code. `attempt` is the number of the delivery. Raises MalformedMessage, UnknownVoice, BusUnavailable.
        """
        begun = attempt > 1 or request.first_sentence > 0
        if begun and not (request.clips and names == ("",)):
            split = await self._split(request)
            if split is not None and (split.voice or split.voices):
                return await self._continued(request, split, workers)

        return await self._resolver.resolve_request(request, request.language, workers, names)

    async def announced(self, request: SpeechRequest) -> bool:
        """Return whether the voices of this request are the announced ones.

        Two deliveries at the same time may resolve a name differently; the first announcement counts.
        """
        split = await self._split(request)
        if split is None:
            return True
        same = UNSET in (split.voice, request.voice) or split.voice == request.voice
        return same and split.voices == request.voices

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
        workers: Sequence[WorkerState],
    ) -> SpeechRequest:
        """Return the request with the voices and parameters that its first sentences have."""
        for voice in (split.voice, *(speaker.voice for speaker in split.voices or ())):
            if voice is not UNSET:
                await self._resolver.resolve(request.tenant, voice, workers)
        parameters = split.parameters
        return msgspec.structs.replace(
            request,
            voice=split.voice,
            voices=split.voices,
            parameters=request.parameters if parameters is UNSET else parameters,
        )

    @property
    def _resolver(self) -> VoiceResolver:
        return VoiceResolver(VoiceLibrary(self.bus))
