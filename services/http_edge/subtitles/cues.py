"""Divides captions into cues: at most two lines of 42 columns, shown while their words are spoken. Pure.

A sentence is one cue if it fits, from its first sample to its last. A longer one is divided between words, after a
clause if one ends in the second half of a cue. In a long silence (an SSML break), a cue ends a second after its last
word.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from services.http_edge.subtitles.captions import Caption

COLUMNS: Final = 42  # of a line; a wide character takes two
LINES: Final = 2
_CLAUSE_ENDS: Final = tuple(",;:、，；：،؛—–…")
_LEAD_S: Final = 0.5  # that a cue is shown before its first word, at most
_LINGER_S: Final = 1.0  # and after its last one


class Cue(NamedTuple):
    """Lines of text, and when they are shown, in seconds of the audio."""

    start_s: float
    end_s: float
    lines: tuple[str, ...]


@dataclass
class _Token:
    """A word with the characters around it, up to the next word."""

    text: str  # ends in a space if one follows
    first_sample: int
    end_sample: int

    @property
    def columns(self) -> int:
        return columns(self.text.rstrip())


def cues(captions: Iterable[Caption], sample_rate_hz: int) -> Iterator[Cue]:
    """Yield the cues of consecutive sentences, in order and without overlap."""
    begin = 0
    for caption in captions:
        groups = list(_groups(_tokens(caption)))
        for index, lines in enumerate(groups):
            following = groups[index + 1][0][0].first_sample if index + 1 < len(groups) else None
            tokens = [token for line in lines for token in line]
            lead = 0 if index == 0 else tokens[0].first_sample
            first = max(lead, tokens[0].first_sample - round(_LEAD_S * sample_rate_hz))
            end = min(
                caption.samples if following is None else following,
                tokens[-1].end_sample + round(_LINGER_S * sample_rate_hz),
            )
            yield Cue(
                (begin + first) / sample_rate_hz,
                (begin + max(first, end)) / sample_rate_hz,
                tuple("".join(token.text for token in line).strip() for line in lines),
            )
        begin += caption.samples


def columns(text: str) -> int:
    """Return how many columns a text takes."""
    return sum(
        0
        if unicodedata.combining(character)
        else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )


def _tokens(caption: Caption) -> Iterator[_Token]:
    """Yield the words of a caption with what is between them; together they are its text."""
    words = caption.words
    starts = [_with_prefix(caption.text, word.start) for word in words]
    starts[:1] = [0]
    if not words and caption.text.strip():
        yield from _parts(" ".join(caption.text.split()), 0, caption.samples)
    for index, word in enumerate(words):
        end = starts[index + 1] if index + 1 < len(words) else len(caption.text)
        written = caption.text[starts[index] : end]
        text = " ".join(written.split()) + " " * written[-1:].isspace()
        yield from _parts(text, word.first_sample, word.end_sample)


def _with_prefix(text: str, start: int) -> int:
    """Return where a word begins, with an opening quote or bracket right before it."""
    while start > 0 and unicodedata.category(text[start - 1]) in ("Ps", "Pi"):
        start -= 1
    return start


def _parts(text: str, first: int, end: int) -> Iterator[_Token]:
    """Yield a token, in parts if it is longer than a line."""
    if columns(text.rstrip()) <= COLUMNS:
        yield _Token(text, first, end)
        return
    size = COLUMNS // 2 if columns(text) > len(text) else COLUMNS
    count = -(-len(text) // size)
    for index in range(count):
        yield _Token(
            text[index * size : (index + 1) * size],
            first + (end - first) * index // count,
            first + (end - first) * (index + 1) // count,
        )


def _groups(tokens: Iterable[_Token]) -> Iterator[list[list[_Token]]]:
    """Yield the lines of each cue."""
    waiting = list(tokens)
    while waiting:
        lines = _filled(waiting)
        count = sum(len(line) for line in lines)
        if count < len(waiting):
            count = _cut(waiting[:count])
            lines = _filled(waiting[:count])
        if len(lines) == LINES and count:
            lines = _balanced(waiting[:count]) or lines
        yield lines
        waiting = waiting[count:]


def _filled(tokens: list[_Token], width: int = COLUMNS) -> list[list[_Token]]:
    """Return as many tokens as fit into the lines of a cue."""
    lines: list[list[_Token]] = [[]]
    for token in tokens:
        line = "".join(before.text for before in lines[-1])
        if lines[-1] and columns(line) + token.columns > width:
            if len(lines) == LINES:
                break
            lines.append([])
        lines[-1].append(token)
    return lines


def _cut(tokens: list[_Token]) -> int:
    """Return how many of the tokens that fill a cue go into it: to the end of a clause in its second half, or all."""
    for count in range(len(tokens), len(tokens) // 2, -1):
        if tokens[count - 1].text.rstrip().endswith(_CLAUSE_ENDS):
            return count
    return len(tokens)


def _balanced(tokens: list[_Token]) -> list[list[_Token]] | None:
    """Return the tokens in lines of about equal length; None if they do not fit so."""
    half = -(-sum(columns(token.text) for token in tokens) // LINES)
    for width in range(half, COLUMNS + 1):
        lines = _filled(tokens, width)
        if sum(len(line) for line in lines) == len(tokens):
            return lines
    return None
