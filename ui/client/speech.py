"""Speech that outlives the runs of the page's script: each has a thread, with any number of readers."""

import secrets
import struct
import threading
import time
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakValueDictionary

from ui.client.order import Order
from ui.client.responses import HEADER_BYTES, AudioHead
from ui.client.service import Service
from ui.errors import BUSY, Refusal
from ui.text.sentences import Alignment

_SOURCE_TYPE: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_MOST: Final = 64  # at once, of all users together; others wait for their turn
_STORE_AGAIN: Final = (*BUSY, "audio_incomplete", "job_busy")
_STORE_ATTEMPTS: Final = 6
_STORE_PAUSE_S: Final = 0.5
_SLOTS: Final = threading.BoundedSemaphore(_MOST)

# The browser requests audio by its unguessable id. A session that ends releases its speech.
SPEAKING: Final[WeakValueDictionary[str, "Speaking"]] = WeakValueDictionary()


class Speaking:
    """One request and its audio so far. Times are `time.monotonic()`."""

    def __init__(
        self,
        service: Service,
        order: Order,
        *,
        stream: bool,
        patience_s: float = 0.0,
        label: str = "",
    ) -> None:
        """Begin at once; if the service is busy, retry when it allows, up to this time.

        `label`: under which the service stores the speech as a job when it is whole; empty: it does not.
        """
        self.id = secrets.token_hex(16)
        self.order = order
        self.service = service
        self.stream = stream
        self.patience_s = patience_s
        self.began_s = time.monotonic()
        self.first_s: float | None = None
        self.ended_s: float | None = None
        self.head: AudioHead | None = None
        self.failure: Refusal | None = None
        self.label = label
        self.stored: dict[str, Any] | None = None  # the job that it is stored as
        self.store_failure: Refusal | None = None
        self.waits = False  # for its turn at a busy service
        self.cancelled = threading.Event()
        self.alignment = Alignment(order.text)
        self._pcm = bytearray()
        self._metadata = b""  # after the PCM of a WAV
        SPEAKING[self.id] = self
        threading.Thread(target=self._run, name=f"speaking-{self.id[:8]}", daemon=True).start()

    @property
    def ended(self) -> bool:
        """Return whether the speech has ended."""
        return self.ended_s is not None

    @property
    def whole(self) -> bool:
        """Return whether all audio is available."""
        return self.ended and self.failure is None

    @property
    def storing(self) -> bool:
        """Return whether it is still open if the service stores it."""
        undecided = self.stored is None and self.store_failure is None
        return self.whole and bool(self.label) and undecided

    def forget_stored(self) -> None:
        """Note that the service no longer stores it."""
        self.label = ""
        self.stored = None

    @property
    def playable(self) -> bool:
        """Return whether there is audio and no more will come: all of it, or what came before the end."""
        return self.ended and bool(self._pcm)

    @property
    def rate_hz(self) -> int:
        """Return the samples per second."""
        return self.head.sample_rate_hz if self.head else 24_000

    @property
    def seconds(self) -> float:
        """Return the duration of the available audio."""
        return len(self._pcm) / 2 / self.rate_hz

    @property
    def took_s(self) -> float:
        """Return how long it has taken until now, or took."""
        return (self.ended_s or time.monotonic()) - self.began_s

    @property
    def synthesis_s(self) -> float | None:
        """Return the engine's processing time, if the service has reported it."""
        return self.head.synthesis_s if self.head else None

    @property
    def first_after_s(self) -> float | None:
        """Return the time to the first audio."""
        return None if self.first_s is None else self.first_s - self.began_s

    @property
    def comment(self) -> str:
        """Return the comment of files, as those of the service have it; empty if they have none."""
        if self.head is None or not self.head.marks_files:
            return ""
        return f"Synthetic speech ({_SOURCE_TYPE}); request {self.id}"

    def wav(self) -> bytes:
        """Return what is there as a WAV file."""
        after = self._metadata or (info_chunk(self.comment) if self.comment else b"")
        return wav_header(self.rate_hz, len(self._pcm), len(after)) + bytes(self._pcm) + after

    def pcm(self, start: int = 0) -> bytes:
        """Return the PCM (mono, 16-bit little-endian) from this byte on."""
        return bytes(self._pcm[start:])

    def look(self) -> None:
        """Learn which sentences are spoken; what the service does not tell stays unknown."""
        _quietly(
            lambda: self.alignment.learn(
                self.service.sentences(self.id, len(self.alignment.ends_s))
            )
        )

    def cancel(self) -> None:
        """Stop the work, on the service as well."""
        self.cancelled.set()
        threading.Thread(target=self._tell_cancelled, name="cancel", daemon=True).start()

    def _tell_cancelled(self) -> None:
        _quietly(lambda: self.service.cancel(self.id))

    def _run(self) -> None:
        with _SLOTS:
            try:
                while not self._receive():
                    pass
            except Refusal as refusal:
                self.failure = Refusal("cancelled") if self.cancelled.is_set() else refusal
        self.ended_s = time.monotonic()
        if self.label and self.whole:
            self._store()

    def _store(self) -> None:
        """Have the service store the speech. The last sentence may be there a moment after its audio."""
        for _ in range(_STORE_ATTEMPTS):
            try:
                self.stored = self.service.store_request(self.id, self.label)
            except Refusal as refusal:
                failure = refusal
                if refusal.code not in _STORE_AGAIN:
                    break
                self.cancelled.wait(_STORE_PAUSE_S)
            else:
                return
        self.store_failure = failure

    def _receive(self) -> bool:
        """Read it to its end; return whether it was admitted. Raises Refusal."""
        if self.cancelled.is_set():
            raise Refusal("cancelled")
        try:
            self._receive_all()
        except Refusal as refusal:
            if refusal.code not in BUSY or self.took_s > self.patience_s:
                raise
            self.waits = True
            self.cancelled.wait(min(refusal.retry_after_s or 2, 5))
            return False
        return True

    def _receive_all(self) -> None:
        header = b""
        audio_bytes = 0
        with self.service.speaking(self.order, self.id, stream=self.stream) as answer:
            self.head = answer.head
            self.waits = False
            for chunk in answer.chunks():
                if self.cancelled.is_set():  # to leave is to cancel
                    raise Refusal("cancelled")
                missing = HEADER_BYTES - len(header)
                header += chunk[:missing]
                if len(header) == HEADER_BYTES and missing > 0:
                    audio_bytes = int.from_bytes(header[-4:], "little")
                self._add(chunk[max(missing, 0) :], audio_bytes)
                if self._pcm and self.first_s is None:
                    self.first_s = time.monotonic()

    def _add(self, content: bytes, audio_bytes: int) -> None:
        """Add bytes after the header: PCM, and from this size on the metadata that follow it."""
        left = audio_bytes - len(self._pcm)
        self._pcm += content[:left]
        self._metadata += content[left:]


def _quietly(action: Callable[[], None]) -> None:
    """Run a call in the background, and ignore that the request has ended or the service is down."""
    try:
        action()
    except Refusal:
        return


def info_chunk(comment: str) -> bytes:
    """Return a RIFF chunk with a comment."""
    text = comment.encode() + b"\x00"
    text += b"\x00" * (len(text) % 2)
    return struct.pack("<4sI4s4sI", b"LIST", 12 + len(text), b"INFO", b"ICMT", len(text)) + text


def wav_header(sample_rate_hz: int, pcm_bytes: int, after_bytes: int = 0) -> bytes:
    """Return the RIFF header of mono 16-bit PCM; a size beyond what it can hold is its largest, as of a live stream.

    `after_bytes`: of the metadata after the PCM.
    """
    size = min(pcm_bytes, 0xFFFFFFFF - 36 - after_bytes)
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF", 36 + size + after_bytes, b"WAVE", b"fmt ", 16, 1, 1, sample_rate_hz, 2 * sample_rate_hz,
        2, 16, b"data", size,
    )  # fmt: skip
