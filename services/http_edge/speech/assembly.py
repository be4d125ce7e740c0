"""Assembles a request's events, in any order and repeated, into its audio in text order, each sample once.

How it works

A chunk of audio has a position: the index of its sentence, and its index within the sentence. The assembly tracks the
next position to play. `receive` stores the event, and then releases as many chunks as are available from that position
on. A chunk before the position, or one that is held already, is a duplicate and is ignored: a redelivered sentence, and
another attempt at the request, publish the same samples under the same positions.

Chunks that arrive early are held in memory up to `_HELD_BYTES`. The excess is dropped, and reported by `missing` when
its turn comes; the caller then fetches it from the stream by position.

A sentence is complete when its end marker has been received and all of its chunks are released. The marker has the
SHA-256 of the samples: if the released samples differ, two attempts were mixed, and the request fails with
`inconsistent_audio`. It also has the number of sentences in the text, which must be the same in every event.

An engine that does not promise equal samples marks its chunks as `varies`. Of a sentence with such chunks only those of
one attempt are used: of the one in the end marker, before that of the latest. While nothing of the sentence was
released, another attempt replaces what is held; afterwards the request fails with `inconsistent_audio`, at the seam.
With `whole_sentences` a sentence is released only when it is complete, so that it can always be replaced.

Pure: no waiting and no clock, so a property test can feed it events in every order that a network could produce.
"""

from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from typing import Final, NamedTuple

from services.common.wire.messages import (
    AudioChunk,
    RequestEvent,
    SentenceSpoken,
    SpeechFailed,
    TextSplit,
)
from services.http_edge.errors import InconsistentAudio

# of early audio; the excess is fetched again when its turn comes
_HELD_BYTES: Final = 8 * 1024 * 1024
_DIFFERING: Final = "two attempts at this sentence differ; send it again"


class AudioPosition(NamedTuple):
    """A position in the request's audio: a sentence and a chunk."""

    sentence: int
    chunk: int | None  # None: the sentence's end marker


class _Source(NamedTuple):
    """An attempt at a sentence: a delivery of it, for a publication of the request."""

    request: str
    attempt: int

    @classmethod
    def of(cls, event: AudioChunk | SentenceSpoken) -> "_Source":
        return cls(event.request, event.attempt)

    def follows(self, other: "_Source") -> bool:
        """Return whether this is a later delivery; two publications have no order."""
        return self.request == other.request and self.attempt > other.attempt


@dataclass
class Assembly:
    """Assembles the audio of one request.

    `receive` returns the PCM (mono, 16-bit little-endian) that can be played next, in order. The assembly is `complete`
    when every sentence is complete; `failure` is set if it can no longer complete.
    """

    first_sentence: int = 0  # audio before it is ignored
    whole_sentences: bool = False  # of chunks that vary, release no part of a sentence
    sentences: int | None = None  # in the text; None: unknown so far
    sample_rate_hz: int = 0  # 0 until the first chunk
    samples: int = 0  # returned so far
    failure: SpeechFailed | None = None
    split: TextSplit | None = None  # the segmentation of the text; None: unknown so far
    _sentence: int = 0  # the next position to play
    _chunk: int = 0
    _digest: "sha256" = field(default_factory=sha256)  # type: ignore[valid-type]  # hashlib's types have no names
    _held: dict[tuple[int, int], AudioChunk] = field(default_factory=dict)
    _held_bytes: int = 0
    _sources: dict[int, "_Source"] = field(
        default_factory=dict
    )  # of sentences with chunks that vary
    _ends: dict[int, SentenceSpoken] = field(default_factory=dict)
    # end markers of the returned sentences
    spoken: list[SentenceSpoken] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._sentence = self.first_sentence

    @property
    def sentence(self) -> int:
        """Return the index of the sentence that is played next."""
        return self._sentence

    @property
    def complete(self) -> bool:
        """Return whether every sample of every sentence was returned."""
        return self.sentences is not None and self._sentence >= self.sentences

    def receive(self, event: RequestEvent) -> list[bytes]:
        """Store an event, which may be early, late or repeated; return the PCM that can now be played, in order."""
        if isinstance(event, AudioChunk):
            self.sample_rate_hz = event.sample_rate_hz
            if event.varies is not True or self._is_of_source(event):
                self._hold(event)
        elif isinstance(event, SentenceSpoken):
            self._agree(event, event.sentences)
            self._ends.setdefault(event.sentence, event)
            if event.sentence in self._sources:
                self._choose(self._ends[event.sentence])
        elif isinstance(event, TextSplit):
            self._agree(event, len(event.sentences))
            self.split = event
        elif self.failure is None:
            self.failure = event
        return self._release()

    def missing(self, most: int = 16) -> list[AudioPosition]:
        """Return up to `most` missing positions, nearest first: what to fetch when no more events arrive."""
        if self.complete:
            return []

        end = self._ends.get(self._sentence)
        if end is None:
            return [AudioPosition(self._sentence, self._chunk), AudioPosition(self._sentence, None)]

        lacking = (
            chunk
            for chunk in range(self._chunk, end.chunks)
            if (self._sentence, chunk) not in self._held
        )
        return [AudioPosition(self._sentence, chunk) for chunk in islice(lacking, most)]

    def needs(self, sentence: int) -> int | None:
        """Return the index of the next chunk of a sentence to play; None if it is available or was played."""
        chunk = self._chunk if sentence == self._sentence else 0
        return None if sentence < self._sentence or (sentence, chunk) in self._held else chunk

    def _agree(self, event: SentenceSpoken | TextSplit, sentences: int) -> None:
        """Note the number of sentences of the text; fail if it differs from an earlier event's."""
        if self.sentences not in (None, sentences) and self.failure is None:
            self.failure = inconsistent(
                event, "two attempts divide the text differently; send it again"
            )
        self.sentences = sentences

    def _is_of_source(self, chunk: AudioChunk) -> bool:
        """Return whether a chunk that varies is of the attempt whose chunks are used; a later attempt becomes it."""
        if chunk.sentence < self._sentence:
            return False

        source = _Source.of(chunk)
        end = self._ends.get(chunk.sentence)
        used = self._sources.setdefault(chunk.sentence, source if end is None else _Source.of(end))
        if source == used:
            return True

        if not source.follows(used):
            return False

        if end is None:
            self._choose(chunk)
            return self._sources.get(chunk.sentence) == source

        if (chunk.sentence, chunk.chunk) == (self._sentence, self._chunk):
            self._fail_mixed(chunk)  # it has replaced the stored chunk that is missing
        return False

    def _choose(self, event: AudioChunk | SentenceSpoken) -> None:
        """Use this attempt at a sentence; fail if a part of another one was released."""
        source = _Source.of(event)
        if self._sources.get(event.sentence) in (None, source):
            return

        if event.sentence == self._sentence and self._chunk:
            self._fail_mixed(event)
            return

        self._sources[event.sentence] = source
        for position in [each for each in self._held if each[0] == event.sentence]:
            self._held_bytes -= len(self._held.pop(position).pcm)

    def _fail_mixed(self, event: AudioChunk | SentenceSpoken) -> None:
        if self.failure is None:
            self.failure = inconsistent(event, _DIFFERING, event.sentence)

    def _is_whole(self) -> bool:
        """Return whether the sentence that is played next may be released."""
        if not self.whole_sentences or self._sentence not in self._sources:
            return True
        end = self._ends.get(self._sentence)
        return end is not None and all(
            (self._sentence, chunk) in self._held for chunk in range(self._chunk, end.chunks)
        )

    def _hold(self, chunk: AudioChunk) -> None:
        position = (chunk.sentence, chunk.chunk)
        next_position = (self._sentence, self._chunk)

        if position < next_position or position in self._held:
            return  # a duplicate

        retained = position == next_position or (
            self.whole_sentences and position[0] == self._sentence
        )
        if not retained and self._held_bytes + len(chunk.pcm) > _HELD_BYTES:
            return

        self._held[position] = chunk
        self._held_bytes += len(chunk.pcm)

    def _release(self) -> list[bytes]:
        """Return the chunks that can be played now, across sentences."""
        released: list[bytes] = []
        while self.failure is None and self._is_whole():
            chunk = self._held.pop((self._sentence, self._chunk), None)
            if chunk is not None:
                released.append(chunk.pcm)
                self._held_bytes -= len(chunk.pcm)
                self._count(chunk.pcm)
            elif not self._finish_sentence():
                break
        return released

    def _count(self, pcm: bytes) -> None:
        self._chunk += 1
        self.samples += len(pcm) // 2
        self._digest.update(pcm)  # type: ignore[attr-defined]

    def _finish_sentence(self) -> bool:
        """Advance to the next sentence if this one is complete."""
        end = self._ends.get(self._sentence)
        if end is None or self._chunk < end.chunks:
            return False

        if self._digest.hexdigest() != end.digest:  # type: ignore[attr-defined]
            self.failure = inconsistent(end, _DIFFERING, end.sentence)
            return False

        self.spoken.append(self._ends.pop(self._sentence))
        self._sources.pop(self._sentence, None)
        self._sentence += 1
        self._chunk = 0
        self._digest = sha256()
        return True


def inconsistent(event: RequestEvent, detail: str, sentence: int | None = None) -> SpeechFailed:
    """Return the failure of a request whose attempts do not fit together; it is retryable."""
    return SpeechFailed(
        request=event.request,
        sentence=sentence,
        code=InconsistentAudio.code,
        detail=detail,
        retryable=True,
    )
