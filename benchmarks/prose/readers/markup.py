"""HTML, DocBook and Mallard: the text of each block, without code, screens and navigation."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

from benchmarks.prose.readers.plain import decoded


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BLOCKS: Final = _words(
    """
    p para simpara li item listitem title h1 h2 h3 h4 h5 h6 dt dd term div section blockquote quote td th tr br
    table ul ol dl steps list note example desc body article page info entry row
    """
)
_SKIPPED: Final = _words(
    """
    pre script style head nav code-block screen programlisting synopsis cmdsynopsis literallayout svg credit
    revision license footer select button textarea legalnotice indexterm address media
    """
)
_VOID: Final = _words(
    """
    br hr img meta link input col area base wbr
    """
)
_NAVIGATION: Final = re.compile(
    r"nav|toc|menu|breadcrumb|footer|crumb|programlisting|screen|index\b"
)


class _Blocks(HTMLParser):
    """Collects the text of blocks."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[str] = []
        self._open: list[str] = []  # from the element that is skipped inwards
        self._text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._open:
            self._open += [tag] * (tag == self._open[0])
            return
        named = " ".join(value or "" for name, value in attrs if name in {"class", "id", "role"})
        if tag not in _VOID and (
            tag in _SKIPPED or (tag in {"div", "ul", "table"} and _NAVIGATION.search(named))
        ):
            self._open.append(tag)
        if tag in _BLOCKS or tag in _SKIPPED:
            self.end_block()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag in _BLOCKS:
            self.end_block()

    def handle_endtag(self, tag: str) -> None:
        if self._open:
            if tag == self._open[0]:
                self._open.pop()
            return
        if tag in _BLOCKS:
            self.end_block()

    def handle_data(self, data: str) -> None:
        if not self._open:
            self._text.append(data)

    def end_block(self) -> None:
        self.blocks.append("".join(self._text))
        self._text.clear()


def html(path: Path) -> Iterator[str]:
    """Yield the blocks of a file."""
    yield from blocks(decoded(path))


def blocks(markup: str) -> Iterator[str]:
    """Yield the blocks of a text with tags."""
    parser = _Blocks()
    parser.feed(markup)
    parser.close()
    parser.end_block()
    yield from parser.blocks
