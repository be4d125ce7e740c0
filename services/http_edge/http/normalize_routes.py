"""`/normalize`: the normalized text, without synthesis, from a splitter over the bus."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web
from msgspec import UNSET

from services.common.bus.ports import Bus
from services.common.wire import codec, subjects
from services.common.wire.messages import NormalizeText, SpeechFailed, TextNormalized
from services.http_edge.auth.guard import by
from services.http_edge.context import REQUEST_ID, outcome_of
from services.http_edge.errors import RemoteFailure, SplitterUnavailable, TooManyRequests
from services.http_edge.intake.form import Form, FormReader
from services.http_edge.intake.text import understood
from services.http_edge.settings import Settings

_REPLY_S: Final = 5.0
_MAX_CONCURRENT: Final = 32  # per tenant at this edge


@dataclass(frozen=True)
class NormalizeRoutes:
    """The handler and its dependencies."""

    bus: Bus
    settings: Settings
    reader: FormReader
    upload_owner: Callable[[web.Request], str]  # the caller that the upload limits apply to
    _free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MAX_CONCURRENT))

    @classmethod
    def add_to(
        cls, app: web.Application, routes_of: Callable[[web.Request], "NormalizeRoutes"]
    ) -> None:
        """Register the path."""
        app.router.add_post("/normalize", by(routes_of)(cls.normalize), name="normalize")

    async def normalize(self, request: web.Request) -> web.Response:
        """`POST /normalize`: the normalized sentences of a text, and the spans that would be left out."""
        sent = await self.reader.text_form(request, self.upload_owner(request))

        if self._free.locked():
            raise TooManyRequests("too many texts are being normalized; retry later")

        async with self._free:
            form = await understood(sent)
            outcome_of(request).language = form.language
            normalized = await self._normalized(request[REQUEST_ID], form)
            return web.json_response(_body(form, normalized))

    async def _normalized(self, request_id: str, form: Form) -> TextNormalized:
        """Return a splitter's reply. Raises SplitterUnavailable, RemoteFailure."""
        command = NormalizeText(
            request=request_id,
            tenant=self.settings.tenant,
            engine=self.settings.engine,
            language=form.language,
            text=form.text,
            split=form.split,
            spoken_forms=form.spoken_forms,
            pronunciations=form.pronunciations,
            text_type=form.text_type,
            passages=form.passages,
        )

        subject = subjects.normalize(self.settings.tenant)
        payload = await self.bus.request(subject, codec.encode(command), timeout_s=_REPLY_S)
        if payload is None:
            raise SplitterUnavailable(f"no splitter replied within {_REPLY_S:.0f} s; retry later")

        reply = codec.decode(payload, TextNormalized | SpeechFailed)  # type: ignore[arg-type]  # msgspec takes unions
        if isinstance(reply, SpeechFailed):
            raise RemoteFailure(reply)

        return reply


def _body(form: Form, normalized: TextNormalized) -> dict[str, Any]:
    spans = () if normalized.left_out is UNSET else normalized.left_out.spans

    return {
        "language": normalized.language,
        "languages": list(form.languages),
        "sentences": [
            {"start": found.start, "end": found.end, "text": found.text, "language": found.language}
            for found in normalized.sentences
        ],
        "left_out": [{"start": span.start, "end": span.end} for span in spans],
    }
