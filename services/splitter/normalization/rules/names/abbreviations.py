"""Abbreviations, each recognized only if its context proves it. Pure.

How it works. A short form that cannot be a word, a name or an initial (`abbreviations`) is always
expanded. All others need proof: a title must be followed by a name that is not a sentence starter
(`titles`; after `doubtful_titles`, which are also words or initials, the name must not be an
initial), `after_name` must follow a name, `eponyms` (im. Kopernika) need the named thing before and
a name after them, `before_number` and `after_number` need a number, and `within` needs a sentence
that visibly continues. Without proof the text is unchanged, and its full stop remains one. The word
after a form of `inflected` selects its ending: tzw. planety, tzw. planet.

A short form's own full stop is dropped with it, unless a sentence ends there: at the end of a
paragraph, before a capitalized sentence starter (but not after an `opening` form such as "e.g."),
and, for the forms listed as `closing`, before any capital.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import regex

from services.splitter.normalization.grammar.grammar import Grammar
from services.splitter.normalization.grammar.table import written_forms
from services.splitter.normalization.recognizer import (
    CJK,
    LETTERS,
    SIGNS,
    WORD_BEFORE,
    Match,
    Recognizer,
    alternatives,
    begins_sentence,
    by_word,
    choices,
    compiled,
    ends_sentence,
    instead,
    next_word,
    word_before,
)

_BEFORE: Final = rf"(?:(?<![\p{{L}}\p{{N}}\p{{M}}.@])|(?<={CJK}))"
_AFTER: Final = rf"(?:(?![\p{{L}}\p{{M}}\p{{N}}@])|(?={CJK}))"
_PARTICLES: Final = (
    r"(?:de|del|della|di|da|do|dos|das|du|d|des|von|van|zu|zum|zur|vom"
    r"|le|la|les|l|el|al|bin|ibn|ter|ten|den)"
)
# a capitalized word that is no initial
_NAME: Final = rf"(?=\s(?:{_PARTICLES}[\s'’])*+\p{{Lu}}[\p{{L}}\p{{M}}])"
_NAME_OR_INITIAL: Final = (
    rf"(?=\s(?:{_PARTICLES}[\s'’])*+\p{{Lu}}|\s\p{{Ll}}{{2,5}}\.|-\p{{Lu}}\p{{Ll}}"
    r"|\s(?:&|\p{Ll}{1,3})\s\p{Lu})"  # Mr. and Mrs. Smith
)
_INITIALS: Final = r"\s(?:\p{Lu}\.\s?){1,3}\p{Lu}[\p{L}\p{M}]"
_INITIALS_AHEAD: Final = regex.compile(_INITIALS)
_ANY_NAME: Final = r"(?=\s?[\p{Lo}\p{Lu}])"  # in scripts without capitals
_NUMBER: Final = r"(?=\s?(?:[-−+(]?\d|[IVXLC]{2,}+(?!\p{L})|[IVX](?=[.,;:)\]]|\s*+$)))"
_AFTER_NAME: Final = r"(?<=(?<!\p{L})(?:\p{Lu}[\p{L}\p{M}'’-]{1,24}|&|\d(?:st|nd|rd|th)),?\s)"
# An initial, or a capital particle of a name: Le Pen.
_NAME_AFTER: Final = regex.compile(
    r"\s(?:\p{Lu}\.|(?:Le|La|Les|Du|Des|De|Di|Da|Van|Von|El|Al)\s\p{Lu}\p{Ll})"
)
_CONTINUES: Final = r"(?=[,;:)\]/]|\s[\p{Ll}\p{Lo}\d(«„“\"'])"
_PRONOUN: Final = regex.compile(r"I\s\p{Ll}")
_INDEFINITE: Final = {  # behind these a short form is rather the word: I ate a fig. 3 people came.
    "en": ("a", "an"),
    "fr": ("un", "une"),
    "es": ("un", "una"),
    "it": ("un", "una", "uno"),
    "pt": ("um", "uma"),
    "de": ("ein", "eine", "einen", "einem", "einer"),
    "nl": ("een",),
}
_INITIAL_BEFORE: Final = regex.compile(r"(?<![\p{L}\p{N}])\p{Lu}\.\s?$")
_SENTENCE_BEFORE: Final = regex.compile(r"(?:^|[.!?…:\n\u2029]\s{0,2})[\"'„“«(–—]?\s?$")
_WORD_BEFORE: Final = regex.compile(r"(?<![\p{L}\d])([\p{L}\p{M}]++|\d++)[\"”»]?\s$")
_NAME_BEFORE: Final = regex.compile(r"(?<!\p{L})(\p{Lu}[\p{L}\p{M}'’-]*+)\s$")


def recognizers(grammar: Grammar) -> Iterator[Recognizer]:
    """Yield the recognizers of a language's abbreviations, those with the most context first."""
    table = grammar.table
    for written, verbalized in table.suffixes.items():
        yield Recognizer(
            compiled(rf"(?<=\p{{L}}){regex.escape(written)}"),
            partial(instead, verbalized),
            LETTERS,
            "suffix",
        )
    yield from _before_numbers(grammar)
    for kind, entries, behind, ahead, fits in (
        ("after_number", table.after_number, r"(?<=\d\s?)", _AFTER, _always),
        ("title", table.titles, _BEFORE, _title_context(grammar), partial(_is_title, grammar)),
        (
            "title.doubtful",
            table.doubtful_titles,
            _BEFORE,
            _doubtful_context(grammar),
            partial(_is_title, grammar),
        ),
        (
            "eponym",
            table.eponyms,
            _BEFORE,
            _doubtful_context(grammar),
            partial(_is_eponym, grammar),
        ),
        ("after_name", table.after_name, _AFTER_NAME, _AFTER, _always),
        ("within", table.within, _BEFORE, _CONTINUES, _always),
        ("abbreviation", table.abbreviations, _BEFORE, _AFTER, _always),
    ):
        words = written_forms(entries)
        if words:
            every = _capitalised(words)
            pattern = rf"{behind}(?P<word>{alternatives(every)}){ahead}"
            titles = kind.startswith("title")
            yield Recognizer(
                compiled(pattern), _sayer(every, fits, grammar, titles=titles), LETTERS, kind
            )


def _title_context(grammar: Grammar) -> str:
    return _NAME_OR_INITIAL if grammar.cased else _ANY_NAME


def _doubtful_context(grammar: Grammar) -> str:
    return rf"(?:{_NAME}|(?={_INITIALS}))" if grammar.cased else _ANY_NAME


def _capitalised(words: dict[str, str]) -> dict[str, str]:
    """Return the words, with capitalized variants for the beginning of a sentence."""
    capital = {
        written[0].upper() + written[1:]: verbalized
        for written, verbalized in words.items()
        if written[1:2] != "."
    }
    return capital | words  # a single capital is an initial


def _always(found: Match) -> bool:  # noqa: ARG001  # the pattern has proved it
    return True


def _is_title(grammar: Grammar, found: Match) -> bool:
    """Return whether a name follows, and a title of one letter is not preceded by an initial: J. M.
    Barrie."""
    letters = sum(character.isalpha() for character in found["word"])
    if letters == 1 and _is_initial(found, grammar):
        return False
    if _INITIALS_AHEAD.match(found.string, found.end()):
        return bool(letters > 1)
    named = _NAME_AFTER.match(found.string, found.end()) is not None
    return named or not begins_sentence(next_word(found), grammar)


def _is_eponym(grammar: Grammar, found: Match) -> bool:
    """Return whether the form is between a named thing and a name: szkoła im. Kopernika."""
    before = _WORD_BEFORE.search(found.string, max(0, found.start() - WORD_BEFORE), found.start())
    if before is None or begins_sentence(before[1], grammar) or not _is_title(grammar, found):
        return False
    word = str(before[1])
    if regex.fullmatch(grammar.table.named, word.lower()):
        return True
    first = (
        _SENTENCE_BEFORE.search(found.string, max(0, before.start() - 4), before.start())
        is not None
    )
    return not word[0].islower() and (word[1:].isupper() or not first)


def _is_initial(found: Match, grammar: Grammar) -> bool:
    """Return whether a letter follows an initial or a name, so that it is also an initial: J. M.
    Barrie."""
    before = found.string[max(0, found.start() - WORD_BEFORE) : found.start()]
    name = _NAME_BEFORE.search(before)
    return _INITIAL_BEFORE.search(before) is not None or (
        name is not None and not begins_sentence(name[1], grammar) and grammar.cased
    )


def _sayer(
    words: dict[str, str], fits: Callable[[Match], bool], grammar: Grammar, *, titles: bool
) -> Callable[[Match], str | None]:
    closing = frozenset(grammar.table.closing.split("|"))
    inflected = {written: choices(forms) for written, forms in grammar.table.inflected.items()}

    def verbalize(found: Match) -> str | None:
        written = found["word"]
        if not fits(found):
            return None
        inflection = by_word(inflected.get(written.lower(), ()), next_word(found))
        verbalized = _cased(inflection or words[written], written)
        ends = ends_sentence(found) if titles else _ends(found, written, closing, grammar)
        return f"{verbalized}." if written.endswith(".") and ends else verbalized

    return verbalize


def _ends(found: Match, written: str, closing: frozenset[str], grammar: Grammar) -> bool:
    """Return whether the full stop of a short form also ends a sentence."""
    if ends_sentence(found):
        return True
    if _NAME_AFTER.match(
        found.string, found.end()
    ) or written.lower() in grammar.table.opening.split("|"):
        return False
    word = next_word(found) if found.string[found.end() : found.end() + 1].isspace() else ""
    return begins_sentence(word, grammar) or (
        written.lower() in closing and word != "" and not word[0].islower()
    )


def _before_numbers(grammar: Grammar) -> Iterator[Recognizer]:
    words = written_forms(grammar.table.before_number)
    if words:
        pattern = rf"(?<![\p{{L}}\p{{N}}])(?P<word>{alternatives(words)}){_NUMBER}(?P<space>\s?)"

        def verbalize(found: Match) -> str | None:
            if grammar.language == "en" and _PRONOUN.match(found.string, found.end()):
                return None
            if found["word"].islower() and word_before(found) in _INDEFINITE.get(
                grammar.language, ()
            ):
                return None
            return f"{_cased(words[found['word']], found['word'])}{grammar.gap}"

        yield Recognizer(compiled(pattern), verbalize, LETTERS + SIGNS, "before_number")


def _cased(verbalized: str, written: str) -> str:
    """Return the words, capitalized if the short form is capitalized."""
    return verbalized[:1].upper() + verbalized[1:] if written[:1].isupper() else verbalized
