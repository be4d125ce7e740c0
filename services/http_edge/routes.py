"""HTTP in, audio out: what each path answers."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Final

import structlog
from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from services import __version__
from services.common.audio.wav import wav_header
from services.common.bus.ports import Bus
from services.common.wire.languages import LANGUAGES
from services.common.wire.messages import SpeechRequest
from services.http_edge.detection import language_of
from services.http_edge.errors import TooManyRequests
from services.http_edge.fleet import Fleet
from services.http_edge.form import read_form
from services.http_edge.intake import Intake
from services.http_edge.listening import Listening
from services.http_edge.metrics import Metrics
from services.http_edge.middleware import REQUEST_ID, Outcome, outcome_of
from services.http_edge.settings import Settings
from services.http_edge.speech import Speaker, Speech

log = structlog.get_logger()

NAME: Final = "voice-cloning-pipeline"
_MEMORY_BYTES: Final = 8 * 1024 * 1024  # of a whole answer; what is over this waits on disk
_BLOCK_BYTES: Final = 256 * 1024


@dataclass(frozen=True)
class Routes:
    """The handlers, and what they work with."""

    bus: Bus
    fleet: Fleet
    intake: Intake
    speaker: Speaker
    metrics: Metrics
    settings: Settings
    free_seats: asyncio.Semaphore

    def add_to(self, app: web.Application) -> None:
        """Register every path."""
        app.router.add_get("/", self.about)
        app.router.add_get("/health", self.health)
        app.router.add_get("/livez", self.live)
        app.router.add_get("/readyz", self.ready)
        app.router.add_get("/languages", self.languages)
        app.router.add_get("/metrics", make_aiohttp_handler(self.metrics.registry))
        app.router.add_post("/synthesize", self.synthesize)
        app.router.add_post("/stream", self.stream)

    async def about(self, _request: web.Request) -> web.Response:
        """`GET /`."""
        return web.json_response(
            {
                "name": NAME,
                "version": __version__,
                "supported_languages": list(LANGUAGES),
                "model_loaded": bool(self.fleet.ready()),
                "device": self.fleet.device,
                "engine": self.settings.engine,
                "parameters": self.fleet.parameters(),
            }
        )

    async def health(self, _request: web.Request) -> web.Response:
        """`GET /health`: always 200, so that a person or a dashboard can read the state; probes ask /readyz."""
        reason = self._not_ready()
        return web.json_response(
            {
                "status": "healthy" if reason is None else "unhealthy",
                "model_loaded": bool(self.fleet.ready()),
                "device": self.fleet.device,
                "detail": reason or "",
            }
        )

    async def live(self, _request: web.Request) -> web.Response:
        """`GET /livez`: this process answers."""
        return web.json_response({"status": "alive"})

    async def ready(self, _request: web.Request) -> web.Response:
        """`GET /readyz`: NATS answers, a splitter and a worker for the engine are alive."""
        reason = self._not_ready()
        if reason is not None:
            return web.json_response({"status": "not ready", "detail": reason}, status=503)
        return web.json_response({"status": "ready"})

    async def languages(self, _request: web.Request) -> web.Response:
        """`GET /languages`."""
        return web.json_response(
            {
                "supported_languages": list(LANGUAGES),
                "count": len(LANGUAGES),
                "languages_details": dict(LANGUAGES),
            }
        )

    async def synthesize(self, request: web.Request) -> web.StreamResponse:
        """`POST /synthesize`: the whole speech as one WAV with a true header."""
        async with self._order(request) as order:
            with tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES) as whole:
                async with self.speaker.speaking(order.request) as speech:
                    async for pcm in speech.pieces():
                        order.heard_first("synthesize", self.metrics)
                        await asyncio.to_thread(whole.write, pcm)
                size = whole.tell()
                whole.seek(0)
                response = web.StreamResponse(headers=order.headers(speech))
                response.content_type = "audio/wav"
                header = wav_header(sample_rate_hz=order.sample_rate_hz, data_bytes=size)
                response.content_length = len(header) + size
                await response.prepare(request)
                await response.write(header)
                while block := await asyncio.to_thread(whole.read, _BLOCK_BYTES):
                    await response.write(block)
                await response.write_eof()
        order.outcome.sent(size)
        return response

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """`POST /stream`: the same, as it is made. A failure before the first sound is an HTTP error; a later one cuts
        the body, so that no client takes a part for the whole."""
        async with self._order(request) as order, self.speaker.speaking(order.request) as speech:
            pieces = speech.pieces()
            first = await anext(pieces)
            order.heard_first("stream", self.metrics)
            response = web.StreamResponse(headers=order.headers(speech))
            response.content_type = "audio/wav"
            response.enable_chunked_encoding()
            order.outcome.response_begun = True
            await response.prepare(request)
            await response.write(wav_header(sample_rate_hz=order.sample_rate_hz, data_bytes=None))
            listening = Listening(self.metrics, order.sample_rate_hz)
            listening.hear(len(first), time.monotonic())
            await response.write(first)
            async for pcm in pieces:
                listening.hear(len(pcm), time.monotonic())
                await response.write(pcm)
            await response.write_eof()
        order.outcome.sent(listening.sent_bytes)
        return response

    @asynccontextmanager
    async def _order(self, request: web.Request) -> AsyncIterator["Order"]:
        """Check all that can be checked before anybody works: seat, service, form, language, parameters, reference."""
        if self.free_seats.locked():
            raise TooManyRequests("this server speaks to as many clients as it may; try again soon")
        async with self.free_seats:
            self.fleet.require_ready()
            order = Order(outcome_of(request), began_s=time.monotonic())
            async with read_form(request, self.settings) as sent:
                form = replace(sent, language=await language_of(sent.text, sent.language))
                order.outcome.language, order.read_s = form.language, time.monotonic()
                order.sample_rate_hz = self.fleet.require(form.language, form.parameters).sample_rate_hz
                reference = await self.intake.reference(form)
                order.warnings = reference.warnings
                order.request = self.intake.request(request[REQUEST_ID], form, reference.clips)
                order.stored_s = time.monotonic()
                # Neither text nor voice: how long it is and in what language is all that a log may know.
                log.info(
                    "Synthesizing text",
                    request=order.request.request,
                    language=form.language,
                    characters=len(form.text),
                )
                yield order

    def _not_ready(self) -> str | None:
        return self.fleet.why_not_ready() if self.bus.connected else "NATS does not answer"


@dataclass
class Order:
    """A request on its way through a handler, and when it got where (monotonic seconds)."""

    outcome: Outcome
    began_s: float
    read_s: float = 0.0
    stored_s: float = 0.0
    first_audio_s: float | None = None
    sample_rate_hz: int = 0
    warnings: tuple[str, ...] = ()  # about the reference audio
    request: SpeechRequest = field(init=False)

    def heard_first(self, endpoint: str, metrics: Metrics) -> None:
        """Note the first sound; later calls change nothing."""
        if self.first_audio_s is None:
            self.first_audio_s = time.monotonic()
            metrics.first_byte.labels(endpoint).observe(self.first_audio_s - self.read_s)

    def headers(self, speech: Speech) -> dict[str, str]:
        """Return the headers that tell a client about its speech."""
        headers = {
            "X-Seed": str(self.request.seed),
            "X-Sample-Rate": str(self.sample_rate_hz),
            "X-Engine": self.request.engine,
            "X-Language": self.request.language,
            "Server-Timing": self._timing(speech),
        }
        if self.warnings:
            headers["X-Reference-Warning"] = "; ".join(self.warnings)
        return headers

    def _timing(self, speech: Speech) -> str:
        """Return https://www.w3.org/TR/server-timing/ metrics, in milliseconds."""
        first_s = self.first_audio_s or self.stored_s
        marks = {
            "upload": self.read_s - self.began_s,
            "voice": self.stored_s - self.read_s,
            "first-audio": first_s - self.stored_s,
        }
        if speech.assembly.complete:
            marks["total"] = time.monotonic() - self.began_s
            marks["synthesis"] = sum(sentence.synthesis_ms for sentence in speech.spoken) / 1000
        return ", ".join(f"{name};dur={seconds * 1000:.1f}" for name, seconds in marks.items())
