"""Previews: one short sentence per language, spoken by a voice once and then read from NATS.

How it works

The WAV is a value of the bucket `TTS_VOICES`, under a key with the voice's revision, the engine's version and, if the
voice has default parameters, their digest. So it is never stale, and is erased with the voice. Requests for one preview
at the same time share one synthesis at this edge, which continues if its first client leaves. After storing, the voice
is read again: if it was deleted or got other clips in the meantime, the preview is dropped.
"""

import asyncio
import secrets
import time
from asyncio import Future, Task, TaskGroup
from collections.abc import Collection
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from hashlib import sha256
from types import MappingProxyType
from typing import Final

import structlog
from aiohttp import web

from services.common.audio.wav import wav_header
from services.common.bus import topology
from services.common.bus.library.voices import VoiceLibrary
from services.common.bus.ports import Bus
from services.common.runtime.lifecycle import cancel_until_done
from services.common.wire.estimate import audio_seconds
from services.common.wire.failures import PipelineError, QueueFull, TextTooLong, UnknownVoice
from services.common.wire.identity import library_voice_key
from services.common.wire.messages import SpeechRequest, WorkerState
from services.common.wire.options import AS_USUAL, Parameters
from services.common.wire.parameters import takes_of, with_defaults
from services.common.wire.parts import BuiltInVoice
from services.common.wire.voices import BUILT_IN_TENANT, ResolvedVoice, Voice
from services.http_edge.capacity.admission import Admission
from services.http_edge.capacity.fleet import Fleet
from services.http_edge.errors import TooManyRequests, UnexpectedFailure
from services.http_edge.speech.session import SpeechSessions

log = structlog.get_logger()

SENTENCES: Final = MappingProxyType(
    {
        "fr": "Bonjour, voici ma voix.",
        "en": "Hello, this is my voice.",
        "es": "Hola, esta es mi voz.",
        "de": "Hallo, das ist meine Stimme.",
        "it": "Ciao, questa è la mia voce.",
        "pt": "Olá, esta é a minha voz.",
        "pl": "Dzień dobry, to jest mój głos.",
        "tr": "Merhaba, bu benim sesim.",
        "ru": "Здравствуйте, это мой голос.",
        "nl": "Hallo, dit is mijn stem.",
        "cs": "Dobrý den, toto je můj hlas.",
        "ar": "مرحبا، هذا هو صوتي.",
        "zh": "你好，这是我的声音。",
        "hu": "Jó napot, ez az én hangom.",
        "ko": "안녕하세요, 제 목소리입니다.",
        "ja": "こんにちは、これが私の声です。",
        "hi": "नमस्ते, यह मेरी आवाज़ है।",
    }
)
_SEED: Final = 0
_MOST_RUNNING: Final = 64  # previews that are synthesized at once at this edge
_PARAMETERS_DIGITS: Final = 16


@dataclass(frozen=True)
class PreviewedVoice:
    """A voice as previews need it."""

    resolved: ResolvedVoice
    owner: str  # tenant that its values are stored under
    key_id: str  # of the voice in keys
    parameters: Parameters = AS_USUAL

    @classmethod
    def stored(cls, voice: Voice) -> "PreviewedVoice":
        """Return that of a stored voice."""
        return cls(voice.resolved, voice.tenant, voice.voice, voice.parameters)

    @classmethod
    def built_in(cls, voice: BuiltInVoice) -> "PreviewedVoice":
        """Return that of a built-in voice, whose name can contain what no key can."""
        digest = sha256(voice.name.encode()).hexdigest()
        return cls(ResolvedVoice("builtin", voice.name), BUILT_IN_TENANT, digest)

    def supported(self, takes: Collection[str]) -> "PreviewedVoice":
        """Return it with the parameters that the engine supports, as requests have them."""
        return replace(self, parameters=with_defaults(AS_USUAL, self.parameters, takes=takes))

    def key(self, worker: WorkerState, language: str) -> str:
        """Return the key of its preview by this worker's engine."""
        shaped = (
            ()
            if self.parameters == AS_USUAL
            else (sha256(repr(self.parameters).encode()).hexdigest()[:_PARAMETERS_DIGITS],)
        )
        parts = ("preview", worker.engine, worker.engine_version, language, *shaped)
        return library_voice_key(self.owner, self.key_id, self.resolved.revision, *parts)


@dataclass(frozen=True)
class Previews:
    """The previews of all voices."""

    bus: Bus
    fleet: Fleet
    admission: Admission
    library: VoiceLibrary
    sessions: SpeechSessions
    timeout_s: float
    group: TaskGroup
    _running: dict[str, Future[bytes]] = field(default_factory=dict)  # by key
    _tasks: set[Task[None]] = field(default_factory=set)

    async def get(self, tenant: str, voice: PreviewedVoice, language: str) -> bytes:
        """Return the preview of a voice as a WAV file without metadata, for a client of this tenant.

        Raises EngineUnavailable, UnsupportedLanguage, UnknownVoice, TooManyRequests, and what synthesis raises.
        """
        worker = self.fleet.require(language, AS_USUAL)
        voice = voice.supported(takes_of(self.fleet.ready()))
        key = voice.key(worker, language)
        stored = await self.bus.get_value(topology.VOICES, key)
        if stored:
            return stored

        running = self._running.get(key)
        if running is None:
            if len(self._running) >= _MOST_RUNNING:
                raise TooManyRequests("too many previews are being synthesized; retry later")
            running = self._start(key, tenant, voice, language)
        return await asyncio.shield(running)

    def _start(self, key: str, tenant: str, voice: PreviewedVoice, language: str) -> Future[bytes]:
        future: Future[bytes] = asyncio.get_running_loop().create_future()
        # marks an exception as retrieved: all clients may have left
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._running[key] = future
        task = self.group.create_task(self._run(key, tenant, voice, language), name="preview")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return future

    async def close(self, _app: web.Application) -> None:
        """Cancel what is running; a handler of the `on_shutdown` signal."""
        await cancel_until_done(*self._tasks)

    async def _run(self, key: str, tenant: str, voice: PreviewedVoice, language: str) -> None:
        """Synthesize and store a preview; its future gets the result."""
        future = self._running[key]
        try:
            wav = await self._made(key, tenant, voice, language)
            future.set_result(wav)
        except PipelineError as failure:
            future.set_exception(failure)
        except Exception as error:  # a bug: it must not end the task group of the edge
            log.exception("preview_failed", error=type(error).__name__)
            future.set_exception(UnexpectedFailure("internal error; retry later"))
        finally:
            del self._running[key]
            future.cancel()  # if this task was cancelled; else without effect

    async def _made(self, key: str, tenant: str, voice: PreviewedVoice, language: str) -> bytes:
        wav = await self._synthesized(tenant, voice, language)
        try:
            await self.bus.put_value(topology.VOICES, key, wav)
        except (QueueFull, TextTooLong):  # a full bucket, or a preview longer than a message
            log.warning("preview_not_stored")

        if not await self._exists(voice):
            await self.bus.drop_value(topology.VOICES, key)
            raise UnknownVoice("the voice was deleted or its clips were replaced")
        return wav

    async def _synthesized(self, tenant: str, voice: PreviewedVoice, language: str) -> bytes:
        request = self.fleet.marked(self._request(tenant, voice, language))
        seconds = audio_seconds(len(request.text), language, voice.parameters.speed or 1.0)
        pcm = bytearray()

        with self.admission.admit(request.request, tenant, seconds):
            async with (
                self.sessions.speaking(request) as speech,
                aclosing(speech.chunks()) as chunks,
            ):
                async for chunk in chunks:
                    pcm += chunk

        header = wav_header(sample_rate_hz=speech.assembly.sample_rate_hz, data_bytes=len(pcm))
        return header + bytes(pcm)

    def _request(self, tenant: str, voice: PreviewedVoice, language: str) -> SpeechRequest:
        return SpeechRequest(
            request=secrets.token_hex(16),
            tenant=tenant,
            engine=self.fleet.engine,
            language=language,
            text=SENTENCES[language],
            seed=_SEED,
            parameters=voice.parameters,
            voice=voice.resolved.reference,
            voice_defaults=False,
            deadline_unix_ms=round((time.time() + self.timeout_s) * 1000),
        )

    async def _exists(self, voice: PreviewedVoice) -> bool:
        if voice.resolved.scope == "builtin":
            return True
        return await self.library.exists(voice.owner, voice.key_id, voice.resolved.revision)
