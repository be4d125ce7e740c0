"""Takes a tenant's recording from NATS as HTTP takes an upload, and stores the clip that is made of it."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from services.common.bus.ports import Received
from services.common.wire import codec
from services.common.wire.addressing import require_own
from services.common.wire.failures import PipelineError, QueueFull
from services.common.wire.messages import ClipRefused, ClipStored, StoreClip
from services.http_edge.intake.clips import ClipIntake
from services.http_edge.intake.form import Upload


@dataclass(frozen=True)
class ClipIngress:
    """Stores clips for tenants."""

    intake_of: Callable[[str], ClipIntake]  # by tenant

    async def answer(self, tenant: str, heard: Received) -> bytes:
        """Make a clip of a recording, store it and return its name.

        Raises MalformedMessage, UnusableReference, TenantClipsFull, QueueFull, BusUnavailable.
        """
        asked = codec.decode(heard.payload, StoreClip)
        require_own(asked, heard.subject)
        with _upload(asked.audio) as upload:
            stored = await self.intake_of(tenant).clip(upload)
        return codec.encode(ClipStored(clip=stored.clip, warnings=stored.warnings))

    def refuse(self, failure: PipelineError) -> bytes:
        """Return the reply that says why nothing was stored."""
        return codec.encode(ClipRefused(code=failure.code, detail=str(failure), retryable=failure.retryable))


@contextmanager
def _upload(audio: bytes) -> Iterator[Upload]:
    """Write a recording to a temporary file without a name, as `form` does: decoders read files."""
    try:
        with tempfile.TemporaryFile() as file:
            file.write(audio)
            file.flush()
            yield Upload(Path(f"/proc/{os.getpid()}/fd/{file.fileno()}"), sha256(audio).hexdigest(), len(audio))
    except OSError:
        raise QueueFull("this edge has no room for another recording; retry later") from None
