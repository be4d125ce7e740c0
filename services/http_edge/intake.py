"""From a checked form to a request for the bus: the voice's clip is stored, the seed is given or drawn."""

import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from services.common.bus import topology
from services.common.bus.clips import store_clip
from services.common.bus.ports import Bus
from services.common.wire.messages import SpeechRequest
from services.http_edge.form import Form
from services.http_edge.metrics import Metrics
from services.http_edge.reference import ReferenceDecoder
from services.http_edge.settings import Settings

_REMEMBERED: Final = 1024  # uploads whose clip is known


@dataclass(frozen=True)
class StoredClip:
    """A clip in the object store, and what its sender should know about it."""

    clip: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Intake:
    """Turns forms into requests."""

    bus: Bus
    decoder: ReferenceDecoder
    settings: Settings
    metrics: Metrics
    _known: OrderedDict[str, StoredClip] = field(default_factory=OrderedDict)  # by digest of the upload

    async def clip(self, form: Form) -> StoredClip:
        """Decode and store the upload, unless these very bytes were stored before.

        Raises UnusableReference, QueueFull, BusUnavailable.
        """
        known = self._known.get(form.upload_digest)
        if known is not None and await self.bus.has_object(topology.CLIPS, known.clip):
            self.metrics.reference_cache.labels("known").inc()
            self._known.move_to_end(form.upload_digest)
            return known
        prepared = await self.decoder.prepare(form.upload)
        stored = StoredClip(await store_clip(self.bus, prepared.wav), prepared.warnings)
        self.metrics.reference_cache.labels("decoded").inc()
        self._known[form.upload_digest] = stored
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return stored

    def request(self, request_id: str, form: Form, clip: StoredClip) -> SpeechRequest:
        """Return the command to speak this form's text in the voice of this clip."""
        return SpeechRequest(
            request=request_id,
            tenant=self.settings.tenant,
            engine=self.settings.engine,
            language=form.language,
            text=form.text,
            clips=(clip.clip,),
            seed=secrets.randbits(63) if form.seed is None else form.seed,
            split=form.split,
            deadline_unix_ms=round((time.time() + self.settings.request_timeout_s) * 1000),
        )
