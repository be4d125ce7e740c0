"""`/normalize`: the normalized text, without synthesis, from a splitter over the bus."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web
from msgspec import UNSET

from services.common.bus.ports import Bus
from services.common.wire import codec, subjects
from services.common.wire.identity import Identity
from services.common.wire.messages import NormalizeText, SpeechFailed, TextNormalized
from services.http_edge.context import REQUEST_ID, outcome_of, tenant_of_caller
from services.http_edge.errors import RemoteFailure, SplitterUnavailable, TooManyRequests
from services.http_edge.http.bodies import NormalizedText
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
    _running: Counter[str] = field(default_factory=Counter)  # requests by tenant

    def add_to(self, app: web.Application) -> None:
        """Register the path."""
        app.router.add_post("/normalize", self.normalize, name="normalize")

    async def normalize(self, request: web.Request) -> web.Response:
        """`POST /normalize`: the normalized sentences of a text, and the spans that would be left out."""
        sent = await self.reader.text_form(request, self.upload_owner(request))

        tenant = tenant_of_caller(request)
        with self._counted(tenant):
            form = await understood(sent)
            outcome_of(request).language = form.language
            normalized = await self._normalized(
                Identity(tenant, "request", request[REQUEST_ID]), form
            )
            return web.json_response(_body(form, normalized))

    @contextmanager
    def _counted(self, tenant: str) -> Iterator[None]:
        """Count a request of the tenant while the block runs. Raises TooManyRequests."""
        if self._running[tenant] >= _MAX_CONCURRENT:
            raise TooManyRequests("too many texts are being normalized; retry later")

        self._running[tenant] += 1
        try:
            yield
        finally:
            self._running[tenant] -= 1
            if not self._running[tenant]:
                del self._running[tenant]

    async def _normalized(self, identity: Identity, form: Form) -> TextNormalized:
        """Return a splitter's reply. Raises SplitterUnavailable, RemoteFailure."""
        command = NormalizeText(
            request=identity.id,
            tenant=identity.tenant,
            engine=self.settings.engine,
            language=form.language,
            text=form.text,
            passages=form.passages,
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
