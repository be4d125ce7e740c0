"""Receives a tenant's recording over NATS, as HTTP does an upload, and stores the clip that is made of it."""

import os
import tempfile
from collections.abc import Iterator
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
from services.http_edge.intake.forms.body import Upload


@dataclass(frozen=True)
class ClipIngress:
    """Stores clips for tenants."""

    intake: ClipIntake

    async def answer(self, tenant: str, message: Received) -> bytes:
        """Make a clip of a recording, store it and return its id.

        Raises MalformedMessage, UnusableReference, TenantClipsFull, QueueFull, BusUnavailable.
        """
        command = codec.decode(message.payload, StoreClip)
        require_own(command, message.subject)
        with _upload(command.audio) as upload:
            stored = await self.intake.clip(tenant, upload)
        return codec.encode(ClipStored(clip=stored.clip, warnings=stored.warnings))

    def refuse(self, failure: PipelineError) -> bytes:
        """Return the reply with the reason why nothing was stored."""
        return codec.encode(
            ClipRefused(code=failure.code, detail=str(failure), retryable=failure.retryable)
        )


@contextmanager
def _upload(audio: bytes) -> Iterator[Upload]:
    """Write a recording to an unnamed temporary file, as `intake.form` does.

    Decoders read files.
    """
    try:
        with tempfile.TemporaryFile() as file:
            file.write(audio)
            file.flush()
            yield Upload(
                Path(f"/proc/{os.getpid()}/fd/{file.fileno()}"),
                sha256(audio).hexdigest(),
                len(audio),
            )
    except OSError:
        raise QueueFull("no space for another recording; retry later") from None
