"""Turns a checked form into a `SpeechRequest`.

Stores the reference clips, and draws a seed if none was sent.
"""

import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from msgspec import UNSET

from services.common.bus.clips import clip_id, has_clip, store_clip
from services.common.bus.ports import Bus
from services.common.wire.failures import PipelineError, UnusableReference
from services.common.wire.messages import SpeechRequest
from services.http_edge.intake.clip_quota import ClipQuota
from services.http_edge.intake.forms.body import Upload, file_prefix
from services.http_edge.intake.forms.form import Form
from services.http_edge.intake.reference.decoder import ReferenceDecoder
from services.http_edge.metrics import Metrics
from services.http_edge.settings import Settings

_REMEMBERED: Final = 1024  # uploads whose stored clip is cached


@dataclass(frozen=True)
class StoredClip:
    """A clip in the object store, and the warnings for the client that sent it."""

    clip: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Reference:
    """One speaker's clips, and the warnings for the client that sent them."""

    clips: tuple[str, ...]  # in the order of the uploads, without duplicates
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class ClipIntake:
    """Turns forms into requests."""

    bus: Bus
    decoder: ReferenceDecoder
    settings: Settings
    metrics: Metrics
    # by tenant and upload's digest
    _known: OrderedDict[tuple[str, str], StoredClip] = field(default_factory=OrderedDict)

    async def reference(self, tenant: str, form: Form) -> Reference:
        """Decode and store the uploads.

        With several uploads, errors and warnings name the position of the file, never its name.

        Raises UnusableReference, TenantClipsFull, TenantQueueFull, QueueFull, BusUnavailable.
        """
        clips: list[str] = []
        warnings: list[str] = []
        for index, upload in enumerate(form.uploads):
            prefix = file_prefix(index, len(form.uploads))
            try:
                stored = await self.clip(tenant, upload)
            except UnusableReference as refusal:
                raise UnusableReference(f"{prefix}{refusal}") from None
            clips.append(stored.clip)
            warnings += [f"{prefix}{warning}" for warning in stored.warnings]
        return Reference(tuple(dict.fromkeys(clips)), tuple(warnings))

    async def clip(self, tenant: str, upload: Upload) -> StoredClip:
        """Decode and store an upload, unless the same bytes were stored before.

        Raises UnusableReference, TenantClipsFull, TenantQueueFull, QueueFull, BusUnavailable.
        """
        # per tenant: the response time must not reveal what another tenant has sent
        key = (
            tenant,
            upload.digest,
        )
        known = self._known.get(key)
        if known is not None and await has_clip(self.bus, tenant, known.clip):
            self.metrics.reference_cache.labels("known").inc()
            self._known.move_to_end(key)
            return known
        prepared = await self.decoder.prepare(upload.path, tenant)
        stored = StoredClip(await self._store(tenant, prepared.wav), prepared.warnings)
        self.metrics.reference_cache.labels("decoded").inc()
        self._known[key] = stored
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return stored

    async def _store(self, tenant: str, wav: bytes) -> str:
        """Store a clip within the tenant's quota, and return its id."""
        quota = ClipQuota(self.bus, tenant, self.settings.tenant_clips_bytes)
        clip = clip_id(wav)
        await quota.take(clip, len(wav))
        try:
            return await store_clip(self.bus, tenant, wav)
        except PipelineError:
            await quota.release(clip, len(wav))
            raise

    def seed(self, form: Form) -> int:
        """Return the seed of the form, or draw one."""
        return secrets.randbits(63) if form.seed is None else form.seed

    def request(
        self,
        tenant: str,
        request_id: str,
        form: Form,
        *,
        clips: tuple[str, ...],
        seed: int,
        timeout_s: float,
    ) -> SpeechRequest:
        """Return the command to speak this form's text in the voice of these clips."""
        return SpeechRequest(
            request=request_id,
            tenant=tenant,
            engine=form.engine or self.settings.engine,
            language=form.language,
            text=form.text,
            clips=clips,
            seed=seed,
            deadline_unix_ms=round((time.time() + timeout_s) * 1000),
            parameters=form.parameters,
            passages=form.passages,
            voice=UNSET if form.voice is None else form.voice,
            voice_defaults=UNSET if form.voice is None else False,  # the form has them already
            title=form.title or UNSET,
            chapters=form.chapters or UNSET,
            voices=form.speakers or UNSET,
            **form.options.fields(),
        )
