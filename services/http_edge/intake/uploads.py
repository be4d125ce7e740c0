"""Bodies that are being read: how many at once, how slowly they may come, and how much of the disk they take.

How it works. A body is read in a place of its caller's, of which there are `MAX_UPLOADS_PER_CALLER`, and
`MAX_UPLOADS` in all. Where none is free the next body waits, unread, for `_WAIT_S`, and an upload that is slower than
`UPLOAD_BYTES_A_SECOND` loses its place to it: a client that sends drop by drop delays others by seconds,
not by the time that an upload may take. Where no other upload waits, a slow one is ended after `UPLOAD_IDLE_TIMEOUT_S`.
Temporary files share `TEMP_SPACE_BYTES`; one caller's uploads take at most half of it.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Final

from services.http_edge.errors import BadRequest, InsufficientStorage, TooManyUploads, UploadStalled
from services.http_edge.settings import Settings

_WAIT_S: Final = 5.0  # for a place
_LOOK_AGAIN_S: Final = 0.5  # for a slow upload, while another waits
_GRACE_S: Final = 2.0  # an upload is not called slow before
_FRAMING_BYTES: Final = 64 * 1024  # that may come beside content at the beginning: heads, what was sent before


class TempSpace:
    """The bytes of all temporary files, counted."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._used: Counter[str] = Counter()  # bytes by caller

    @property
    def used_bytes(self) -> int:
        """Return how many bytes are taken."""
        return self._used.total()

    def check(self, size: int, caller: str = "") -> None:
        """Raise InsufficientStorage where so many bytes more do not fit."""
        full = self.used_bytes + size > self._limit_bytes
        if full or (caller and self._used[caller] + size > self._limit_bytes // 2):
            raise InsufficientStorage("the space for temporary files is full; retry later, or send a shorter recording")

    @contextmanager
    def hold(self, caller: str = "") -> Iterator["UploadPermit"]:
        """Yield what takes space as long as the block runs. `caller`: whose uploads these are; none for answers."""
        hold = UploadPermit(self, caller)
        try:
            yield hold
        finally:
            self.move(caller, -hold.size)

    def move(self, caller: str, size: int) -> None:
        """Count bytes that were written, or given back."""
        self._used[caller] += size
        if not self._used[caller]:
            del self._used[caller]


@dataclass
class UploadPermit:
    """What one request has in temporary files."""

    space: TempSpace
    caller: str
    size: int = 0  # bytes

    def add(self, size: int) -> None:
        """Take so many bytes more. Raises InsufficientStorage."""
        self.space.check(size, self.caller)
        self.space.move(self.caller, size)
        self.size += size


@dataclass
class Upload:
    """A body that is being read."""

    least_bytes_s: float
    grace_s: float  # so long it may be slower, where no other waits
    wire_bytes: Callable[[], int]  # received on its connection
    limit: asyncio.Timeout
    began_s: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    body_bytes: int = 0
    dropped: bool = False

    def received(self, count: int) -> None:
        """Count bytes of the body. Raises UploadStalled where it is too slow, BadRequest where most is chunk heads."""
        self.body_bytes += count
        if self._slower_after(self.grace_s):
            raise UploadStalled(f"the body comes at less than {self.least_bytes_s:.0f} bytes a second")
        if self.wire_bytes() > _FRAMING_BYTES + 2 * self.body_bytes:
            raise BadRequest("the body consists mostly of chunk heads; send larger chunks")

    def drop(self) -> bool:
        """End the upload if it is slow, so that another one has its place."""
        if not self.limit.expired() and self._slower_after(_GRACE_S):
            self.dropped = True
            self.limit.reschedule(asyncio.get_running_loop().time())
        return self.dropped

    def _slower_after(self, grace_s: float) -> bool:
        counted_s = asyncio.get_running_loop().time() - self.began_s - grace_s
        return counted_s > 0 and self.body_bytes < self.least_bytes_s * counted_s


@dataclass
class _Places:
    """The places of one caller, or of all."""

    free: asyncio.Semaphore
    uploads: list[Upload] = field(default_factory=list)
    waiting: int = 0

    async def take(self) -> None:
        """Wait for a place. Raises TimeoutError."""
        async with asyncio.timeout(_WAIT_S):
            while True:
                try:
                    async with asyncio.timeout(_LOOK_AGAIN_S):
                        await self.free.acquire()
                        return
                except TimeoutError:
                    any(upload.drop() for upload in self.uploads)


class Uploads:
    """All bodies that an edge reads."""

    def __init__(self, settings: Settings) -> None:
        self.turn = asyncio.Lock()  # of parsing
        self.space = TempSpace(settings.temp_space_bytes)
        self._settings = settings
        self._all = _Places(asyncio.Semaphore(settings.max_uploads))
        self._callers: dict[str, _Places] = {}

    @asynccontextmanager
    async def reading(self, caller: str, wire_bytes: Callable[[], int]) -> AsyncIterator[Upload]:
        """Read a body in the block, in a place of its caller. Raises TooManyUploads, UploadStalled."""
        own = self._callers.setdefault(caller, _Places(asyncio.Semaphore(self._settings.max_uploads_per_caller)))
        own.waiting += 1
        try:
            async with (
                _place(own, "your other uploads take all places", 429),
                _place(self._all, "this server reads as many uploads as it may", 503),
                self._timed(own, wire_bytes) as upload,
            ):
                yield upload
        finally:
            own.waiting -= 1
            if not own.waiting:
                self._callers.pop(caller, None)

    @asynccontextmanager
    async def _timed(self, own: _Places, wire_bytes: Callable[[], int]) -> AsyncIterator[Upload]:
        settings = self._settings
        dropped = False
        try:
            async with asyncio.timeout(settings.upload_timeout_s) as limit:
                grace_s = settings.upload_idle_timeout_s
                upload = Upload(settings.upload_bytes_a_second, grace_s, wire_bytes, limit)
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
                raise UploadStalled("the body came slowly while others waited; send it again, faster") from None
            raise UploadStalled(f"the body did not come within {settings.upload_timeout_s:.0f} s") from None


@asynccontextmanager
async def _place(places: _Places, why: str, status: int) -> AsyncIterator[None]:
    try:
        await places.take()
    except TimeoutError:
        raise TooManyUploads(f"{why}; retry later", status) from None
    try:
        yield
    finally:
        places.free.release()
