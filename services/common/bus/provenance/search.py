"""Looks a recording up in the log of one tenant, newest entries first, within a time limit."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

from services.common.audio.clip import Clip
from services.common.audio.fingerprint.matching import Lookup
from services.common.audio.fingerprint.words import words_of
from services.common.audio.pcm import to_pcm16
from services.common.bus import topology
from services.common.bus.ports import Bus, Stored
from services.common.bus.provenance.exact import ExactSentences
from services.common.runtime.deadline import Deadline
from services.common.wire import codec, subjects
from services.common.wire.failures import MalformedMessage
from services.common.wire.provenance import LoggedSentence, ProvenanceEntry

_MOST_FOUND: Final = 200
_NEWEST_SPAN_S: Final = 900.0
_LONGEST_SPAN_S: Final = 24 * 3600.0


@dataclass(frozen=True)
class FoundSentence:
    """A sentence of the log that is in the recording."""

    sentence: LoggedSentence
    start_s: float  # of its first sample, in the recording; negative: before it
    seconds: float  # of it that are in the recording
    difference: float  # share of the fingerprint's bits that differ
    exact: bool  # its samples are in the recording, unchanged


@dataclass(frozen=True)
class SearchResult:
    """The sentences that were found, in the order of the recording; of those with equal audio the newest first."""

    found: tuple[FoundSentence, ...]
    complete: bool  # whether the whole log was searched
    since_unix_s: float  # sentences since then were searched


class _Span(NamedTuple):
    """A page of entries, and since when all newer ones were searched before it."""

    page: list[Stored]
    searched_since_unix_s: float


@dataclass(frozen=True)
class ProvenanceSearch:
    """Searches logs. A search ends after `limit_s`, or with 200 sentences."""

    bus: Bus
    limit_s: float = 20.0

    async def search(
        self, tenant: str, recording: Clip, until_unix_s: float | None = None
    ) -> SearchResult:
        """Return the sentences of a tenant that are in a recording, spoken before a time. Raises BusUnavailable."""
        give_up = Deadline.after(self.limit_s)
        lookup = await asyncio.to_thread(_Recording, recording)
        until = time.time() if until_unix_s is None else until_unix_s
        found: dict[tuple[str, int, str], FoundSentence] = {}
        complete = True
        async for span in self._spans(tenant, until):
            new = await asyncio.to_thread(lookup.found_in, span.page)
            found |= {_key(one): one for one in new if _key(one) not in found}
            if give_up.passed or len(found) >= _MOST_FOUND:
                complete = False
                until = span.searched_since_unix_s
                break
        ordered = sorted(
            found.values(), key=lambda one: (one.start_s, -one.sentence.spoken_unix_ms)
        )
        return SearchResult(tuple(ordered[:_MOST_FOUND]), complete, until)

    async def _spans(self, tenant: str, until_unix_s: float) -> AsyncIterator[_Span]:
        """Yield the pages of the log by spans of time, the newest span first. Each is longer than the one after it."""
        subject = subjects.provenance(tenant)
        first = await self.bus.page(topology.PROVENANCE, subject, after=0)
        end = until_unix_s
        length_s = _NEWEST_SPAN_S
        while first and end > first[0].unix_s:
            begin = end - length_s
            after = 0
            while page := await self.bus.page(
                topology.PROVENANCE, subject, after=after, since_unix_s=begin
            ):
                yield _Span([stored for stored in page if stored.unix_s < end], end)
                if page[-1].unix_s >= end:
                    break
                after = page[-1].number
            end = begin
            length_s = min(2 * length_s, _LONGEST_SPAN_S)


class _Recording:
    """The recording that is looked up, and what was computed from it."""

    def __init__(self, clip: Clip) -> None:
        pcm = to_pcm16(clip.samples)
        self._seconds = clip.seconds
        self._digest = sha256(pcm).hexdigest()
        self._lookup = Lookup(clip)
        self._exact = ExactSentences(pcm, clip.sample_rate_hz)

    def found_in(self, page: Sequence[Stored]) -> list[FoundSentence]:
        """Return the sentences of a page that are in the recording."""
        sentences = [sentence for stored in page for sentence in _sentences(stored)]
        words = [words_of(sentence.fingerprint) for sentence in sentences]
        found = []
        for match in sorted(self._lookup.matches(words), key=lambda match: match.start_s):
            sentence = sentences[match.sentence]
            start = self._exact.start_of(sentence, match.start_s)
            found.append(
                FoundSentence(
                    sentence=sentence,
                    start_s=match.start_s if start is None else start / sentence.sample_rate_hz,
                    seconds=self._overlap_s(sentence, match.start_s),
                    difference=match.difference,
                    exact=start is not None,
                )
            )
        matched = {_key(one) for one in found}
        whole = [sentence for sentence in sentences if sentence.digest == self._digest]
        found += [
            FoundSentence(sentence, 0.0, self._seconds, 0.0, True)
            for sentence in whole
            if (sentence.request, sentence.sentence, sentence.digest) not in matched
        ]
        return found

    def _overlap_s(self, sentence: LoggedSentence, start_s: float) -> float:
        end_s = start_s + sentence.samples / sentence.sample_rate_hz
        return max(0.0, min(end_s, self._seconds) - max(0.0, start_s))


def _sentences(stored: Stored) -> tuple[LoggedSentence, ...]:
    try:
        return codec.decode(stored.payload, ProvenanceEntry).sentences
    except MalformedMessage:
        return ()  # `verify` reports it


def _key(found: FoundSentence) -> tuple[str, int, str]:
    return found.sentence.request, found.sentence.sentence, found.sentence.digest
