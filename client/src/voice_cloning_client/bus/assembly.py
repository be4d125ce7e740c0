"""Puts the audio of one request in order. Pure.

How it works. Events arrive in any order, repeatedly, or not at all. A chunk is stored until it is
next by (sentence, chunk); a chunk that is already delivered is dropped, as the same index always
has the same samples, also under another request id. At the end of a sentence the digest of its
samples is compared with that of the worker. `missing` names what to read from the stream.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from voice_cloning_client.errors import IncompleteAudio


class Assembly:
    """The audio of one request, in order."""

    def __init__(self) -> None:
        """Expect the first chunk."""
        self.sentence = 0
        self.chunk = 0
        self.sentences: int | None = None
        self.sample_rate_hz: int | None = None
        self.delivered_bytes = 0
        self._chunks: dict[tuple[int, int], bytes] = {}
        self._ends: dict[int, tuple[int, str]] = {}  # sentence -> its chunks, its digest
        self._digest = sha256()  # of the sentence so far

    @property
    def complete(self) -> bool:
        """Return whether every sample was delivered."""
        return self.sentences is not None and self.sentence >= self.sentences

    @property
    def has_end(self) -> bool:
        """Return whether the next sentence is synthesized, so its chunks are or were stored."""
        return self.sentence in self._ends

    def missing(self) -> list[str]:
        """Return the ends of the subjects of what is next."""
        chunk = f"{self.sentence}.{self.chunk}"
        return [chunk] if self.has_end else [chunk, f"{self.sentence}.end"]

    def add(self, event: Mapping[str, Any]) -> None:
        """Take an AudioChunk or a SentenceSpoken; other events and repetitions change nothing."""
        sentence = event.get("sentence")
        if not isinstance(sentence, int) or sentence < self.sentence:
            return

        if event.get("type") == "AudioChunk":
            index = (sentence, int(event["chunk"]))
            if index >= (self.sentence, self.chunk):
                self.sample_rate_hz = int(event["sample_rate_hz"])
                self._chunks.setdefault(index, bytes(event["pcm"]))

        if event.get("type") == "SentenceSpoken":
            self.sentences = int(event["sentences"])
            self._ends[sentence] = (int(event["chunks"]), str(event["digest"]))

    def ready(self) -> Iterator[bytes]:
        """Yield the samples that are next. Raises IncompleteAudio if a digest differs."""
        while True:
            count, digest = self._ends.get(self.sentence, (None, ""))

            if self.chunk == count:
                self._finish_sentence(digest)
                continue

            pcm = self._chunks.pop((self.sentence, self.chunk), None)
            if pcm is None:
                return

            self._digest.update(pcm)
            self.chunk += 1
            self.delivered_bytes += len(pcm)
            yield pcm

    def _finish_sentence(self, digest: str) -> None:
        if digest and digest != self._digest.hexdigest():
            raise IncompleteAudio(
                f"the samples of sentence {self.sentence} differ from their digest",
                received_bytes=self.delivered_bytes,
            )

        del self._ends[self.sentence]
        self.sentence += 1
        self.chunk = 0
        self._digest = sha256()
