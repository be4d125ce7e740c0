"""Positions of the sentences in a text and its audio. Pure."""

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, NamedTuple

from ui.text.markup import is_ssml, without_markup

SUBTITLES: Final = {"srt": "application/x-subrip", "vtt": "text/vtt"}  # kind: media type
_COLUMNS: Final = 42  # of a subtitle's line


class TimedSentence(NamedTuple):
    """A sentence and its time in the audio, in seconds."""

    start_s: float
    end_s: float
    text: str


@dataclass
class Alignment:
    """The sentences of one speech so far."""

    text: str
    spans: list[tuple[int, int]] = field(default_factory=list)  # in code points
    ends_s: list[float] = field(default_factory=list)  # of the sentences that are spoken, in order
    left_out: tuple[tuple[int, int], ...] = ()  # offsets of letters that are not spoken
    replaced: dict[int, str] = field(default_factory=dict)  # index -> words spoken instead

    def learn(self, answer: dict[str, Any]) -> None:
        """Take an answer of `GET /requests/{id}/sentences?from=<how many are spoken>`."""
        first, sentences = answer["from"], answer["sentences"]
        self.left_out = tuple((span["start"], span["end"]) for span in answer.get("left_out", ()))
        self.spans[first:] = [(sentence["start"], sentence["end"]) for sentence in sentences]
        for index, sentence in enumerate(sentences, first):
            if "seconds" in sentence and index == len(self.ends_s):
                self.ends_s.append((self.ends_s[-1] if self.ends_s else 0.0) + sentence["seconds"])

    def learn_revision(self, sentences: Sequence[Mapping[str, Any]]) -> None:
        """Take all sentences of `GET /jobs/{id}/sentences`, some of which were spoken again."""
        self.spans = [(sentence["start"], sentence["end"]) for sentence in sentences]
        self.ends_s = [sentence["begins"] + sentence["seconds"] for sentence in sentences]
        self.replaced = {
            index: str(sentence["text"])
            for index, sentence in enumerate(sentences)
            if sentence.get("revision")
        }

    def shown(self) -> list[str]:
        """Return the sentences with what stands between them, so that together they are the text, or its words."""
        starts = [0, *[start for start, _ in self.spans[1:]], len(self.text)]
        parts = [self._words(start, end) for start, end in pairwise(starts)] if self.spans else []
        for index, words in self.replaced.items():
            between = self._words(self.spans[index][1], starts[index + 1])
            parts[index] = words + between
        return parts

    def cues(self) -> Iterator[TimedSentence]:
        """Yield the sentences that are spoken."""
        times = pairwise([0.0, *self.ends_s])
        for index, ((start, end), (start_s, end_s)) in enumerate(
            zip(self.spans, times, strict=False)
        ):
            words = self.replaced.get(index) or self._words(start, end)
            yield TimedSentence(start_s, end_s, _on_one_line(words))

    def _words(self, start: int, end: int) -> str:
        part = self.text[start:end]
        return without_markup(part) if is_ssml(self.text) else part


def _on_one_line(text: str) -> str:
    """Return a text with single blanks. A no-break space stays: no line begins with the sign that it ties."""
    return re.sub(r"[ \t\r\n\f\v]+", " ", text).strip()


def srt(cues: Sequence[TimedSentence]) -> str:
    """Return subtitles as SubRip writes them."""
    blocks = [
        f"{number}\n{_moment(cue.start_s, ',')} --> {_moment(cue.end_s, ',')}\n{_lines(cue.text)}\n"
        for number, cue in enumerate(cues, 1)
    ]
    return "\n".join(blocks)


def vtt(cues: Sequence[TimedSentence]) -> str:
    """Return subtitles as WebVTT (https://www.w3.org/TR/webvtt1/)."""
    escaped = [
        cue._replace(text=cue.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
        for cue in cues
    ]
    blocks = [
        f"{_moment(cue.start_s, '.')} --> {_moment(cue.end_s, '.')}\n{_lines(cue.text)}\n"
        for cue in escaped
    ]
    return "WEBVTT\n\n" + "\n".join(blocks)


def _moment(seconds: float, point: str) -> str:
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{milliseconds:03}"


def _lines(text: str) -> str:
    return "\n".join(textwrap.wrap(text, _COLUMNS, break_on_hyphens=False)) or text
