"""The content of an SSML document, in the order of its text. Pure."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Style:
    """The style of a run of text."""

    language: str = ""  # ISO 639-1; empty: the request's
    rate: float = 1.0  # 2 is twice as fast
    sentence: int = 0  # which `s` it is in, from 1; 0: none
    voice: str = ""  # name of the innermost `voice`; empty: the request's


@dataclass(frozen=True)
class SayAs:
    """The `say-as` of a run of text."""

    kind: str  # the attribute interpret-as
    form: str = ""  # the attribute format


@dataclass(frozen=True)
class TextRun:
    """Text that is spoken. Its source is characters [start, end) of the document, in code points."""

    start: int
    end: int
    text: str  # what is written there, or the alias of a `sub`
    style: Style
    say_as: SayAs | None = None


@dataclass(frozen=True)
class Break:
    """Silence of exactly this length, in place of the pause that would be there."""

    place: int  # in the document, in code points
    milliseconds: int


@dataclass(frozen=True)
class DocumentMark:
    """A named position in the audio."""

    place: int
    name: str


@dataclass(frozen=True)
class Border:
    """A paragraph or a sentence begins or ends."""

    place: int
    paragraph: bool


Item = TextRun | Break | DocumentMark | Border


@dataclass
class Document:
    """An SSML document that was read."""

    language: str = ""  # of the root; empty: none given
    items: list[Item] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Return what is spoken, without markup; borders are empty lines."""
        return "".join(
            item.text if isinstance(item, TextRun) else "\n\n" * isinstance(item, Border)
            for item in self.items
        )

    def voices(self) -> tuple[str, ...]:
        """Return the names of the voices that speak it, as they come; empty: that of the request."""
        spoken = (
            item.style.voice
            for item in self.items
            if isinstance(item, TextRun) and item.text.strip()
        )
        return tuple(dict.fromkeys(spoken))

    def languages(self) -> list[str]:
        """Return the languages that it asks for, without repeats, as they come."""
        asked = [
            item.style.language
            for item in self.items
            if isinstance(item, TextRun) and item.text.strip()
        ]
        return list(dict.fromkeys(filter(None, asked)))
