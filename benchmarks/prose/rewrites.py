"""The normalizer's rewrites of a language's prose: counted by rule, with the same sample of each rule in every run.

A sample is the rewrites whose rule and context have the smallest digests. So it is evenly drawn, and after a change of
the code most of it is what it was: verdicts stay usable.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from heapq import nsmallest
from typing import Final

import regex

from benchmarks.prose.corpus import stored
from benchmarks.prose.paragraphs import UNSPACED, digest, words
from services.splitter.normalization.reader import prepared, reader
from services.splitter.normalization.text.alignment import Aligned, Edit
from services.splitter.normalization.text.characters import cleaned

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
        """Return a key of its location: the same before and after a change of the code."""
        return self.before, self.written, self.after

    def order(self, seed: int) -> bytes:
        """Return its rank in the draw."""
        return digest("\t".join((str(seed), self.rule, *self.key)))


@dataclass
class Found:
    """The rewrites of one language's prose."""

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
    draws = (
        nsmallest(of_each, once.values(), key=lambda one: one.order(seed))
        for _, once in sorted(by_rule.items())
    )
    return Found(
        language, result.words, result.rules, [rewrite for draw in draws for rewrite in draw]
    )


def rewritten(text: str, language: str, source: str = "") -> Iterator[Rewrite]:
    """Yield the rewrites in one paragraph: what the preparation does to its words, then what each rule does."""
    clean = cleaned(Aligned(text)).text
    ready = prepared(Aligned(clean)).text
    edits = [(clean, edit) for edit in _preparation(clean, ready)]
    edits += [(ready, edit) for edit in reader(language).edits(ready)]
    for whole, edit in edits:
        written = whole[edit.start : edit.end]
        if edit.text != written:
            before = _last(whole[max(0, edit.start - _LONGEST) : edit.start], language)
            after = _first(whole[edit.end : edit.end + _LONGEST], language)
            yield Rewrite(
                language,
                source,
                edit.rule or "?",
                *map(_one_line, (before, written, edit.text, after)),
            )


def _preparation(clean: str, ready: str) -> Iterator[Edit]:
    """Yield the words that were changed before any rule was asked: markup, TeX, unusual characters."""
    if clean == ready:
        return
    old = [found.span() for found in regex.finditer(r"\S+", clean)]
    new = ready.split()
    matched = SequenceMatcher(None, [clean[start:end] for start, end in old], new, autojunk=False)
    for kind, begin, end, new_begin, new_end in matched.get_opcodes():
        if kind != "equal" and old:
            start = old[begin][0] if begin < len(old) else len(clean)
            stop = old[end - 1][1] if end > begin else start
            yield Edit(start, stop, " ".join(new[new_begin:new_end]), "prepared")


def _one_line(text: str) -> str:
    return regex.sub(r"[\t\r\n]", " ", text)


def _last(text: str, language: str) -> str:
    return (
        text[-_SIGNS:]
        if language in UNSPACED
        else "".join(regex.findall(r"\S+\s*|^\s+", text)[-_WORDS:])
    )


def _first(text: str, language: str) -> str:
    return (
        text[:_SIGNS]
        if language in UNSPACED
        else "".join(regex.findall(r"\s*\S+|\s+$", text)[:_WORDS])
    )
