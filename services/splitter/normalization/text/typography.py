"""Converts the conventions of typewriters, e-books and plain-text files to standard typography.
Pure and linear.

Words that a line end cut in two are joined, two hyphens become a dash, a grave accent inside a word
an apostrophe, and decorative runs of signs (====) are removed, as is a footnote number in brackets
after a word.
"""

from collections.abc import Iterator
from typing import Final

import regex

from services.splitter.normalization.text.alignment import Aligned, Edit
from services.splitter.normalization.text.tex import raised

_PARAGRAPH: Final = "\u2029"
_HINT: Final = regex.compile(r"[：．／－]|-[\s-]|\[|\^|([=*_~#^+|<>])\1\1")
_APOSTROPHE: Final = regex.compile(
    # can`t, l`heure
    r"(?<=\p{L})[`´](?=\p{Ll}{1,2}(?!\p{L}))|(?<=(?<!\p{L})(?:\p{L}|[Qq]u))[`´](?=\p{L})"
)
# "pre- and post-war": behind these the hyphen stands for the rest of the second word.
_JOINING_WORDS: Final = (
    "and|or|to|nor|but|und|oder|bis|sowie|noch|bzw|et|ou|à|y|o|u|e|a|ed|od|i|oraz|lub|ani|albo|nebo|či|až|en|of|tot|als"
    "|és|vagy|meg|illetve|ve|veya|ya|ile|и|или|а|до|либо"
)
_NARROW: Final = {"：": ":", "．": ".", "／": "/", "－": "-"}  # between figures: ２：１
_AFTER_CUT: Final = rf"(?=\p{{Ll}}{{2}})(?!(?:{_JOINING_WORDS})(?!\p{{L}}))"
_UNUSUAL: Final = regex.compile(
    rf"""(?x)
    (?P<rule> ^[^\S\n]{{0,3}}([=*_~\#^+|<>-])\2{{2,}}+[^\S\n]*+$ )
  | (?P<decoration> ([=*_~\#^+|<>])\4{{2,}}+ | (?<![\p{{L}}\p{{N}}])-{{4,}}+ )
  | (?P<cut> (?<=\p{{Ll}})-\r?\n[^\S\n]*+(?=\p{{Ll}}) | (?<=\p{{Ll}}{{2}})-[^\S\n]{{1,2}}{_AFTER_CUT} )
  | (?P<dash>
      (?<=[\p{{L}}\p{{N}}\p{{P}}])[^\S\n]*+(?<!-)-{{2,3}}(?!-)(?=[^\S\n]|$)
    | (?<=[\p{{L}}\p{{N}},.!?;:"'”’)])-{{2,3}}(?=[\p{{L}}\p{{N}}"'“‘(])
    )
  | (?P<power> (?<=\p{{N}}|[)\]]|(?<!\p{{L}})\p{{L}})\^(?P<exponent>[-−]?\d{{1,4}})(?![\d\p{{L}}]|\.\d) )
  | (?P<wide> (?<=\d)[：．／－](?=\d) | (?<![\p{{L}}\p{{N}}])－(?=\d) )
  | (?P<note> (?<=[\p{{L}}\p{{N}}.,;:!?"”’»)])\[\d{{1,3}}(?:[,–-]\s?\d{{1,3}}){{0,5}}\](?!\() )
    """,
    regex.M | regex.V1,
)


def with_apostrophes(aligned: Aligned) -> Aligned:
    """Return the text with apostrophes for grave accents inside words, which would look like code
    marks."""
    if "`" not in aligned.text and "´" not in aligned.text:
        return aligned
    found = _APOSTROPHE.finditer(aligned.text)
    return aligned.edited(Edit(accent.start(), accent.end(), "'", "apostrophe") for accent in found)


def usual(aligned: Aligned) -> Aligned:
    """Return the text in standard typography."""
    if not _HINT.search(aligned.text):
        return aligned
    return aligned.edited(_edits(aligned.text))


def _edits(text: str) -> Iterator[Edit]:
    for found in _UNUSUAL.finditer(text):
        start, end = found.span()
        if found["rule"]:
            yield Edit(start, end, _PARAGRAPH if start else "", "decoration")
        elif found["dash"]:
            after = text[end : end + 1]
            yield Edit(start, end, " – " if after and not after.isspace() else " –", "dash")
        elif found["power"]:
            yield Edit(start, end, raised(found["exponent"]), "power")
        elif found["wide"]:
            yield Edit(start, end, _NARROW[found[0]], "wide")
        else:
            kind = "cut word" if found["cut"] else "note" if found["note"] else "decoration"
            yield Edit(start, end, "", kind)
