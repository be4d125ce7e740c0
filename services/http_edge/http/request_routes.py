"""Routes of sent requests: cancel one, or resume a lost answer."""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from aiohttp import web

from services.common.audio.wav import HEADER_BYTES
from services.common.bus.ports import Bus
from services.common.wire.failures import SpeechCancelled
from services.common.wire.messages import SpeechRequest
from services.http_edge.auth.guard import by
from services.http_edge.context import REQUEST_ID, outcome_of
from services.http_edge.errors import BadRequest, RangeNotSatisfiable, UnknownRequest
from services.http_edge.http.audio_response import AudioResponse, AudioStream, send_stream
from services.http_edge.http.encoders import WavEncoder
from services.http_edge.intake.idempotency import checked_id
from services.http_edge.intake.running import renewed
from services.http_edge.metrics import Metrics
from services.http_edge.settings import Settings
from services.http_edge.speech.commands import cancel
from services.http_edge.speech.metering import UsageCharges
from services.http_edge.speech.playback import Playback
from services.http_edge.speech.request_store import RequestStore
from services.http_edge.speech.session import SpeechSessions


@dataclass(frozen=True)
class RequestRoutes:
    """The handlers, and what they work with."""

    bus: Bus
    records: RequestStore
    charges: UsageCharges
    speaker: SpeechSessions
    metrics: Metrics
    settings: Settings

    @classmethod
    def add_to(
        cls, app: web.Application, desk_of: Callable[[web.Request], "RequestRoutes"]
    ) -> None:
        """Register every path."""
        at = by(desk_of)
        app.router.add_delete("/requests/{id}", at(cls.cancel))
        app.router.add_get("/requests/{id}/audio", at(cls.resume), name="resume", allow_head=False)

    async def cancel(self, request: web.Request) -> web.Response:
        """`DELETE /requests/{id}`: stop it wherever it is; twice is once, and an unknown one is as good as stopped."""
        wanted = checked_id(request.match_info["id"])
        await self.records.cancel(wanted)
        runs = await self.records.runs(wanted)
        await cancel(self.bus, self.records.tenant, wanted, *runs, reason="the client cancelled it")
        return web.json_response({"id": wanted, "state": "cancelled"}, status=202)

    async def resume(self, request: web.Request) -> web.StreamResponse:
        """`GET /requests/{id}/audio?from=N`: the answer of /stream from its byte N on."""
        wanted, offset = checked_id(request.match_info["id"]), _offset(request)
        kept = await self._kept(wanted)
        request[REQUEST_ID] = wanted
        outcome_of(request).language = kept.language
        self.metrics.resumed.inc()
        heard = [wanted, *await self.records.runs(wanted)]
        async with (
            self.charges.resuming(wanted) as meter,
            self.speaker.open_attempts(
                kept if meter is None else meter.limited(kept),
                heard=heard,
                sole=True,
                renewing=True,
            ) as runs,
        ):
            sentence, skip, whole = await runs.locate(max(0, offset - HEADER_BYTES))
            if whole is not None:
                return _nothing_left(offset, HEADER_BYTES + whole)
            async with self.speaker.taking_up(
                kept, runs, runs.cancel, first_sentence=sentence, meter=meter, listening=True
            ) as speech:
                pieces = _without_first(skip, speech.chunks())
                first = await anext(pieces, b"")
                if not first and offset > HEADER_BYTES:
                    _, _, whole = await runs.locate(offset)
                    return _nothing_left(offset, HEADER_BYTES + (whole or 0))
                rate_hz = speech.assembly.sample_rate_hz
                audio = AudioResponse(
                    request,
                    WavEncoder(),
                    sample_rate_hz=rate_hz,
                    patience_s=self.settings.listener_timeout_s,
                )
                headers = {
                    "X-Seed": str(kept.seed),
                    "X-Engine": kept.engine,
                    "X-Sample-Rate": str(rate_hz),
                }
                await audio.begin(headers, offset=offset)
                return await send_stream(
                    audio, AudioStream(first, pieces, Playback(self.metrics, rate_hz))
                )

    async def _kept(self, wanted: str) -> SpeechRequest:
        kept = await self.records.request(wanted)
        if kept is None:
            raise UnknownRequest(
                "no request has this id; it never existed, or has expired: send it again"
            )
        if await self.records.cancelled(wanted):
            raise SpeechCancelled("the request was cancelled; send it again under another id")
        return renewed(kept, self.settings.request_timeout_s)


def _offset(request: web.Request) -> int:
    """Return the byte to resume at. Raises BadRequest."""
    given = request.query.get("from", "0")
    if not re.fullmatch(r"[0-9]{1,15}", given):
        raise BadRequest("from is the number of bytes that you have of the WAV, header included")
    return int(given)


async def _without_first(count: int, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the chunks, without their first `count` bytes."""
    async for piece in pieces:
        if count >= len(piece):
            count -= len(piece)
            continue
        yield piece[count:]
        count = 0


def _nothing_left(offset: int, whole: int) -> web.StreamResponse:
    """Answer a client that has every byte already. Raises RangeNotSatisfiable for an offset beyond the end."""
    if offset > whole:
        raise RangeNotSatisfiable(f"the answer has {whole} bytes; you have it all", size=whole)
    return web.Response(body=b"", content_type=WavEncoder.content_type)
