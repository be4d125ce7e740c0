"""Removes Markdown and HTML markup from copied text. Pure and linear.

Only unambiguous markup is removed: tags by their names, so that `a < b` stays; emphasis in pairs,
so that `5 * 3` stays; line marks at the beginning of a line.
"""

import html
from collections.abc import Iterator
from typing import Final

import regex

from services.splitter.normalization.text.alignment import Aligned, Edit, changes
from services.splitter.normalization.text.tex import lowered, raised

_PARAGRAPH: Final = "\u2029"
_BLOCKS: Final = (
    "p|div|br|hr|h[1-6]|ul|ol|li|tr|table|blockquote|pre|section|article|header|footer"
    "|html|body|head|title"
)
_INLINE: Final = "b|i|u|s|a|em|strong|span|code|small|sub|sup|font|img|td|th|mark|del|ins|abbr|cite|q|kbd|tbody|thead"
_HINT: Final = regex.compile(r"[<&*_`#~\[>+•·▪]|-{3}")
_CJK: Final = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]"  # words have no spaces around them
_ENTITY: Final = regex.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,31}\d{0,2});")
_MARKUP: Final = regex.compile(
    rf"""(?xi)
    (?P<comment> <!--(?:(?!-->).){{0,2000}}+--> )
  | (?P<block> </?(?:{_BLOCKS})(?:\s[^<>]{{0,500}}+)?/?> )
  | <(?P<moved>su[bp])(?:\s[^<>]{{0,100}}+)?>\s*+(?P<figures>[0-9+−-]{{1,9}})\s*+</(?P=moved)>
  | (?P<inline> </?(?:{_INLINE})(?:\s[^<>]{{0,500}}+)?/?> )
  | (?P<rule> ^[^\S\n]{{0,3}}(?:(?:-[^\S\n]?){{3,20}}+|(?:\*[^\S\n]?){{3,20}}+|(?:_[^\S\n]?){{3,20}}+)$ )
  | (?P<fence> ^[^\S\n]{{0,3}}(?:`{{3,9}}[\w-]{{0,20}}+|~{{3,9}})$ )
  | (?P<heading> ^[^\S\n]{{0,3}}\#{{1,6}}[^\S\n]{{1,3}}+(?=\S) )
  | (?P<quote> ^[^\S\n]{{0,3}}>[^\S\n]?+ )
  | (?P<bullet> ^[^\S\n]{{0,8}}[*+•·▪][^\S\n]{{1,4}}+(?=\S) )
  | !?\[(?P<link>[^\[\]\n]{{1,300}}+)\]\((?P<target>[^()\s]{{0,500}}+)\)
  | (?:(?<![\w*])|(?<={_CJK}))(?P<star>\*{{1,3}})(?=[^\s*])
    (?P<starred>[^\n*]{{1,400}}+)(?<=\S)(?P<star_end>\*{{1,3}})(?:(?![\w*])|(?={_CJK}))
  | (?<![\w])(?P<low>_{{1,2}})(?=[^\s_])(?P<lowed>[^\n_]{{1,400}}+)(?<=\S)(?P<low_end>_{{1,2}})(?![\w])
  | (?P<tick>`{{1,2}})(?=[^\s`])(?P<ticked>[^\n`]{{1,400}}+)(?<=\S)(?P<tick_end>`{{1,2}})
  | (?P<wave>~~)(?=[^\s~])(?P<waved>[^\n~]{{1,400}}+)(?<=\S)(?P<wave_end>~~)
    """,
    regex.M,
)


def bare(aligned: Aligned) -> Aligned:
    """Return the text without its markup; a block of HTML becomes a paragraph, a character
    reference its character."""
    if not _HINT.search(aligned.text):
        return aligned
    aligned = aligned.edited(changes(_entities(aligned.text), aligned.text))
    return aligned.edited(_edits(aligned.text))


def _entities(text: str) -> Iterator[Edit]:
    return (
        Edit(found.start(), found.end(), html.unescape(found[0]))
        for found in _ENTITY.finditer(text)
    )


def _edits(text: str) -> Iterator[Edit]:
    for found in _MARKUP.finditer(text):
        if found["link"]:
            yield Edit(found.start(), found.start("link"), "")
            yield Edit(found.end("link"), found.end(), "")
            continue
        if found["moved"]:
            moved = (
                raised(found["figures"])
                if found["moved"].lower() == "sup"
                else lowered(found["figures"])
            )
            yield Edit(found.start(), found.end(), moved)
            continue
        pair = next((name for name in ("star", "low", "tick", "wave") if found[name]), None)
        if pair is not None:
            yield Edit(found.start(pair), found.end(pair), "")
            yield Edit(found.start(f"{pair}_end"), found.end(f"{pair}_end"), "")
        else:
            block = (
                found["block"]
                or found["rule"]
                or found["fence"]
                or found["heading"]
                or found["bullet"]
            )
            yield Edit(found.start(), found.end(), _PARAGRAPH if block and found.start() else "")
