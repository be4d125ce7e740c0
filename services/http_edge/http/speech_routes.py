"""Routes of speech synthesis (`/synthesize`, `/stream`), and of the state of the service."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import IO

from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from services import NAME, __version__
from services.common.bus.ports import Bus
from services.common.wire.languages import LANGUAGES
from services.http_edge.auth.guard import expect_later
from services.http_edge.capacity.fleet import Fleet
from services.http_edge.credentials.signing import HEADER
from services.http_edge.encoders.tags import Tags
from services.http_edge.errors import InsufficientStorage
from services.http_edge.http.audio_response import (
    CONTAINER_MARK,
    AudioResponse,
    AudioStream,
    container_mark,
    send_stream,
)
from services.http_edge.http.bodies import About, Alive, Health, Languages, Readiness
from services.http_edge.http.signed_files import (
    BLOCK_BYTES,
    MEMORY_BYTES,
    SignedFiles,
    encode,
    send_file,
    temporary_file,
)
from services.http_edge.intake.acceptance import Acceptor
from services.http_edge.intake.forms.uploads import TempSpace, UploadPermit
from services.http_edge.intake.running import RunningRequest
from services.http_edge.intake.stages import AcceptedRequest
from services.http_edge.metrics import Metrics
from services.http_edge.settings import Settings
from services.http_edge.speech.playback import Playback
from services.http_edge.speech.session import SpeechSession


@dataclass(frozen=True)
class Routes:
    """The handlers and their dependencies."""

    bus: Bus
    fleet: Fleet
    acceptor: Acceptor
    running: RunningRequest
    metrics: Metrics
    settings: Settings
    draining: asyncio.Event
    space: TempSpace
    files: SignedFiles

    def add_to(self, app: web.Application) -> None:
        """Register every path."""
        app.router.add_get("/health", self.health)
        app.router.add_get("/livez", self.live)
        app.router.add_get("/readyz", self.ready)
        app.router.add_get("/languages", self.languages)
        if self.settings.http_metrics_port == 0:
            app.router.add_get("/metrics", make_aiohttp_handler(self.metrics.registry))
        app.router.add_post(
            "/synthesize", self.synthesize, name="synthesize", expect_handler=expect_later
        )
        app.router.add_post("/stream", self.stream, name="stream", expect_handler=expect_later)

    def description(self) -> About:
        """Return the JSON of `GET /`."""
        return {
            "name": NAME,
            "version": __version__,
            "supported_languages": list(LANGUAGES),
            "model_loaded": bool(self.fleet.ready()),
            "device": self.fleet.device,
            "engine": self.settings.engine,
            "parameters": self.fleet.parameters(),
            "watermark": self.fleet.watermark,
            "content_credentials": self.files.name,
        }

    async def health(self, _request: web.Request) -> web.Response:
        """`GET /health`: always 200, for people and dashboards; probes use /readyz."""
        reason = self._not_ready()
        body: Health = {
            "status": "healthy" if reason is None else "unhealthy",
            "model_loaded": bool(self.fleet.ready()),
            "device": self.fleet.device,
            "detail": reason or "",
        }
        return web.json_response(body)

    async def live(self, _request: web.Request) -> web.Response:
        """`GET /livez`: 200 while this process runs."""
        body: Alive = {"status": "alive"}
        return web.json_response(body)

    async def ready(self, _request: web.Request) -> web.Response:
        """`GET /readyz`: 200 while NATS is connected and a splitter and a worker of the engine are alive."""
        reason = self._not_ready()
        if reason is not None:
            unready: Readiness = {"status": "not ready", "detail": reason}
            return web.json_response(unready, status=503)
        body: Readiness = {"status": "ready"}
        return web.json_response(body)

    async def languages(self, _request: web.Request) -> web.Response:
        """`GET /languages`."""
        body: Languages = {
            "supported_languages": list(LANGUAGES),
            "count": len(LANGUAGES),
            "languages_details": dict(LANGUAGES),
        }
        return web.json_response(body)

    async def synthesize(self, request: web.Request) -> web.StreamResponse:
        """`POST /synthesize`: all of the speech in one body; of a WAV with the actual sizes in its header."""
        async with self.acceptor.accepted(request) as accepted:
            with (
                temporary_file() as whole,
                self.space.hold() as hold,
            ):
                async with (
                    self.running.speaking(accepted) as speech,
                    aclosing(speech.chunks()) as chunks,
                ):
                    async for pcm in chunks:
                        accepted.note_first_audio("synthesize", self.metrics)
                        if whole.tell() + len(pcm) > MEMORY_BYTES:
                            hold.add(whole.tell() + len(pcm) - hold.size)
                        await asyncio.to_thread(whole.write, pcm)
                size = whole.tell()
                whole.seek(0)

                if self.files.signs(accepted.output, size) and _fits(hold, size):
                    return await self._send_signed(request, accepted, speech, whole, size)

                audio = self._audio(request, accepted, speech)
                await audio.begin(accepted.headers(speech), data_bytes=size)

                while block := await asyncio.to_thread(whole.read, BLOCK_BYTES):
                    await audio.write(block)

                return await audio.finish()

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """`POST /stream`: the speech as it is produced.

        A failure before the first audio is an HTTP error; a later one cuts the body, so that the client can detect it.
        """
        async with (
            self.acceptor.accepted(request) as accepted,
            self.running.speaking(accepted, listening=True) as speech,
            aclosing(speech.chunks()) as chunks,
        ):
            first = await anext(chunks)
            accepted.note_first_audio("stream", self.metrics)

            audio = self._audio(request, accepted, speech)
            await audio.begin(accepted.headers(speech))
            playback = Playback(self.metrics, accepted.sample_rate_hz)
            return await send_stream(audio, AudioStream(first, chunks, playback))

    async def _send_signed(
        self,
        request: web.Request,
        accepted: AcceptedRequest,
        speech: SpeechSession,
        pcm: IO[bytes],
        data_bytes: int,
    ) -> web.StreamResponse:
        """Send a file with content credentials."""
        rate_hz = accepted.sample_rate_hz
        tags = self._tags(speech)
        encoder = accepted.output.encoder(rate_hz, tags)
        with temporary_file() as file, temporary_file() as signed:
            await encode(encoder, rate_hz, pcm, data_bytes, file)
            how = await self.files.sign(file, signed, encoder.content_type)
            outcome = accepted.outcome
            outcome.sample_rate_hz = rate_hz
            outcome.audio_bytes = data_bytes
            headers = {
                **accepted.headers(speech),
                "X-Sample-Rate": str(accepted.output.rate(rate_hz)),
                CONTAINER_MARK: container_mark(tags, encoder),
                HEADER: how,
            }
            patience_s = self.settings.listener_timeout_s
            return await send_file(
                request, signed, headers, encoder.content_type, patience_s=patience_s
            )

    def _tags(self, speech: SpeechSession) -> Tags | None:
        request = speech.request
        return Tags.of(self.settings, engine=request.engine, request_id=request.request)

    def _audio(
        self, request: web.Request, accepted: AcceptedRequest, speech: SpeechSession
    ) -> AudioResponse:
        return AudioResponse(
            request,
            accepted.output,
            tags=self._tags(speech),
            sample_rate_hz=accepted.sample_rate_hz,
            patience_s=self.settings.listener_timeout_s,
        )

    def _not_ready(self) -> str | None:
        if self.draining.is_set():
            return "this server is shutting down"

        if not self.bus.connected:
            return "NATS does not answer"

        return self.fleet.why_not_ready()


def _fits(hold: UploadPermit, size: int) -> bool:
    """Return whether there is temporary space for a file and its signed copy, and take it."""
    if size <= MEMORY_BYTES:
        return True
    try:
        hold.add(2 * size)
    except InsufficientStorage:
        return False
    return True
