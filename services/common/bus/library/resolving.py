"""Resolves the voice that a request names: one of its tenant, a shared one, or a built-in one of an engine."""

import asyncio
import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec
from msgspec import UNSET

from services.common.bus.library.voices import VoiceLibrary
from services.common.wire.failures import MalformedMessage, UnknownVoice, UnusableReference
from services.common.wire.messages import SpeechRequest, WorkerState
from services.common.wire.options import AS_USUAL, Parameters
from services.common.wire.parameters import takes_of, with_defaults
from services.common.wire.parts import BuiltInVoice, Speaker
from services.common.wire.voices import (
    SHARED_TENANT,
    ResolvedVoice,
    Voice,
    name_key,
    parse_reference,
)

_COMPARED: Final = 1_000  # names that are compared for the nearest ones
_NEAREST: Final = 3


class VoiceChoice(NamedTuple):
    """The voice of a request."""

    reference: str  # resolved, for `SpeechRequest.voice` and `SentenceJob.voice`
    parameters: Parameters = AS_USUAL  # its defaults


@dataclass(frozen=True)
class VoiceResolver:
    """Resolves names, ids and references."""

    library: VoiceLibrary

    async def resolve(self, tenant: str, given: str, workers: Iterable[WorkerState]) -> VoiceChoice:
        """Return the voice that `given` names, for a request that one of these workers will speak.

        Tried in this order: a resolved reference, an id or name of the tenant's own voices, of the shared voices, the
        name of a built-in voice. Raises UnknownVoice, with the nearest names; UnusableReference if only other engines
        can use the voice; BusUnavailable.
        """
        workers = list(workers)
        built_in = built_in_voices(workers)
        parsed = parse_reference(given)
        if parsed is not None:
            return await self._of_reference(tenant, parsed, workers)
        for owner in (tenant, SHARED_TENANT):
            found = await self.library.find(owner, given)
            if found is not None:
                require_usable(found, workers)
                return VoiceChoice(found.resolved.reference, found.parameters)
        same = [voice.name for voice in built_in if name_key(voice.name) == name_key(given)]
        if same:
            return VoiceChoice(ResolvedVoice("builtin", same[0]).reference)
        raise UnknownVoice(await self._advice(tenant, given, built_in))

    async def resolve_speakers(
        self,
        tenant: str,
        asked: Iterable[Speaker],
        parameters: Parameters,
        workers: Sequence[WorkerState],
    ) -> tuple[Speaker, ...]:
        """Return these voices of parts of a text, resolved and with complete parameters.

        `parameters`: of the request; those that are not set are the defaults of each voice. Raises UnknownVoice, which
        states the name in the text; UnusableReference, BusUnavailable.
        """
        found: list[Speaker] = []
        for speaker in asked:
            try:
                chosen = await self.resolve(tenant, speaker.voice, workers)
            except UnknownVoice as failure:
                raise UnknownVoice(f"the voice of {speaker.name}: {failure}") from None
            complete = speaker.parameters
            if complete is UNSET:
                complete = with_defaults(parameters, chosen.parameters, takes=takes_of(workers))
            found.append(Speaker(name=speaker.name, voice=chosen.reference, parameters=complete))
        return tuple(found)

    async def resolve_request(
        self,
        request: SpeechRequest,
        language: str,
        workers: Sequence[WorkerState],
        names: Sequence[str] = ("",),
    ) -> SpeechRequest:
        """Return the request with clips or a resolved voice; `language` is the code of its language.

        The parameters that it does not set are those of the voice, as far as these workers support them, unless it has
        `voice_defaults` false. The result has that, so resolving it again adds nothing. `names`: of the voices in its
        text; empty for text in the voice of the request. Raises MalformedMessage if it has a voice and clips,
        UnknownVoice, UnusableReference, BusUnavailable.
        """
        if request.clips and request.voice is not UNSET:
            raise MalformedMessage("voice and clips are both set; send one of them")
        speakers = await self.resolve_speakers(
            request.tenant, _asked(request, names), request.parameters, workers
        )
        request = msgspec.structs.replace(request, voices=speakers or UNSET)
        if request.clips:
            return request

        if request.voice is UNSET and speakers and "" not in names:
            # no sentence is in the voice of the request
            return msgspec.structs.replace(request, voice=speakers[0].voice, voice_defaults=False)

        if request.voice is UNSET:
            default = default_voice(language, workers)
            if default is None:
                raise UnknownVoice(
                    f"the engine {request.engine} has no default voice for {language}; "
                    "send voice or clips"
                )
            return msgspec.structs.replace(request, voice=default)

        chosen = await self.resolve(request.tenant, request.voice, workers)
        parameters = request.parameters
        if request.voice_defaults is not False:
            parameters = with_defaults(parameters, chosen.parameters, takes=takes_of(workers))

        return msgspec.structs.replace(
            request, voice=chosen.reference, parameters=parameters, voice_defaults=False
        )

    async def _of_reference(
        self, tenant: str, parsed: ResolvedVoice, workers: list[WorkerState]
    ) -> VoiceChoice:
        built_in = built_in_voices(workers)
        if parsed.scope == "builtin":
            if parsed.id in {voice.name for voice in built_in}:
                return VoiceChoice(parsed.reference)
            raise UnknownVoice(await self._advice(tenant, parsed.id, built_in))
        found = await self.library.read(parsed.owner(tenant), parsed.id)
        if found is None or found.revision != parsed.revision:
            raise UnknownVoice(
                "the voice was deleted or its clips were replaced; send its name or id"
            )
        require_usable(found, workers)
        return VoiceChoice(parsed.reference, found.parameters)

    async def _advice(self, tenant: str, given: str, built_in: list[BuiltInVoice]) -> str:
        """Return what to send instead: the nearest names."""
        names = [voice.name for voice in built_in]
        for owner in (tenant, SHARED_TENANT):
            page = await self.library.page(owner, limit=_COMPARED)
            names += [voice.name for voice in page.voices]
        nearest = await asyncio.to_thread(_nearest, given, names)
        if not nearest:
            return "no voice has this name or id; GET /voices lists those that exist"
        return (
            "no voice has this name or id; the nearest names are "
            f"{', '.join(nearest)}; GET /voices lists all"
        )


def require_usable(voice: Voice, workers: Iterable[WorkerState]) -> None:
    """Raise UnusableReference if the engines of these workers cannot use a stored voice.

    A voice without recordings is only what engines computed of it. Whether an engine still has the same model is known
    to its workers alone. Without workers nothing is known.
    """
    engines = {worker.engine for worker in workers}
    if voice.clips or not engines or engines & {each.engine for each in voice.computed or ()}:
        return
    raise UnusableReference(
        f"the voice has no recordings, and the engine {', '.join(sorted(engines))} cannot use what was computed "
        f"for {voice.computed_for}; select that engine, or add recordings (PUT /voices/ID/clips)"
    )


def _asked(request: SpeechRequest, names: Sequence[str]) -> list[Speaker]:
    """Return what the request states of the voices that its text names."""
    listed = {speaker.name: speaker for speaker in request.voices or ()}
    complete = request.parameters if request.voice_defaults is False else UNSET
    return [
        listed.get(name, Speaker(name=name, voice=name, parameters=complete))
        for name in names
        if name
    ]


def built_in_voices(workers: Iterable[WorkerState]) -> list[BuiltInVoice]:
    """Return the voices that the engines of these workers bring along, without duplicates."""
    found: dict[str, BuiltInVoice] = {}
    for worker in workers:
        for voice in () if worker.voices is UNSET else worker.voices:
            found.setdefault(voice.name, voice)
    return list(found.values())


def default_voice(language: str, workers: Iterable[WorkerState]) -> str | None:
    """Return the reference of the built-in voice that speaks a language where none is named; None if there is none."""
    for worker in workers:
        voices = {} if worker.default_voices is UNSET else worker.default_voices
        if language in voices:
            return ResolvedVoice("builtin", voices[language]).reference
    return None


def _nearest(given: str, names: list[str]) -> list[str]:
    by_folded = {name.casefold(): name for name in reversed(names)}
    close = difflib.get_close_matches(given.casefold(), by_folded, n=_NEAREST, cutoff=0.5)
    return [by_folded[name] for name in close]
