"""Byte offsets of a request's latest sentences, stored as long as the request itself.

End markers hold the same, but expire with the audio. Without the offsets, resuming a long stream after that would
synthesize everything before the client's byte again, only to drop it.
"""

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from services.http_edge.speech.assembly import Assembly
from services.http_edge.speech.request_store import RequestStore

_LATEST: Final = 8  # offsets that are stored: a client can have lost data in transit
_RENEW_S: Final = 1200.0  # how often the retention of a request with a listener is restarted


@dataclass
class SentenceOffsets:
    """The sentence offsets of one request, updated as one listener advances."""

    records: RequestStore
    tenant: str
    request: str
    begin: int = 0  # byte offset of the PCM at which this listener's assembly begins
    _passed: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=_LATEST))
    _renewed_s: float = field(default_factory=time.monotonic)

    async def note(self, assembly: Assembly) -> None:
        """Store the offset of the listener's current sentence. Raises BusUnavailable, QueueFull."""
        before = self.begin + 2 * sum(spoken.samples for spoken in assembly.spoken)
        self._passed.append((assembly.sentence, before))
        await self.records.store_offsets(self.tenant, self.request, list(self._passed))

        if time.monotonic() - self._renewed_s > _RENEW_S:
            await self.records.renew(self.tenant, self.request)
            self._renewed_s = time.monotonic()

    async def last_before(self, offset: int) -> tuple[int, int]:
        """Return the last stored sentence that begins at or before a byte of the PCM, and the offset where it begins.

        Return (0, 0) if no such sentence is stored. Raises BusUnavailable.
        """
        known = await self.records.offsets(self.tenant, self.request)
        return max(
            ((sentence, before) for sentence, before in known if before <= offset), default=(0, 0)
        )
