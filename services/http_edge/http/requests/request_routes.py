"""Routes of existing requests: cancel one, or resume its response."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from aiohttp import web

from services.common.bus.ports import Bus
from services.common.wire.failures import SpeechCancelled
from services.common.wire.messages import SpeechRequest
from services.http_edge.context import REQUEST_ID, outcome_of, tenant_of_caller
from services.http_edge.encoders.registry import OutputFormat
from services.http_edge.encoders.tags import Tags
from services.http_edge.errors import BadRequest, RangeNotSatisfiable, UnknownRequest
from services.http_edge.http.audio_response import (
    AudioResponse,
    AudioStream,
    requested_format,
    send_stream,
)
from services.http_edge.http.bodies import Cancelled
from services.http_edge.http.queries import FROM_BYTE
from services.http_edge.intake.idempotency import checked_id
from services.http_edge.intake.running import renewed
from services.http_edge.intake.stages import voice_header
from services.http_edge.metrics import Metrics
from services.http_edge.settings import Settings
from services.http_edge.speech.commands import cancel
from services.http_edge.speech.playback import Playback
from services.http_edge.speech.request_store import RequestStore
from services.http_edge.speech.session import SpeechSessions
from services.http_edge.speech.usage.metering import UsageCharges


@dataclass(frozen=True)
class RequestRoutes:
    """The handlers and their dependencies."""

    bus: Bus
    store: RequestStore
    charges: UsageCharges
    sessions: SpeechSessions
    metrics: Metrics
    settings: Settings

    def add_to(self, app: web.Application) -> None:
        """Register every path."""
        app.router.add_delete("/requests/{id}", self.cancel)
        app.router.add_get("/requests/{id}/audio", self.resume, name="resume", allow_head=False)

    async def cancel(self, request: web.Request) -> web.Response:
        """`DELETE /requests/{id}`: cancel a request at any stage. Idempotent; an unknown id is not an error."""
        request_id = checked_id(request.match_info["id"])
        tenant = tenant_of_caller(request)
        await self.store.cancel(tenant, request_id)

        attempts = await self.store.attempts(tenant, request_id)
        await cancel(
            self.bus,
            tenant,
            request_id,
            *attempts,
            reason="the client cancelled it",
        )

        body: Cancelled = {"id": request_id, "state": "cancelled"}
        return web.json_response(body, status=202)

    async def resume(self, request: web.Request) -> web.StreamResponse:
        """`GET /requests/{id}/audio?from=N`: the response of /stream from its byte N."""
        request_id = checked_id(request.match_info["id"])
        tenant = tenant_of_caller(request)
        output = requested_format(request)
        offset = _offset(request, output)
        stored = await self._stored(tenant, request_id)

        request[REQUEST_ID] = request_id
        outcome_of(request).language = stored.language
        self.metrics.resumed.inc()

        earlier = [request_id, *await self.store.attempts(tenant, request_id)]
        header_bytes = output.format.header_bytes or 0
        async with (
            self.charges.resuming(tenant, request_id) as meter,
            self.sessions.open_attempts(
                stored if meter is None else meter.limited(stored),
                earlier=earlier,
                sole=True,
                renewing=True,
            ) as attempts,
        ):
            sentence, skip, total_bytes = await attempts.locate(max(0, offset - header_bytes))
            if total_bytes is not None:
                return _nothing_left(output, offset, header_bytes + total_bytes)

            async with (
                self.sessions.resuming(
                    stored,
                    attempts,
                    attempts.cancel,
                    first_sentence=sentence,
                    meter=meter,
                    listening=True,
                ) as speech,
                aclosing(speech.chunks()) as spoken,
                aclosing(_without_first(skip, spoken)) as chunks,
            ):
                first = await anext(chunks, b"")
                if not first and offset > header_bytes:
                    _, _, total_bytes = await attempts.locate(offset)
                    return _nothing_left(output, offset, header_bytes + (total_bytes or 0))

                sample_rate_hz = speech.assembly.sample_rate_hz
                tags = Tags.of(self.settings, engine=stored.engine, request_id=request_id)
                audio = AudioResponse(
                    request,
                    output,
                    tags=tags,
                    sample_rate_hz=sample_rate_hz,
                    patience_s=self.settings.listener_timeout_s,
                )
                await audio.begin(_headers(stored), offset=offset)

                playback = Playback(self.metrics, sample_rate_hz)
                return await send_stream(audio, AudioStream(first, chunks, playback))

    async def _stored(self, tenant: str, request_id: str) -> SpeechRequest:
        """Return a stored request with a new deadline. Raises UnknownRequest, SpeechCancelled."""
        stored = await self.store.request(tenant, request_id)
        if stored is None:
            raise UnknownRequest(
                "no request with this id exists, or it has expired; send the request again"
            )

        if await self.store.cancelled(tenant, request_id):
            raise SpeechCancelled("the request was cancelled; send it again under another id")

        return renewed(stored, self.settings.request_timeout_s)


def _headers(stored: SpeechRequest) -> dict[str, str]:
    return {
        "X-Seed": str(stored.seed),
        "X-Engine": stored.engine,
        **voice_header(stored),
    }


def _offset(request: web.Request, output: OutputFormat) -> int:
    """Return the byte to resume at. Raises BadRequest."""
    offset: int = FROM_BYTE.checked(request.query.get("from", "0"))
    if offset and not output.has_offsets:
        raise BadRequest(
            "`from` needs response_format wav or pcm without sample_rate; "
            "other formats can only be requested from 0",
            field="from",
        )
    return offset


async def _without_first(count: int, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Yield the chunks, without their first `count` bytes."""
    async for chunk in chunks:
        if count >= len(chunk):
            count -= len(chunk)
            continue

        yield chunk[count:]
        count = 0


def _nothing_left(output: OutputFormat, offset: int, size: int) -> web.StreamResponse:
    """Return the empty response to a client that has all `size` bytes.

    Raises RangeNotSatisfiable for an offset beyond the end.
    """
    if offset > size:
        raise RangeNotSatisfiable(
            f"the response has {size} bytes; `from` is beyond its end", size=size, field="from"
        )

    return web.Response(body=b"", content_type=output.format.media_types[0])
