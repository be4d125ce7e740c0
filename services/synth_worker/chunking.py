"""Samples of one sentence to the chunks that travel: 16-bit, in order, none too large.

Pure. Chunk borders follow from the engine's steps alone, so a sentence spoken again has the same chunks.
"""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from services.common.audio.clip import Samples
from services.common.audio.pcm import silence, to_pcm16

_LARGEST_S: Final = 1.0  # 48 kB at 24 kHz: well under NATS's 1 MiB, and a lost one is soon fetched again


@dataclass(frozen=True)
class Chunk:
    """A piece of the sentence."""

    place: int  # from 0
    first_sample: int
    pcm: bytes  # mono, 16-bit little-endian


@dataclass
class Chunking:
    """Cuts what the engine makes of a sentence into chunks, and counts and digests them."""

    sample_rate_hz: int
    chunks: int = 0
    samples: int = 0
    _digest: "sha256" = field(default_factory=sha256)  # type: ignore[valid-type]  # hashlib's types have no names

    def add(self, samples: Samples) -> list[Chunk]:
        """Return the chunks of the next samples (float32 [n], mono, -1..1; n may be 0)."""
        return self._cut(to_pcm16(samples))

    def pause(self, milliseconds: int) -> list[Chunk]:
        """Return the chunks of a silence of this length."""
        return self._cut(to_pcm16(silence(milliseconds, self.sample_rate_hz)))

    @property
    def digest(self) -> str:
        """Return the SHA-256 of all PCM so far, in hex."""
        return self._digest.hexdigest()  # type: ignore[no-any-return, attr-defined]

    def _cut(self, pcm: bytes) -> list[Chunk]:
        self._digest.update(pcm)  # type: ignore[attr-defined]
        size = int(self.sample_rate_hz * _LARGEST_S) * 2
        return [self._chunk(pcm[start : start + size]) for start in range(0, len(pcm), size)]

    def _chunk(self, pcm: bytes) -> Chunk:
        chunk = Chunk(place=self.chunks, first_sample=self.samples, pcm=pcm)
        self.chunks += 1
        self.samples += len(pcm) // 2
        return chunk
