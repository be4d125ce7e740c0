"""Turns a request's events, in any order and repeated, into its audio in text order, each sample once.

Pure: no waiting and no clock, so that a property test can feed it every order that a network could.
"""

from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from typing import Final, NamedTuple

from services.common.wire.messages import AudioChunk, RequestEvent, SentenceSpoken, SpeechFailed, TextSplit

_HELD_BYTES: Final = 8 * 1024 * 1024  # audio that came early; the excess is fetched again when its turn comes


class AudioPosition(NamedTuple):
    """A position in the request's audio: a sentence and a chunk."""

    sentence: int
    chunk: int | None  # None: the sentence's end marker


@dataclass
class Assembly:
    """Assembles the audio of one request.

    `receive` returns the PCM (mono, 16-bit little-endian) that can be played on, in order. It is `complete` when every
    sentence is complete, and `failure` is set if it never will be.
    """

    first_sentence: int = 0  # what is before it is not wanted
    sentences: int | None = None  # how many the text has, once known
    sample_rate_hz: int = 0  # 0 until a chunk came
    samples: int = 0  # returned so far
    failure: SpeechFailed | None = None
    split: TextSplit | None = None  # how the text is divided, once known
    _sentence: int = 0  # whose turn it is
    _chunk: int = 0
    _digest: "sha256" = field(default_factory=sha256)  # type: ignore[valid-type]  # hashlib's types have no names
    _held: dict[tuple[int, int], AudioChunk] = field(default_factory=dict)
    _held_bytes: int = 0
    _ends: dict[int, SentenceSpoken] = field(default_factory=dict)
    spoken: list[SentenceSpoken] = field(default_factory=list)  # in text order, as far as the audio is returned

    def __post_init__(self) -> None:
        self._sentence = self.first_sentence

    @property
    def sentence(self) -> int:
        """Return the sentence whose turn it is."""
        return self._sentence

    @property
    def complete(self) -> bool:
        """Return whether every sample of every sentence was returned."""
        return self.sentences is not None and self._sentence >= self.sentences

    def receive(self, event: RequestEvent) -> list[bytes]:
        """Take an event, first, late, early or repeated; return what can now be played, in order."""
        if isinstance(event, AudioChunk):
            self.sample_rate_hz = event.sample_rate_hz
            self._hold(event)
        elif isinstance(event, SentenceSpoken):
            self._agree(event, event.sentences)
            self._ends.setdefault(event.sentence, event)
        elif isinstance(event, TextSplit):
            self._agree(event, len(event.sentences))
            self.split = event
        elif self.failure is None:
            self.failure = event
        return self._release()

    def missing(self, most: int = 16) -> list[AudioPosition]:
        """Return what has to come next and has not, nearest first: what to fetch when the bus falls silent."""
        if self.complete:
            return []
        end = self._ends.get(self._sentence)
        if end is None:
            return [AudioPosition(self._sentence, self._chunk), AudioPosition(self._sentence, None)]
        lacking = (chunk for chunk in range(self._chunk, end.chunks) if (self._sentence, chunk) not in self._held)
        return [AudioPosition(self._sentence, chunk) for chunk in islice(lacking, most)]

    def needs(self, sentence: int) -> int | None:
        """Return the next chunk of a sentence to be played, or None where it is here already."""
        chunk = self._chunk if sentence == self._sentence else 0
        return None if sentence < self._sentence or (sentence, chunk) in self._held else chunk

    def _agree(self, event: SentenceSpoken | TextSplit, sentences: int) -> None:
        """Note the number of sentences of the text; fail if it differs from an earlier event's."""
        if self.sentences not in (None, sentences) and self.failure is None:
            self.failure = inconsistent(event, "two attempts divide the text differently; send it again")
        self.sentences = sentences

    def _hold(self, chunk: AudioChunk) -> None:
        place = (chunk.sentence, chunk.chunk)
        is_next = place == (self._sentence, self._chunk)
        if place < (self._sentence, self._chunk) or place in self._held:
            return  # a redelivered sentence repeats itself: place decides, not arrival
        if not is_next and self._held_bytes + len(chunk.pcm) > _HELD_BYTES:
            return
        self._held[place] = chunk
        self._held_bytes += len(chunk.pcm)

    def _release(self) -> list[bytes]:
        """Return what has its turn, sentence after sentence."""
        released: list[bytes] = []
        while self.failure is None:
            chunk = self._held.pop((self._sentence, self._chunk), None)
            if chunk is not None:
                released.append(chunk.pcm)
                self._held_bytes -= len(chunk.pcm)
                self._count(chunk.pcm)
            elif not self._turn_page():
                break
        return released

    def _count(self, pcm: bytes) -> None:
        self._chunk += 1
        self.samples += len(pcm) // 2
        self._digest.update(pcm)  # type: ignore[attr-defined]

    def _turn_page(self) -> bool:
        """Advance to the next sentence if this one is complete."""
        end = self._ends.get(self._sentence)
        if end is None or self._chunk < end.chunks:
            return False
        if self._digest.hexdigest() != end.digest:  # type: ignore[attr-defined]
            self.failure = inconsistent(end, "two attempts at this sentence differ; send it again", end.sentence)
            return False
        self.spoken.append(self._ends.pop(self._sentence))
        self._sentence, self._chunk, self._digest = self._sentence + 1, 0, sha256()
        return True


def inconsistent(event: RequestEvent, detail: str, sentence: int | None = None) -> SpeechFailed:
    """Return the failure of a request whose attempts do not make one speech; sent again, it may."""
    return SpeechFailed(
        request=event.request, sentence=sentence, code="inconsistent_audio", detail=detail, retryable=True
    )
