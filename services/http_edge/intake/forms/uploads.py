"""Limits on request bodies.

Concurrent uploads, their lowest rate, and the temporary space that they take.

How it works. Each upload takes a slot: every caller has `MAX_UPLOADS_PER_CALLER` of them, and there
are `MAX_UPLOADS` in total. If no slot is free, the next upload waits up to `_WAIT_S` before its
body is read, and an upload that is slower than `UPLOAD_BYTES_A_SECOND` is dropped to free its slot.
A client that trickles its body therefore delays others by seconds, not by the whole upload timeout.
If no other upload waits, a slow one is dropped after `UPLOAD_IDLE_TIMEOUT_S`. Temporary files share
`TEMP_SPACE_BYTES`; one caller's uploads take at most half of it.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Final

from services.http_edge.errors import BadRequest, InsufficientStorage, TooManyUploads, UploadStalled
from services.http_edge.settings import Settings

_WAIT_S: Final = 5.0  # for a slot
_LOOK_AGAIN_S: Final = 0.5  # for a slow upload, while another waits
_GRACE_S: Final = 2.0  # an upload does not count as slow before
# received in addition to content at the start: request heads, earlier data
_FRAMING_BYTES: Final = 64 * 1024


class TempSpace:
    """Counts the bytes of all temporary files."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._used: Counter[str] = Counter()  # bytes by caller

    @property
    def used_bytes(self) -> int:
        """Return how many bytes are in use."""
        return self._used.total()

    def check(self, size: int, caller: str = "") -> None:
        """Raise InsufficientStorage if `size` more bytes do not fit."""
        full = self.used_bytes + size > self._limit_bytes
        if full or (caller and self._used[caller] + size > self._limit_bytes // 2):
            raise InsufficientStorage(
                "the space for temporary files is full; retry later, or send a shorter recording"
            )

    @contextmanager
    def hold(self, caller: str = "") -> Iterator["UploadPermit"]:
        """Yield a permit for space, released when the block ends.

        `caller`: the uploader; empty for responses.
        """
        hold = UploadPermit(self, caller)
        try:
            yield hold
        finally:
            self.move(caller, -hold.size)

    def move(self, caller: str, size: int) -> None:
        """Add bytes to the count of a caller; negative when they are released."""
        self._used[caller] += size
        if not self._used[caller]:
            del self._used[caller]


@dataclass
class UploadPermit:
    """The temporary space of one request."""

    space: TempSpace
    caller: str
    size: int = 0  # bytes

    def add(self, size: int) -> None:
        """Reserve `size` more bytes. Raises InsufficientStorage."""
        self.space.check(size, self.caller)
        self.space.move(self.caller, size)
        self.size += size


@dataclass
class BodyUpload:
    """A body that is being read."""

    least_bytes_s: float
    grace_s: float  # how long it can be slower while no other upload waits
    wire_bytes: Callable[[], int]  # received on its connection
    limit: asyncio.Timeout
    began_s: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    body_bytes: int = 0
    dropped: bool = False

    def received(self, count: int) -> None:
        """Count bytes of the body.

        Raises UploadStalled if it is too slow, BadRequest if it is mostly chunk headers.
        """
        self.body_bytes += count
        if self._slower_after(self.grace_s):
            raise UploadStalled(
                f"the body arrives at less than {self.least_bytes_s:.0f} bytes per second; send it faster"
            )
        if self.wire_bytes() > _FRAMING_BYTES + 2 * self.body_bytes:
            raise BadRequest("the body consists mostly of chunk headers; send larger chunks")

    def drop(self) -> bool:
        """Cancel the upload if it is slow, to free its slot, and return whether it was cancelled."""
        if not self.limit.expired() and self._slower_after(_GRACE_S):
            self.dropped = True
            self.limit.reschedule(asyncio.get_running_loop().time())
        return self.dropped

    def _slower_after(self, grace_s: float) -> bool:
        counted_s = asyncio.get_running_loop().time() - self.began_s - grace_s
        return counted_s > 0 and self.body_bytes < self.least_bytes_s * counted_s


@dataclass
class _Slots:
    """The upload slots of one caller, or of the whole edge."""

    free: asyncio.Semaphore
    uploads: list[BodyUpload] = field(default_factory=list)
    waiting: int = 0

    async def acquire(self) -> None:
        """Wait for a free slot, and drop slow uploads meanwhile. Raises TimeoutError."""
        async with asyncio.timeout(_WAIT_S):
            while True:
                try:
                    async with asyncio.timeout(_LOOK_AGAIN_S):
                        await self.free.acquire()
                        return
                except TimeoutError:
                    any(upload.drop() for upload in self.uploads)


class Uploads:
    """Admits and times the uploads of an edge."""

    def __init__(self, settings: Settings) -> None:
        self.turn = asyncio.Lock()  # held while a body is parsed
        self.space = TempSpace(settings.temp_space_bytes)
        self._settings = settings
        self._all = _Slots(asyncio.Semaphore(settings.max_uploads))
        self._callers: dict[str, _Slots] = {}

    @asynccontextmanager
    async def reading(
        self, caller: str, wire_bytes: Callable[[], int]
    ) -> AsyncIterator[BodyUpload]:
        """Hold an upload slot of the caller while the block reads a body.

        Raises TooManyUploads, UploadStalled.
        """
        own = self._callers.setdefault(
            caller, _Slots(asyncio.Semaphore(self._settings.max_uploads_per_caller))
        )
        own.waiting += 1
        try:
            async with (
                _slot(own, "too many concurrent uploads from this client", 429),
                _slot(self._all, "too many concurrent uploads to this server", 503),
                self._timed(own, wire_bytes) as upload,
            ):
                yield upload
        finally:
            own.waiting -= 1
            if not own.waiting:
                self._callers.pop(caller, None)

    @asynccontextmanager
    async def _timed(self, own: _Slots, wire_bytes: Callable[[], int]) -> AsyncIterator[BodyUpload]:
        settings = self._settings
        dropped = False
        try:
            async with asyncio.timeout(settings.upload_timeout_s) as limit:
                grace_s = settings.upload_idle_timeout_s
                upload = BodyUpload(settings.upload_bytes_a_second, grace_s, wire_bytes, limit)
                own.uploads.append(upload)
                self._all.uploads.append(upload)
                try:
                    yield upload
                finally:
                    dropped = upload.dropped
                    own.uploads.remove(upload)
                    self._all.uploads.remove(upload)
        except TimeoutError:
            if dropped:
                raise UploadStalled(
                    "the body arrived too slowly while other uploads waited; send it again, faster"
                ) from None
            raise UploadStalled(
                f"the body did not arrive within {settings.upload_timeout_s:.0f} s"
            ) from None


@asynccontextmanager
async def _slot(slots: _Slots, reason: str, status: int) -> AsyncIterator[None]:
    try:
        await slots.acquire()
    except TimeoutError:
        raise TooManyUploads(f"{reason}; retry later", status) from None
    try:
        yield
    finally:
        slots.free.release()
