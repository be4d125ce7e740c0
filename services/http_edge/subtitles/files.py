"""Subtitle files: WebVTT (https://www.w3.org/TR/webvtt1/) and SubRip, which has no specification. Pure."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from services.http_edge.subtitles.cues import Cue

_RIGHT_TO_LEFT_MARK: Final = "\u200f"
_WORD_JOINER: Final = "\u2060"
# players take these for tags, and have no way to escape them
_SRT_TAG: Final = re.compile(r"<(?=[A-Za-z/!])|\{(?=\\)")


class SubtitleFormat(NamedTuple):
    """A format of subtitle files."""

    media_type: str
    write: Callable[[Iterable[Cue]], str]


def vtt(cues: Iterable[Cue]) -> str:
    """Return subtitles as WebVTT."""
    blocks = [
        f"{_moment(first, '.')} --> {_moment(end, '.')}\n{_joined(cue, _vtt_escaped)}\n"
        for first, end, cue in _in_milliseconds(cues)
    ]
    return "WEBVTT\n\n" + "\n".join(blocks)


def srt(cues: Iterable[Cue]) -> str:
    """Return subtitles as SubRip."""
    blocks = [
        f"{number}\n{_moment(first, ',')} --> {_moment(end, ',')}\n{_joined(cue, _srt_escaped)}\n"
        for number, (first, end, cue) in enumerate(_in_milliseconds(cues), 1)
    ]
    return "\n".join(blocks)


FORMATS: Final[Mapping[str, SubtitleFormat]] = MappingProxyType(
    {
        "vtt": SubtitleFormat("text/vtt", vtt),
        "srt": SubtitleFormat("application/x-subrip", srt),
    }
)


def _in_milliseconds(cues: Iterable[Cue]) -> Iterator[tuple[int, int, Cue]]:
    """Yield each cue with its times in milliseconds: in order, and at least one apart, as players require."""
    last = 0
    for cue in cues:
        first = max(last, round(cue.start_s * 1000))
        last = max(first + 1, round(cue.end_s * 1000))
        yield first, last, cue


def _moment(milliseconds: int, point: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{rest:03}"


def _joined(cue: Cue, escaped: Callable[[str], str]) -> str:
    """Return the lines of a cue. A line of right-to-left text that begins otherwise is marked as such."""
    right_to_left = _is_right_to_left("".join(cue.lines))
    return "\n".join(
        _RIGHT_TO_LEFT_MARK + escaped(line)
        if right_to_left and not _is_right_to_left(line, most=False)
        else escaped(line)
        for line in cue.lines
    )


def _is_right_to_left(text: str, *, most: bool = True) -> bool:
    """Return whether most of the letters, or the first one, are written from right to left."""
    directions = [
        direction in ("R", "AL")
        for direction in map(unicodedata.bidirectional, text)
        if direction in ("L", "R", "AL")
    ]
    if not directions:
        return not most
    return sum(directions) * 2 > len(directions) if most else directions[0]


def _vtt_escaped(line: str) -> str:
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _srt_escaped(line: str) -> str:
    return _SRT_TAG.sub(lambda found: found[0] + _WORD_JOINER, line.replace("-->", "→"))
