"""Finds a logged sentence in a recording sample by sample, by its digest. Pure."""

from hashlib import sha256
from typing import Final

from services.common.wire.provenance import LoggedSentence

_SAMPLE_BYTES: Final = 2
_AROUND_S: Final = 0.012  # the fingerprint's position can be off by so much
_MOST_HASHED: Final = 256 * 1024 * 1024  # bytes for one recording: a fraction of a second


class ExactSentences:
    """The PCM of a recording.

    A fingerprint gives the beginning of a sentence to within a few milliseconds, so its digest is compared at every
    offset around. Sentences follow one another without a gap, so the end of one that was found is tried first.
    """

    def __init__(self, pcm: bytes, sample_rate_hz: int) -> None:
        """`pcm`: mono, 16-bit little-endian."""
        self._pcm = memoryview(pcm)
        self._rate_hz = sample_rate_hz
        self._likely = {0}  # samples at which a sentence may begin
        self._left = _MOST_HASHED
        self._starts: dict[str, int] = {}  # of the sentences that were found, by digest

    def start_of(self, sentence: LoggedSentence, about_s: float) -> int | None:
        """Return the sentence's first sample in the recording; None if its samples are not all there, unchanged."""
        if sentence.sample_rate_hz != self._rate_hz:
            return None
        known = self._starts.get(sentence.digest)
        if known is not None:
            return known
        middle = round(about_s * self._rate_hz)
        around = round(_AROUND_S * self._rate_hz)
        likely = [start for start in self._likely if abs(start - middle) <= around]
        starts: list[int] = [*likely, *range(middle - around, middle + around + 1)]
        for start in starts:
            if self._is_at(sentence, start):
                self._likely.add(start + sentence.samples)
                self._starts[sentence.digest] = start
                return start
        return None

    def _is_at(self, sentence: LoggedSentence, start: int) -> bool:
        size = sentence.samples * _SAMPLE_BYTES
        first = start * _SAMPLE_BYTES
        if start < 0 or first + size > len(self._pcm) or size > self._left:
            return False
        self._left -= size
        return sha256(self._pcm[first : first + size]).hexdigest() == sentence.digest
