"""What the normalizer rewrites in a language's prose: counted by rule, and the same few of each rule in every run.

A sample is the rewrites whose rule and context have the smallest digests. So it is evenly drawn, and after a change of
the code most of it is what it was: verdicts stay usable.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import Final

import regex

from benchmarks.prose.corpus import stored
from benchmarks.prose.paragraphs import UNSPACED, digest, words
from services.splitter.spoken.alignment import Aligned, Edit
from services.splitter.spoken.characters import cleaned
from services.splitter.spoken.markup import bare
from services.splitter.spoken.reader import reader

_WORDS: Final = 5  # of context on each side
_SIGNS: Final = 12  # where words are not spaced
_LONGEST: Final = 48  # characters of context on each side


@dataclass(frozen=True)
class Rewrite:
    """One replacement in its context."""

    language: str
    source: str
    rule: str
    before: str
    written: str
    spoken: str
    after: str

    @property
    def key(self) -> tuple[str, str, str]:
        """Return what says where it is: the same before and after a change of the code."""
        return self.before, self.written, self.after

    def order(self, seed: int) -> bytes:
        """Return its place in the draw."""
        return digest("\t".join((str(seed), self.rule, *self.key)))


@dataclass
class Found:
    """What was found in one language's prose."""

    language: str
    words: dict[str, int] = field(default_factory=dict)  # by source
    rules: Counter[str] = field(default_factory=Counter)
    rewrites: list[Rewrite] = field(default_factory=list)  # all of them, or the sample


def found(language: str) -> Found:
    """Return every rewrite in a language's prose."""
    result = Found(language)
    for source, paragraphs in stored(language).items():
        result.words[source] = sum(words(text, language) for text in paragraphs)
        for text in paragraphs:
            result.rewrites += rewritten(text, language, source)
    result.rules.update(rewrite.rule for rewrite in result.rewrites)
    return result


def sampled(language: str, of_each: int, seed: int) -> Found:
    """Return what was found, but of each rule only so many rewrites."""
    result = found(language)
    by_rule: dict[str, dict[tuple[str, str, str], Rewrite]] = {}
    for rewrite in result.rewrites:
        by_rule.setdefault(rewrite.rule, {})[rewrite.key] = rewrite
    draws = (nsmallest(of_each, once.values(), key=lambda one: one.order(seed)) for _, once in sorted(by_rule.items()))
    return Found(language, result.words, result.rules, [rewrite for draw in draws for rewrite in draw])


def rewritten(text: str, language: str, source: str = "") -> Iterator[Rewrite]:
    """Yield the rewrites in one paragraph, in order."""
    clean = bare(cleaned(Aligned(text))).text
    for edit in reader(language).edits(clean):
        written = clean[edit.start : edit.end]
        if edit.text != written:
            before = _last(clean[max(0, edit.start - _LONGEST) : edit.start], language)
            after = _first(clean[edit.end : edit.end + _LONGEST], language)
            yield Rewrite(language, source, _rule(edit, written), *map(_one_line, (before, written, edit.text, after)))


def _rule(edit: Edit, written: str) -> str:
    """Return the name of the rule that an edit tells; of one that tells none, what it was made of."""
    told = getattr(edit, "rule", "")
    if told:
        return str(told)
    if any(character.isdigit() for character in written):
        return "figures"
    letters = regex.sub(r"[^\p{L}\p{M}]+", "", written)
    return f"letters:{written.casefold()}" if letters else f"signs:{written}"


def _one_line(text: str) -> str:
    return regex.sub(r"[\t\r\n]", " ", text)


def _last(text: str, language: str) -> str:
    return text[-_SIGNS:] if language in UNSPACED else "".join(regex.findall(r"\S+\s*|^\s+", text)[-_WORDS:])


def _first(text: str, language: str) -> str:
    return text[:_SIGNS] if language in UNSPACED else "".join(regex.findall(r"\s*\S+|\s+$", text)[:_WORDS])
