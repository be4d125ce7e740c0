"""Routes of speech synthesis (`/synthesize`, `/stream`), and of the state of the service."""

import asyncio
import tempfile
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from services import NAME, __version__
from services.common.bus.ports import Bus
from services.common.wire.languages import LANGUAGES
from services.http_edge.auth.guard import expect_later
from services.http_edge.capacity.fleet import Fleet
from services.http_edge.encoders.tags import Tags
from services.http_edge.http.audio_response import AudioResponse, AudioStream, send_stream
from services.http_edge.http.bodies import About, Alive, Health, Languages, Readiness
from services.http_edge.intake.acceptance import Acceptor
from services.http_edge.intake.forms.uploads import TempSpace
from services.http_edge.intake.running import RunningRequest
from services.http_edge.intake.stages import AcceptedRequest
from services.http_edge.metrics import Metrics
from services.http_edge.settings import Settings
from services.http_edge.speech.playback import Playback
from services.http_edge.speech.session import SpeechSession

_MEMORY_BYTES: Final = 8 * 1024 * 1024  # of a buffered response; a longer one is written to disk
_BLOCK_BYTES: Final = 256 * 1024


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
                tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES) as whole,
                self.space.hold() as hold,
            ):
                async with (
                    self.running.speaking(accepted) as speech,
                    aclosing(speech.chunks()) as chunks,
                ):
                    async for pcm in chunks:
                        accepted.note_first_audio("synthesize", self.metrics)
                        if whole.tell() + len(pcm) > _MEMORY_BYTES:
                            hold.add(whole.tell() + len(pcm) - hold.size)
                        await asyncio.to_thread(whole.write, pcm)
                size = whole.tell()
                whole.seek(0)

                audio = self._audio(request, accepted, speech)
                await audio.begin(accepted.headers(speech), data_bytes=size)

                while block := await asyncio.to_thread(whole.read, _BLOCK_BYTES):
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

    def _audio(
        self, request: web.Request, accepted: AcceptedRequest, speech: SpeechSession
    ) -> AudioResponse:
        return AudioResponse(
            request,
            accepted.output,
            tags=Tags.of(
                self.settings, engine=speech.request.engine, request_id=speech.request.request
            ),
            sample_rate_hz=accepted.sample_rate_hz,
            patience_s=self.settings.listener_timeout_s,
        )

    def _not_ready(self) -> str | None:
        if self.draining.is_set():
            return "this server is shutting down"

        if not self.bus.connected:
            return "NATS does not answer"

        return self.fleet.why_not_ready()
