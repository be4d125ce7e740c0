"""The design of a search: the symbols that each reading tries, and the regression on the scores. Pure.

Trying one phone at a time would spend a whole reading of the sentences on each candidate. Here every reading of a
sentence changes all phones at once, at random but balanced, and a regression on the score of each word separates
their effects (a fractional factorial design): each synthesized second informs about every phone in it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

Choice = Mapping[str, str]  # IPA -> symbols, of every phone that is searched
Candidates = Mapping[str, Sequence[str]]  # IPA -> symbols to try; the first is the start

_RIDGE: Final = 1.0  # pseudo-observations of no effect: few observations prove nothing
_NEEDED_ERRORS: Final = 2.0  # standard errors by which a candidate must beat the start
_NEEDED_WORDS: Final = 3  # readings of words with the phone in the candidate


@dataclass(frozen=True)
class WordScore:
    """The log probability, in nats, of one word in one reading."""

    word: tuple[int, int]  # sentence, index in it
    ipa: str
    choice: Choice
    score: float


@dataclass(frozen=True)
class Effect:
    """A candidate against the start of its phone."""

    ipa: str
    symbols: str
    nats: float  # more log probability for a word with the phone
    error: float  # standard error
    words: int  # observed


def choices(candidates: Candidates, sentences: int, readings: int, seed: int) -> list[list[Choice]]:
    """Return the symbols of each reading of each sentence: [reading][sentence].

    A sentence meets the candidates of a phone in turn, starting anywhere.
    """
    draw = np.random.default_rng(seed)
    offsets = {ipa: draw.integers(len(of), size=sentences) for ipa, of in candidates.items()}
    return [
        [
            {ipa: of[(offsets[ipa][sentence] + n) % len(of)] for ipa, of in candidates.items()}
            for sentence in range(sentences)
        ]
        for n in range(readings)
    ]


def phones_in(ipa: str, keys: Sequence[str]) -> frozenset[str]:
    """Return which of `keys` are replaced in a word: the longest first, as the engine does."""
    longest_first = sorted(keys, key=lambda key: (-len(key), key))
    return frozenset(re.findall("|".join(map(re.escape, longest_first)), ipa))


def effects(candidates: Candidates, scores: Sequence[WordScore]) -> list[Effect]:
    """Estimate every candidate's effect on the words that hold its phone, all at once.

    Ridge regression with a constant for each word, so that only readings of the same word are compared.
    """
    columns = [(ipa, symbols) for ipa, of in candidates.items() for symbols in of[1:]]
    keys = list(candidates)
    present = [phones_in(one.ipa, keys) for one in scores]
    inputs = np.array(
        [
            [float(ipa in phones and one.choice[ipa] == symbols) for ipa, symbols in columns]
            for one, phones in zip(scores, present, strict=True)
        ]
    )
    groups: dict[tuple[int, int], list[int]] = {}
    for index, one in enumerate(scores):
        groups.setdefault(one.word, []).append(index)
    outputs = np.array([one.score for one in scores])
    seen = inputs.sum(axis=0)
    for rows in groups.values():
        inputs[rows] -= inputs[rows].mean(axis=0)
        outputs[rows] -= outputs[rows].mean()
    inverse = np.linalg.inv(inputs.T @ inputs + _RIDGE * np.eye(len(columns)))
    found = inverse @ inputs.T @ outputs
    freedom = max(len(outputs) - len(groups) - len(columns), 1)
    variance = float(((outputs - inputs @ found) ** 2).sum()) / freedom
    errors = np.sqrt(variance * np.diag(inverse))
    return [
        Effect(ipa, symbols, float(nats), float(error), int(words))
        for (ipa, symbols), nats, error, words in zip(columns, found, errors, seen, strict=True)
    ]


def best(found: Sequence[Effect]) -> dict[str, Effect]:
    """Return the candidate to propose for each phone, where one is clearly better than the start."""
    chosen: dict[str, Effect] = {}
    for effect in found:
        clearly = effect.nats > _NEEDED_ERRORS * effect.error and effect.words >= _NEEDED_WORDS
        better = effect.ipa not in chosen or effect.nats > chosen[effect.ipa].nats
        if clearly and better:
            chosen[effect.ipa] = effect
    return chosen
