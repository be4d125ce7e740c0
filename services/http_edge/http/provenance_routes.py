"""`POST /provenance`: whether a recording was synthesized here, and in which requests of the caller's tenant."""

from dataclasses import dataclass, field
from typing import Final

import structlog
from aiohttp import web
from msgspec import UNSET

from services.common.audio.wav import read_wav
from services.common.bus.library.voices import VoiceLibrary
from services.common.bus.provenance.search import ProvenanceSearch, SearchResult
from services.common.wire.voices import Voice, parse_reference
from services.http_edge.auth.guard import expect_later
from services.http_edge.context import tenant_of_caller
from services.http_edge.http.tenant_slots import TenantSlots
from services.http_edge.intake.reference.decoder import ReferenceDecoder
from services.http_edge.metrics import Metrics
from services.http_edge.provenance.body import provenance_body
from services.http_edge.provenance.form_reader import ProvenanceFormReader

log = structlog.get_logger()

_MAX_CONCURRENT: Final = 2  # searches of a tenant at this edge


@dataclass(frozen=True)
class ProvenanceRoutes:
    """The handler and its dependencies."""

    reader: ProvenanceFormReader
    decoder: ReferenceDecoder
    search: ProvenanceSearch
    library: VoiceLibrary
    metrics: Metrics
    _slots: TenantSlots = field(
        default_factory=lambda: TenantSlots(
            _MAX_CONCURRENT, "too many recordings are being looked up; retry later"
        )
    )

    def add_to(self, app: web.Application) -> None:
        """Register the path."""
        app.router.add_post("/provenance", self.provenance, expect_handler=expect_later)

    async def provenance(self, request: web.Request) -> web.Response:
        """`POST /provenance`: look for the watermark, and for the sentences in the log of the tenant."""
        tenant = tenant_of_caller(request)
        async with self.reader.question(request) as question:
            with self._slots.slot(tenant):
                recording = await self.decoder.inspect(question.upload.path, tenant)
                result = await self.search.search(
                    tenant, read_wav(recording.wav), question.until_unix_s
                )
                voices = await self._voices(tenant, result)

        marked = recording.watermark.marked
        self.metrics.provenance.labels(
            "marked" if marked else "unmarked", "found" if result.found else "not found"
        ).inc()
        log.info(
            "provenance_asked",
            tenant=tenant,
            audio_s=round(recording.seconds, 3),
            marked=marked,
            sentences=len(result.found),
            complete=result.complete,
        )
        return web.json_response(provenance_body(recording, result, voices))

    async def _voices(self, tenant: str, result: SearchResult) -> dict[str, Voice | None]:
        """Return the records of the tenant's own voices in the result; None of those that were deleted."""
        named = {found.sentence.voice for found in result.found} - {UNSET}
        parsed = [parse_reference(str(voice)) for voice in named]
        own = sorted({voice.id for voice in parsed if voice is not None and voice.scope == "own"})
        return {voice: await self.library.read(tenant, voice) for voice in own}
