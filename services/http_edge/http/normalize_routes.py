"""`/normalize`: the normalized text, without synthesis, from a splitter over the bus."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web
from msgspec import UNSET

from services.common.bus.ports import Bus
from services.common.wire import codec, subjects
from services.common.wire.identity import Identity
from services.common.wire.messages import NormalizeText, SpeechFailed, TextNormalized
from services.common.wire.parts import Speaker
from services.http_edge.context import REQUEST_ID, outcome_of, tenant_of_caller
from services.http_edge.errors import RemoteFailure, SplitterUnavailable
from services.http_edge.http.bodies import NormalizedText
from services.http_edge.http.tenant_slots import TenantSlots
from services.http_edge.intake.forms.form import Form, FormReader
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
    _slots: TenantSlots = field(
        default_factory=lambda: TenantSlots(
            _MAX_CONCURRENT, "too many texts are being normalized; retry later"
        )
    )

    def add_to(self, app: web.Application) -> None:
        """Register the path."""
        app.router.add_post("/normalize", self.normalize, name="normalize")

    async def normalize(self, request: web.Request) -> web.Response:
        """`POST /normalize`: the normalized sentences of a text, and the spans that would be left out."""
        sent = await self.reader.text_form(request, self.upload_owner(request))

        tenant = tenant_of_caller(request)
        with self._slots.slot(tenant):
            form = await understood(sent)
            outcome_of(request).language = form.language
            normalized = await self._normalized(
                Identity(tenant, "request", request[REQUEST_ID]), form
            )
            return web.json_response(_body(form, normalized))

    async def _normalized(self, identity: Identity, form: Form) -> TextNormalized:
        """Return a splitter's reply. Raises SplitterUnavailable, RemoteFailure."""
        command = NormalizeText(
            request=identity.id,
            tenant=identity.tenant,
            engine=self.settings.engine,
            language=form.language,
            text=form.text,
            passages=form.passages,
            voices=tuple(Speaker(name=name, voice=voice) for name, voice in form.voices.items())
            or UNSET,
            **form.options.fields(),
        )

        subject = subjects.normalize(identity.tenant)
        payload = await self.bus.request(subject, codec.encode(command), timeout_s=_REPLY_S)
        if payload is None:
            raise SplitterUnavailable(f"no splitter replied within {_REPLY_S:.0f} s; retry later")

        reply = codec.decode(payload, TextNormalized | SpeechFailed)  # type: ignore[arg-type]  # msgspec takes unions
        if isinstance(reply, SpeechFailed):
            raise RemoteFailure(reply)

        return reply


def _body(form: Form, normalized: TextNormalized) -> NormalizedText:
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
