"""Reads the subset of SSML 1.1 (https://www.w3.org/TR/speech-synthesis11/) that this service speaks. Pure, linear.

Based on the events of Python's expat. A document type is refused before anything in it is read, so there are no
entities beyond XML's five and nothing is ever fetched. What cannot be spoken as requested is refused, not skipped.
"""

import re
from dataclasses import replace
from typing import Final, NoReturn
from xml.parsers import expat

from services.common.ssml.document import (
    Border,
    Break,
    Document,
    DocumentMark,
    SayAs,
    Style,
    TextRun,
)
from services.common.wire.failures import MalformedSsml
from services.common.wire.fields import MOST_SPEAKERS
from services.common.wire.languages import LANGUAGES, language_code

DEEPEST: Final = 32  # elements in each other
MOST_ELEMENTS: Final = 50_000
MOST_MARKS: Final = 2_000
LONGEST_BREAK_MS: Final = 10_000
LONGEST_SILENCE_MS: Final = 600_000  # all breaks of a document together
SLOWEST: Final = 0.25
FASTEST: Final = 4.0

_RATES: Final = {
    "x-slow": 0.5,
    "slow": 0.75,
    "medium": 1.0,
    "default": 1.0,
    "fast": 1.5,
    "x-fast": 2.0,
}
_STRENGTHS_MS: Final = {
    "none": 0,
    "x-weak": 120,
    "weak": 200,
    "medium": 400,
    "strong": 700,
    "x-strong": 1_000,
}
_TIME: Final = re.compile(r"\+?([0-9]{1,7}(?:\.[0-9]{0,6})?|\.[0-9]{1,6})(ms|s)", re.ASCII)
_PERCENTAGE: Final = re.compile(r"([+-]?)([0-9]{1,4}(?:\.[0-9]{0,6})?)%", re.ASCII)
_NAME: Final = re.compile(r"[^\s\x00-\x1f]{1,64}")
_VOICE: Final = re.compile(r"[^\x00-\x1f\x7f]{1,100}")

_ATTRIBUTES: Final = {
    "speak": {"version", "xml:lang", "xml:base"},
    "p": {"xml:lang", "xml:id"},
    "s": {"xml:lang", "xml:id"},
    "break": {"time", "strength"},
    "sub": {"alias", "xml:id"},
    "say-as": {"interpret-as", "format", "detail", "xml:id"},
    "lang": {"xml:lang", "xml:id"},
    "prosody": {"rate", "xml:id"},
    "voice": {"name", "xml:id"},
    "mark": {"name"},
}
_REQUIRED: Final = {
    "sub": "alias",
    "say-as": "interpret-as",
    "lang": "xml:lang",
    "prosody": "rate",
    "voice": "name",
    "mark": "name",
}
_EMPTY: Final = ("break", "mark")
_TEXT_ONLY: Final = ("sub", "say-as")


def read_ssml(source: str) -> Document:
    """Read a document. Raises MalformedSsml, which names the line and the column, and what to do."""
    return _Reader(source).read()


class _Reader:
    """One document, event by event."""

    def __init__(self, source: str) -> None:
        self._bytes = source.encode("utf-8", "surrogatepass")
        # regardless of the declaration: the input is decoded text
        self._parser = expat.ParserCreate("utf-8")
        self._document = Document()
        self._open: list[tuple[str, Style]] = []
        self._piece: TextRun | None = None  # its end is known at the next event
        self._byte = self._place = 0  # the same place, in bytes and in code points
        self._said: list[tuple[int, str]] = []  # what a `sub` or `say-as` holds, and where
        self._asked: dict[str, str] = {}  # its attributes
        self._voices: set[str] = set()
        self._elements = self._sentences = self._marks = self._silence_ms = 0

    def read(self) -> Document:
        parser = self._parser
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._doctype
        parser.CommentHandler = lambda _data: self._at()
        parser.ProcessingInstructionHandler = lambda _target, _data: self._at()
        parser.StartCdataSectionHandler = self._at
        parser.EndCdataSectionHandler = self._at
        try:
            parser.Parse(self._bytes, True)
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code) or "not well-formed"
            if error.code == _UNDEFINED_ENTITY:
                reason += (
                    "; only &amp; &lt; &gt; &quot; &apos; and numbers such as &#160; are known"
                )
            raise _refusal(error.lineno, error.offset, f"this is not XML: {reason}") from None
        return self._document

    def _at(self) -> int:
        """Return the offset of this event in code points; the run before it ends here."""
        byte = self._parser.CurrentByteIndex
        self._place += len(self._bytes[self._byte : byte].decode("utf-8", "surrogatepass"))
        self._byte = byte
        if self._piece is not None:
            self._document.items.append(replace(self._piece, end=self._place))
            self._piece = None
        return self._place

    def _refuse(self, why: str) -> NoReturn:
        raise _refusal(self._parser.CurrentLineNumber, self._parser.CurrentColumnNumber, why)

    def _doctype(self, *_declaration: object) -> None:
        self._refuse("a document type is not allowed; leave out <!DOCTYPE ...>")

    def _text(self, text: str) -> None:
        place = self._at()
        element, style = self._open[-1]
        if element in _TEXT_ONLY:
            self._said.append((place, text))
        else:
            self._piece = TextRun(place, place, text, style)

    def _start(self, element: str, attributes: dict[str, str]) -> None:
        place = self._at()
        self._elements += 1
        self._check(element, attributes)
        style = self._open[-1][1] if self._open else Style()
        if "xml:lang" in attributes:
            style = replace(style, language=self._language(attributes["xml:lang"]))
        if element == "speak":
            self._document.language = style.language
        elif element in ("p", "s"):
            self._document.items.append(Border(place, paragraph=element == "p"))
            if element == "s":
                self._sentences += 1
                style = replace(style, sentence=self._sentences)
        elif element == "break":
            self._document.items.append(Break(place, self._silence(attributes)))
        elif element == "mark":
            self._document.items.append(DocumentMark(place, self._name(attributes["name"])))
        elif element == "prosody":
            style = replace(style, rate=self._rate(attributes["rate"]))
        elif element == "voice":
            style = replace(style, voice=self._voice(attributes["name"].strip()))
        elif element in _TEXT_ONLY:
            self._said, self._asked = [], attributes
        self._open.append((element, style))

    def _end(self, element: str) -> None:
        place = self._at()
        _, style = self._open.pop()
        if element in ("p", "s"):
            self._document.items.append(Border(place, paragraph=element == "p"))
        elif element == "sub":
            self._document.items.append(
                TextRun(self._said_from(place), place, self._asked["alias"], style)
            )
        elif element == "say-as":
            written = "".join(text for _, text in self._said)
            say_as = SayAs(
                self._asked["interpret-as"].strip(), self._asked.get("format", "").strip()
            )
            self._document.items.append(
                TextRun(self._said_from(place), place, written, style, say_as)
            )

    def _said_from(self, place: int) -> int:
        return self._said[0][0] if self._said else place

    def _check(self, element: str, attributes: dict[str, str]) -> None:
        """Refuse what is too much, unknown, or in the wrong place."""
        if self._elements > MOST_ELEMENTS:
            self._refuse(f"there are more than {MOST_ELEMENTS} elements; send the text in parts")
        if len(self._open) >= DEEPEST:
            self._refuse(f"elements are nested more than {DEEPEST} deep; flatten them")
        known = _ATTRIBUTES.get(element)
        if known is None:
            self._refuse(
                f"this element is not supported; the elements are {', '.join(_ATTRIBUTES)}"
            )
        if any(name not in known and not _declares(element, name) for name in attributes):
            self._refuse(
                f"{element} has an attribute that is not supported; it takes {', '.join(sorted(known))}"
            )
        if element in _REQUIRED and not attributes.get(_REQUIRED[element], "").strip():
            self._refuse(f"{element} needs the attribute {_REQUIRED[element]}")
        self._check_place(element)

    def _check_place(self, element: str) -> None:
        around = [name for name, _ in self._open]
        if (element == "speak") is bool(around):
            self._refuse("the outermost element is speak, and it is no other's part")
        if around and around[-1] in (*_EMPTY, *_TEXT_ONLY):
            self._refuse(f"{around[-1]} holds no element")
        if "s" in around and element in ("p", "s"):
            self._refuse(f"{element} cannot be within s")
        if "p" in around and element == "p":
            self._refuse("p cannot be within p")

    def _language(self, tag: str) -> str:
        language = language_code(tag.strip())
        if language is None:
            self._refuse(
                f"xml:lang names no language that is spoken; the languages are {' '.join(LANGUAGES)}"
            )
        return language

    def _silence(self, attributes: dict[str, str]) -> int:
        if "time" in attributes:
            found = _TIME.fullmatch(attributes["time"].strip())
            milliseconds = (
                round(float(found[1]) * (1000 if found[2] == "s" else 1)) if found else -1
            )
            if not 0 <= milliseconds <= LONGEST_BREAK_MS:
                self._refuse(
                    f"the time of a break is such as 250ms or 1.5s, at most {LONGEST_BREAK_MS // 1000}s"
                )
        else:
            milliseconds = _STRENGTHS_MS.get(attributes.get("strength", "medium").strip(), -1)
            if milliseconds < 0:
                self._refuse(f"the strength of a break is one of {', '.join(_STRENGTHS_MS)}")
        self._silence_ms += milliseconds
        if self._silence_ms > LONGEST_SILENCE_MS:
            self._refuse(
                f"all breaks together are longer than {LONGEST_SILENCE_MS // 1000}s; send the text in parts"
            )
        return milliseconds

    def _rate(self, value: str) -> float:
        value = value.strip()
        found = _PERCENTAGE.fullmatch(value)
        if found:
            share = float(found[2]) / 100
            rate = {"": share, "+": 1 + share, "-": 1 - share}[found[1]]
        else:
            rate = _RATES.get(value, 0.0)
        if not SLOWEST <= rate <= FASTEST:
            self._refuse(
                f"a rate is one of {', '.join(_RATES)}, or from {SLOWEST:.0%} to {FASTEST:.0%}"
            )
        return rate

    def _name(self, name: str) -> str:
        self._marks += 1
        if self._marks > MOST_MARKS:
            self._refuse(f"there are more than {MOST_MARKS} marks; send the text in parts")
        if not _NAME.fullmatch(name):
            self._refuse("the name of a mark has 1 to 64 characters and no space")
        return name

    def _voice(self, name: str) -> str:
        self._voices.add(name)
        if len(self._voices) > MOST_SPEAKERS:
            self._refuse(f"there are more than {MOST_SPEAKERS} voices; send the text in parts")
        if not _VOICE.fullmatch(name):
            self._refuse("the name of a voice has 1 to 100 characters on one line")
        return name


def _declares(element: str, attribute: str) -> bool:
    """Return whether an attribute of the root only identifies the document type."""
    return element == "speak" and (attribute == "xmlns" or attribute.startswith(("xmlns:", "xsi:")))


def _refusal(line: int, column: int, why: str) -> MalformedSsml:
    return MalformedSsml(f"line {line}, column {column + 1} of the SSML: {why}")


_UNDEFINED_ENTITY: Final = expat.errors.codes[expat.errors.XML_ERROR_UNDEFINED_ENTITY]
