"""The plan: which sentences are spoken in which voice and language. Pure."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SENTENCES: Final = Path(__file__).with_name("sentences.toml")
_HELD_OUT: Final = Path(__file__).with_name("held_out.toml")
_VOICES_A_LANGUAGE: Final = 5  # of two sentences each: ten sentences per language
EVERYBODY: Final = "en"  # the language that every target speaks, so that all of them are measured


@dataclass(frozen=True)
class Saying:
    """Two sentences of one language in one voice: long enough to identify the speaker."""

    language: str
    target: str  # the speaker whose voice is cloned
    sentences: tuple[int, ...]  # places in the language's list


def sentences(*, held_out: bool = False) -> dict[str, list[str]]:
    """Return the sentences of every language, in the languages' order.

    Settings are chosen on the usual ones; `held_out` returns those for judging.
    """
    file = _HELD_OUT if held_out else _SENTENCES
    return tomllib.loads(file.read_text(encoding="utf-8"))


def plan(languages: Sequence[str], targets: Sequence[str], *, quick: bool = False) -> list[Saying]:
    """Assign English to every target; the other languages take turns with the targets, five voices each.

    `quick`: three voices at most and one pair of sentences a language.
    """
    order = list(sentences())
    count = 1 if quick else len(sentences()[EVERYBODY]) // 2
    sayings = []
    for language in languages:
        turn = order.index(language)  # so that a choice of languages changes no other assignment
        if quick:
            chosen = list(targets[:3])
        elif language == EVERYBODY or len(targets) <= _VOICES_A_LANGUAGE:
            chosen = list(targets)
        else:
            chosen = [
                targets[(turn * _VOICES_A_LANGUAGE + n) % len(targets)]
                for n in range(_VOICES_A_LANGUAGE)
            ]
        voices = max(len(chosen), count)
        for n in range(voices):
            pair = (2 * (n % count), 2 * (n % count) + 1)
            sayings.append(Saying(language, chosen[n % len(chosen)], pair))
    return sayings
