"""Rewrites what widely used MessagePack encoders write for integers and absent fields. Pure.

JavaScript has one type of number, so msgpackr writes every integer above 32 bits, such as a deadline, as a float; other
encoders write every number as one. And an absent optional field is often nil: `undefined` in JavaScript, an empty map
in Go. `rewritten` turns such numbers into integers and leaves such fields out; the strict decoder then checks the rest.

The bytes are scanned once, without building values, and at most `_MOST_VALUES` of them.
"""

import struct
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

import msgpack

_MOST_VALUES: Final = 20_000  # about 20 ms
_EXACT: Final = 2**53  # floats beyond it are not certain integers
_NIL: Final = 0xC0
_FLOATS: Final = {0xCA: ">f", 0xCB: ">d"}
_SIZES: Final = (">B", ">H", ">I")

# https://github.com/msgpack/msgpack/blob/master/spec.md: values of a fixed size, by their first byte
_FIXED: Final = {
    **dict.fromkeys((_NIL, 0xC2, 0xC3), 1),
    0xCA: 5,
    0xCB: 9,
    **{0xCC + power: 1 + 2**power for power in range(4)},
    **{0xD0 + power: 1 + 2**power for power in range(4)},
    **{0xD4 + power: 2 + 2**power for power in range(5)},
}
# bytes whose length follows the first byte, and how many bytes more their head has
_BYTES: Final = {
    **{0xC4 + size: (_SIZES[size], 0) for size in range(3)},
    **{0xC7 + size: (_SIZES[size], 1) for size in range(3)},
    **{0xD9 + size: (_SIZES[size], 0) for size in range(3)},
}
# containers whose length follows the first byte, and the values in each of their entries
_CONTAINERS: Final = {0xDC: (">H", 1), 0xDD: (">I", 1), 0xDE: (">H", 2), 0xDF: (">I", 2)}


class _Value(NamedTuple):
    """A value, or the head of a container."""

    end: int  # offset of the byte after it
    inside: int  # values in the container


def rewritten(payload: bytes, optional: AbstractSet[bytes]) -> bytes | None:
    """Return the message with integers for integral floats, without `optional` fields that are nil.

    None for bytes that are not a map, are truncated, or have too many values.
    """
    try:
        return _rewritten(payload, optional)
    except (IndexError, struct.error):
        return None


def _rewritten(payload: bytes, optional: AbstractSet[bytes]) -> bytes | None:
    head = _value(payload, 0)
    if not _is_map(payload[0]):
        return None

    offset = head.end
    entries: list[bytes] = []
    values = 0
    for _ in range(head.inside // 2):
        name_end = _value(payload, offset).end
        entry_end, content, scanned = _content(payload, name_end, _MOST_VALUES - values)
        values += scanned + 1
        if values > _MOST_VALUES:
            return None

        absent = payload[name_end] == _NIL and _text(payload[offset:name_end]) in optional
        if not absent:
            entries.append(payload[offset:name_end] + content)
        offset = entry_end

    size = msgpack.Packer().pack_map_header(len(entries))
    return b"".join((size, *entries, payload[offset:]))


def _content(payload: bytes, start: int, most: int) -> tuple[int, bytes, int]:
    """Return the end of a value with all that is in it, its rewritten bytes, and the values in it.

    Stops after `most` values.
    """
    parts: list[bytes] = []
    offset = start
    pending = 1
    scanned = 0
    while pending and scanned <= most:
        value = _value(payload, offset)
        parts.append(_integral(payload[offset : value.end]))
        pending += value.inside - 1
        offset = value.end
        scanned += 1
    return offset, b"".join(parts), scanned


def _value(payload: bytes, offset: int) -> _Value:
    """Return the value at the offset. Raises IndexError, struct.error if it is truncated or invalid."""
    first = payload[offset]
    after = offset + 1
    inside = 0
    if first <= 0x7F or first >= 0xE0:
        end = after
    elif first <= 0x9F:
        end = after
        inside = (first & 0x0F) * (2 if first <= 0x8F else 1)
    elif first <= 0xBF:
        end = after + (first & 0x1F)
    elif first in _FIXED:
        end = offset + _FIXED[first]
    elif first in _BYTES:
        layout, more = _BYTES[first]
        [length] = struct.unpack_from(layout, payload, after)
        end = after + struct.calcsize(layout) + more + length
    elif first in _CONTAINERS:
        layout, each = _CONTAINERS[first]
        [length] = struct.unpack_from(layout, payload, after)
        end = after + struct.calcsize(layout)
        inside = length * each
    else:
        raise IndexError("not MessagePack")

    if end > len(payload):
        raise IndexError("truncated")
    return _Value(end, inside)


def _is_map(first: int) -> bool:
    return 0x80 <= first <= 0x8F or first in (0xDE, 0xDF)


def _integral(value: bytes) -> bytes:
    """Return an integral float as an integer; any other value unchanged."""
    layout = _FLOATS.get(value[0])
    if layout is None:
        return value

    [number] = struct.unpack_from(layout, value, 1)
    if not (-_EXACT <= number <= _EXACT and number.is_integer()):
        return value
    packed: bytes = msgpack.packb(int(number))
    return packed


def _text(name: bytes) -> bytes:
    """Return the characters of a short string, as every field's name is."""
    if 0xA0 <= name[0] <= 0xBF:
        return name[1:]
    return name[2:] if name[0] == 0xD9 else b""
