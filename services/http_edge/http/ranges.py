"""Range requests (RFC 9110, section 14). Pure."""

import re
from typing import Final, NamedTuple

from services.http_edge.errors import RangeNotSatisfiable

_ONE_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class ByteRange(NamedTuple):
    """Bytes [start, end) of a body."""

    start: int
    end: int


def requested_range(header: str | None, size: int) -> ByteRange | None:
    """Return the bytes that a Range header selects, or None for the whole body.

    Invalid headers, several ranges and other units are ignored, as a server is allowed to do.
    Raises RangeNotSatisfiable if the range is outside the body.
    """
    found = _ONE_RANGE.fullmatch(header.strip()) if header is not None else None
    if found is None or found.groups() == ("", ""):
        return None

    first, last = found.groups()
    if first == "":
        start = max(0, size - int(last))
        end = size
    else:
        start = int(first)
        end = size if last == "" else min(int(last) + 1, size)

        if last != "" and int(last) < start:
            return None  # invalid

    if start >= end:
        raise RangeNotSatisfiable(
            f"the audio has {size} bytes; request a range within it", size=size
        )

    return ByteRange(start, end)


def not_modified(if_none_match: str | None, etag: str) -> bool:
    """Return whether the client has the body: its If-None-Match lists this ETag, or is `*` (RFC 9110, 13.1.2).

    Weak comparison: `W/` is ignored.
    """
    if if_none_match is None:
        return False

    known = [given.strip().removeprefix("W/") for given in if_none_match.split(",")]
    return "*" in known or etag.removeprefix("W/") in known


def range_applies(if_range: str | None, etag: str) -> bool:
    """Return whether to apply Range: not if If-Range has another ETag (a date never matches)."""
    return if_range is None or if_range.strip() == etag
