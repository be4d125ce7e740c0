"""Routes that OpenAI's clients call: speech, and the lists of models and voices."""

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from services import NAME
from services.common.bus.library.resolving import built_in_voices
from services.common.bus.library.voices import VoiceLibrary
from services.common.wire.messages import WorkerState
from services.common.wire.voices import MOST_LISTED, SHARED_TENANT
from services.http_edge.auth.guard import caller_of
from services.http_edge.capacity.fleet import Fleet
from services.http_edge.context import tenant_of_caller
from services.http_edge.credentials.signing import HEADER
from services.http_edge.encoders.events import timestamps_event
from services.http_edge.encoders.registry import OutputFormat
from services.http_edge.encoders.tags import Tags
from services.http_edge.http.audio_response import (
    CONTAINER_MARK,
    AudioResponse,
    AudioStream,
    container_mark,
    send_stream,
)
from services.http_edge.http.bodies import Model, Models, NamedVoice, NamedVoices, SpokenText
from services.http_edge.http.signed_files import SignedFiles
from services.http_edge.intake.acceptance import Acceptor
from services.http_edge.intake.openai.openai_body import ALIASES
from services.http_edge.intake.openai.openai_voices import OPENAI_VOICES
from services.http_edge.intake.running import RunningRequest
from services.http_edge.metrics import Metrics
from services.http_edge.settings import Settings
from services.http_edge.speech.playback import Playback
from services.http_edge.speech.session import SpeechSession
from services.http_edge.subtitles.speech_times import SpeechTimes

_UNBUFFERED: Final = {"X-Accel-Buffering": "no"}  # nginx
_BYTES_PER_SAMPLE: Final = 2
_MOST_NAMES: Final = 2_000  # voices of a tenant in one list


@dataclass(frozen=True)
class OpenAiRoutes:
    """The handlers and their dependencies."""

    acceptor: Acceptor  # whose reader reads OpenAI's JSON
    running: RunningRequest
    fleet: Fleet
    library: VoiceLibrary
    metrics: Metrics
    settings: Settings
    files: SignedFiles
    began_unix_s: float

    def add_to(self, app: web.Application) -> None:
        """Register every path."""
        app.router.add_post("/v1/audio/speech", self.speech, name="speech")
        app.router.add_get("/v1/models", self.models)
        app.router.add_get("/v1/models/{model}", self.model)
        app.router.add_get("/v1/audio/models", self.models)
        app.router.add_get("/v1/audio/voices", self.voices)

    async def speech(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/audio/speech`: the audio as it is produced, or server-sent events with it.

        A failure before the first audio is an HTTP error; a later one cuts the body.
        """
        async with (
            self.acceptor.accepted(request) as accepted,
            self.running.speaking(accepted, listening=True) as speech,
            aclosing(speech.chunks()) as chunks,
        ):
            first = await anext(chunks)
            accepted.note_first_audio("speech", self.metrics)
            rate_hz = accepted.sample_rate_hz
            tags = Tags.of(
                self.settings, engine=speech.request.engine, request_id=speech.request.request
            )
            times = SpeechTimes(speech.request, accepted.output.word_times)
            if accepted.output.in_json:
                pcm = b"".join([first, *[chunk async for chunk in chunks]])
                body, mark = await asyncio.to_thread(_encoded, accepted.output, tags, rate_hz, pcm)
                sentences = times.take(speech.spoken, speech.assembly.split)
                body, how = await self.files.signed(body, accepted.output)
                headers = {**accepted.headers(speech), CONTAINER_MARK: mark, HEADER: how}
                return _json_answer(body, sentences, accepted.output, headers, rate_hz)

            audio = AudioResponse(
                request,
                accepted.output,
                tags=tags,
                sample_rate_hz=rate_hz,
                patience_s=self.settings.listener_timeout_s,
            )
            await audio.begin(accepted.headers(speech) | _UNBUFFERED)
            playback = Playback(self.metrics, rate_hz)
            timed = (
                _with_times(chunks, speech, times, audio, first=len(first))
                if accepted.output.word_times
                else chunks
            )
            return await send_stream(audio, AudioStream(first, timed, playback))

    async def models(self, request: web.Request) -> web.Response:
        """`GET /v1/models`: the engines that the key allows, and the names that stand for the edge's own."""
        models = [self._model(name) for name in self._names(request)]
        # `models` is what Open WebUI and wyoming_openai read
        body: Models = {"object": "list", "data": models, "models": models}
        return web.json_response(body)

    async def model(self, request: web.Request) -> web.Response:
        """`GET /v1/models/{model}`."""
        name = request.match_info["model"]
        if name not in self._names(request):
            raise web.HTTPNotFound
        return web.json_response(self._model(name))

    async def voices(self, request: web.Request) -> web.Response:
        """`GET /v1/audio/voices`: the names that `voice` accepts."""
        tenant = tenant_of_caller(request)
        voices: list[NamedVoice] = [
            *[voice async for voice in self._stored(tenant)],
            *[voice async for voice in self._stored(SHARED_TENANT)],
            *(
                NamedVoice(id=voice.name, name=voice.name)
                for voice in built_in_voices(self._workers(request))
            ),
            *(NamedVoice(id=name, name=name) for name in OPENAI_VOICES),
        ]
        by_name = {voice["name"]: voice for voice in reversed(voices)}
        body: NamedVoices = {"voices": list(reversed(by_name.values()))}
        return web.json_response(body)

    def _engines(self, request: web.Request) -> list[str]:
        """Return the running engines that the caller's key allows; the edge's own first, running or not."""
        caller = caller_of(request)
        return [name for name in self.fleet.engines() if caller is None or caller.allows(name)]

    def _names(self, request: web.Request) -> list[str]:
        engines = self._engines(request)
        return [*engines, *(ALIASES if self.fleet.engine in engines else ())]

    def _workers(self, request: web.Request) -> list[WorkerState]:
        """Return the workers of the first engine that the key allows."""
        engines = self._engines(request)
        return self.fleet.of(engines[0]).ready() if engines else []

    async def _stored(self, owner: str) -> AsyncIterator[NamedVoice]:
        after: str | None = None
        listed = 0
        while listed < _MOST_NAMES:
            page = await self.library.page(owner, limit=MOST_LISTED, after=after)
            for voice in page.voices:
                yield {"id": voice.voice, "name": voice.name}
            listed += len(page.voices)
            after = page.next
            if after is None:
                return

    def _model(self, name: str) -> Model:
        return {
            "id": name,
            "object": "model",
            "created": int(self.began_unix_s),
            "owned_by": NAME,
        }


async def _with_times(
    chunks: AsyncIterator[bytes],
    speech: SpeechSession,
    times: SpeechTimes,
    audio: AudioResponse,
    *,
    first: int,
) -> AsyncGenerator[bytes, None]:
    """Yield the PCM; send the times of each sentence in an event after its audio.

    `first`: bytes of PCM that were sent before.
    """

    sent = first // _BYTES_PER_SAMPLE

    async def send() -> None:
        for sentence in times.take(speech.spoken, speech.assembly.split, sent=sent):
            await audio.add(timestamps_event(sentence))

    async for pcm in chunks:
        await send()
        yield pcm
        sent += len(pcm) // _BYTES_PER_SAMPLE
    await send()


def _encoded(
    output: OutputFormat, tags: Tags | None, sample_rate_hz: int, pcm: bytes
) -> tuple[bytes, str]:
    """Return the whole audio in its format, and how it is marked."""
    encoder = output.encoder(sample_rate_hz, tags)
    body = encoder.header(sample_rate_hz, len(pcm)) + encoder.encode(pcm) + encoder.end()
    return body, container_mark(tags, encoder)


def _json_answer(
    body: bytes,
    sentences: list[dict[str, Any]],
    output: OutputFormat,
    headers: Mapping[str, str],
    sample_rate_hz: int,
) -> web.Response:
    """Return the audio and its times in one object."""
    rate_hz = output.rate(sample_rate_hz)
    answer: SpokenText = {
        "audio": base64.b64encode(body).decode(),
        "response_format": output.format.name,
        "sample_rate": rate_hz,
        "duration": sentences[-1]["end"],
        "sentences": [
            {"text": sentence["text"], "start": sentence["start"], "end": sentence["end"]}
            for sentence in sentences
        ],
    }
    if output.word_times:
        origins = {sentence["times"] for sentence in sentences}
        answer["times"] = "measured" if origins == {"measured"} else "estimated"
        answer["words"] = [word for sentence in sentences for word in sentence["words"]]
    return web.json_response(answer, headers={**headers, "X-Sample-Rate": str(rate_hz)})
