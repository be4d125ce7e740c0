"""Range requests (RFC 9110, section 14). Pure."""

import re
from typing import Final, NamedTuple

from services.http_edge.errors import RangeNotSatisfiable

_ONE_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class ByteRange(NamedTuple):
    """Bytes [start, end) of a whole."""

    start: int
    end: int


def requested_range(header: str | None, size: int) -> ByteRange | None:
    """Return the bytes that a Range header asks for, or None for the whole: also for several ranges at once and for
    other units, which a server may pass over. Raises RangeNotSatisfiable where no such byte exists."""
    found = _ONE_RANGE.fullmatch(header.strip()) if header is not None else None
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if first == "":
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), size if last == "" else min(int(last) + 1, size)
        if last != "" and int(last) < start:
            return None  # not a range at all
    if start >= end:
        raise RangeNotSatisfiable(f"the audio has {size} bytes", size=size)
    return ByteRange(start, end)


def range_applies(if_range: str | None, etag: str) -> bool:
    """Return whether a Range applies: not if If-Range names another version (a date never matches)."""
    return if_range is None or if_range.strip() == etag
