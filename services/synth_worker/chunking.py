"""Cuts the samples of one sentence into the chunks that are published: 16-bit PCM, at most one second each. Pure.

The cuts depend only on the engine's steps, so a sentence that is synthesized again has the same chunks.
"""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from services.common.audio.clip import Samples
from services.common.audio.fingerprint.words import SentenceFingerprint
from services.common.audio.pcm import silence, to_pcm16

# 48 kB at 24 kHz: well below the 1 MiB limit of NATS, and cheap to fetch again if lost
_LARGEST_S: Final = 1.0


@dataclass(frozen=True)
class Chunk:
    """A part of a sentence's audio."""

    index: int  # from 0
    first_sample: int
    pcm: bytes  # mono, 16-bit little-endian


@dataclass
class Chunking:
    """Cuts the samples of a sentence into chunks; counts and hashes them."""

    sample_rate_hz: int
    fingerprint: SentenceFingerprint | None = None  # that the samples are added to
    chunks: int = 0
    samples: int = 0
    _digest: "sha256" = field(default_factory=sha256)  # type: ignore[valid-type]  # hashlib's types have no names

    def add(self, samples: Samples) -> list[Chunk]:
        """Return the chunks of the next samples (float32 [n], mono, -1..1; n may be 0)."""
        return self._cut(samples)

    def pause(self, milliseconds: int) -> list[Chunk]:
        """Return the chunks of this much silence."""
        return self._cut(silence(milliseconds, self.sample_rate_hz))

    @property
    def digest(self) -> str:
        """Return the SHA-256 of all PCM so far, in hexadecimal."""
        return self._digest.hexdigest()  # type: ignore[no-any-return, attr-defined]

    def _cut(self, samples: Samples) -> list[Chunk]:
        if self.fingerprint is not None:
            self.fingerprint.push(samples)
        pcm = to_pcm16(samples)
        self._digest.update(pcm)  # type: ignore[attr-defined]
        size = int(self.sample_rate_hz * _LARGEST_S) * 2
        return [self._chunk(pcm[start : start + size]) for start in range(0, len(pcm), size)]

    def _chunk(self, pcm: bytes) -> Chunk:
        chunk = Chunk(index=self.chunks, first_sample=self.samples, pcm=pcm)
        self.chunks += 1
        self.samples += len(pcm) // 2
        return chunk
