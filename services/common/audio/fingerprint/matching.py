"""Looks a recording up among the fingerprints of sentences. Pure.

How it works. A sentence is a candidate where one of its words equals a word of the recording; words of the recording
are also tried with their least clear bits changed. A candidate gives an alignment of the two, and all words that
overlap are compared under it. By chance about half of the bits differ; a low share is the less likely, the more
words are compared, so a match needs enough of them. `benchmarks/provenance.py` measures both.

Source: Haitsma and Kalker, "A Highly Robust Audio Fingerprinting System", ISMIR 2002.
"""

import itertools
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.common.audio.clip import Clip
from services.common.audio.fingerprint.words import BITS, HOP, RATE_HZ, Words, lookup_words

LEAST_WORDS: Final = 30  # that overlap, without quiet ones: 0.7 s
LIMIT: Final = 0.2  # of the share of bits that differ
_CHANGED_BITS: Final = 2  # of a word: it is looked up with any of these changed
_MOST_ALIGNMENTS: Final = 6  # compared of a sentence
_MOST_HITS: Final = 200_000  # of one page: more are those of words that occur everywhere
HALF_HOP_S: Final = HOP / 2 / RATE_HZ


class Match(NamedTuple):
    """The position of a sentence in a recording."""

    sentence: int  # index among those that were compared
    start_s: float  # of the sentence's first sample, in the recording; negative: before it
    seconds: float  # of the part that overlaps
    difference: float  # share of bits that differ
    words: int  # that were compared


class Lookup:
    """One recording, to be compared with many sentences."""

    def __init__(self, clip: Clip) -> None:
        self._words, clarity = lookup_words(clip)
        keys, positions = _keys(self._words, clarity)
        order = np.argsort(keys, kind="stable")
        self._keys = keys[order]
        self._positions = positions[order]

    def matches(self, sentences: Sequence[Words]) -> list[Match]:
        """Return the best match of each sentence that is in the recording."""
        return [match for match in self.candidates(sentences) if is_match(match)]

    def candidates(self, sentences: Sequence[Words]) -> list[Match]:
        """Return the best alignment of each sentence that has any."""
        lengths = [len(words) for words in sentences]
        if not sum(lengths) or not len(self._keys):
            return []
        owners = np.repeat(np.arange(len(sentences)), lengths)
        indexes = np.concatenate([np.arange(length) for length in lengths])
        first, count = self._equal(np.concatenate(sentences))
        if count.sum() > _MOST_HITS:
            first, count = _rarest(first, count)
        hits = np.repeat(first, count) + _ranges(count)
        alignments = self._positions[hits] - 2 * np.repeat(indexes, count)
        found: list[Match] = []
        for owner, aligned in _grouped(np.repeat(owners, count), alignments):
            found.append(
                min(
                    (self._compared(owner, sentences[owner], int(one)) for one in aligned),
                    key=_rank,
                )
            )
        return found

    def _equal(self, words: Words) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the first key that equals each word, and how many do."""
        first = np.searchsorted(self._keys, words, side="left")
        count = np.searchsorted(self._keys, words, side="right") - first
        return first, np.where(words == 0, 0, count)

    def _compared(self, owner: int, words: Words, alignment: int) -> Match:
        """Compare a sentence whose first word is at this position of the recording."""
        begin = max(0, -(alignment // 2)) if alignment < 0 else 0
        end = min(len(words), (len(self._words) - 1 - alignment) // 2 + 1)
        own = words[begin:end]
        other = self._words[alignment + 2 * begin : alignment + 2 * end : 2][: len(own)]
        spoken = own != 0
        compared = int(spoken.sum())
        wrong = int(np.bitwise_count(own[spoken] ^ other[spoken]).sum())
        return Match(
            sentence=owner,
            start_s=alignment * HALF_HOP_S,
            seconds=len(own) * 2 * HALF_HOP_S,
            difference=wrong / max(1, compared * BITS),
            words=compared,
        )


def is_match(match: Match) -> bool:
    """Return whether so few bits differ in so many words that it is not by chance."""
    return match.words >= LEAST_WORDS and match.difference <= LIMIT


def _rank(match: Match) -> tuple[bool, float]:
    return not is_match(match), match.difference


def _keys(words: Words, clarity: NDArray[np.float32]) -> tuple[Words, NDArray[np.int64]]:
    """Return the words under which each position is found, and the positions."""
    places = np.flatnonzero(words)
    unclear = np.argsort(clarity[places], axis=1)[:, :_CHANGED_BITS].astype(np.uint32)
    masks = np.uint32(1) << unclear
    keys = []
    for chosen in itertools.product((0, 1), repeat=_CHANGED_BITS):
        change = (masks * np.array(chosen, dtype=np.uint32)).sum(axis=1).astype(np.uint32)
        keys.append(words[places] ^ change)
    return np.concatenate(keys), np.tile(places, len(keys))


def _ranges(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return 0..n-1 for each count, one after the other."""
    starts = np.cumsum(counts) - counts
    return np.arange(int(counts.sum())) - np.repeat(starts, counts)


def _rarest(
    first: NDArray[np.int64], count: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Leave out the words with the most hits, so that `_MOST_HITS` are left."""
    order = np.argsort(count, kind="stable")
    kept = np.zeros(len(count), dtype=bool)
    kept[order[np.cumsum(count[order]) <= _MOST_HITS]] = True
    return first, np.where(kept, count, 0)


def _grouped(
    owners: NDArray[np.int64], alignments: NDArray[np.int64]
) -> list[tuple[int, NDArray[np.int64]]]:
    """Return the alignments of each sentence with the most hits."""
    if not len(owners):
        return []
    pairs, votes = np.unique(np.stack([owners, alignments], axis=1), axis=0, return_counts=True)
    groups = []
    for owner in np.unique(pairs[:, 0]):
        own = pairs[:, 0] == owner
        best = np.argsort(-votes[own], kind="stable")[:_MOST_ALIGNMENTS]
        groups.append((int(owner), pairs[own, 1][best]))
    return groups
