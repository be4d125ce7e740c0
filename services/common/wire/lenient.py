"""Rewrites what widely used MessagePack encoders write for integers and absent fields. Pure.

JavaScript has one type of number, so msgpackr writes every integer above 32 bits, such as a deadline, as a float; other
encoders write every number as one. And an absent optional field is often nil: `undefined` in JavaScript, an empty map
in Go; msgpackr writes `undefined` as an extension. Languages with one type of string, such as PHP and Lua, write bytes
as `str`. `rewritten` turns such numbers into integers, leaves such fields out and marks bytes as `bin`; the strict
decoder then checks the rest.

The bytes are scanned once, without building values, and at most `_MOST_VALUES` of them.
"""

import struct
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

import msgpack

_MOST_VALUES: Final = 20_000  # about 20 ms
_EXACT: Final = 2**53  # floats beyond it are not certain integers
_NIL: Final = 0xC0
_UNDEFINED: Final = b"\xd4\x00\x00"  # of msgpackr: extension 0 with one zero byte
_FLOATS: Final = {0xCA: ">f", 0xCB: ">d"}
_SIZES: Final = (">B", ">H", ">I")
_NONE: Final[AbstractSet[bytes]] = frozenset()

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
_STRING_HEADS: Final = {0xD9 + size: 2 if size == 0 else 1 + 2**size for size in range(3)}
# containers whose length follows the first byte, and the values in each of their entries
_CONTAINERS: Final = {0xDC: (">H", 1), 0xDD: (">I", 1), 0xDE: (">H", 2), 0xDF: (">I", 2)}


class _Value(NamedTuple):
    """A value, or the head of a container."""

    end: int  # offset of the byte after it
    inside: int  # values in the container


def rewritten(
    payload: bytes, optional: AbstractSet[bytes], binary: AbstractSet[bytes] = _NONE
) -> bytes | None:
    """Return the message with integers for integral floats, without `optional` fields that are nil.

    The strings in its `binary` fields become bytes.

    None for bytes that are not a map, are truncated, or have too many values.
    """
    try:
        return _rewritten(payload, optional, binary)
    except (IndexError, struct.error):
        return None


def _rewritten(
    payload: bytes, optional: AbstractSet[bytes], binary: AbstractSet[bytes]
) -> bytes | None:
    head = _value(payload, 0)
    if not _is_map(payload[0]):
        return None

    offset = head.end
    entries: list[bytes] = []
    values = 0
    kept = 0
    for _ in range(head.inside // 2):
        name_end = _value(payload, offset).end
        entry_end, content, scanned = _content(payload, name_end, _MOST_VALUES - values)
        values += scanned + 1
        if values > _MOST_VALUES:
            return None

        name = _text(payload[offset:name_end])
        absent = content[0] == _NIL and name in optional
        if not absent:
            entries.append(payload[offset:name_end])
            entries.append(_as_bytes(content) if name in binary else content)
            kept += 1
        offset = entry_end

    size = msgpack.Packer().pack_map_header(kept)
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
        parts.append(_plain(payload[offset : value.end]))
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


def _plain(value: bytes) -> bytes:
    """Return an integral float as an integer, and `undefined` as nil; any other value unchanged."""
    if value == _UNDEFINED:
        return bytes((_NIL,))
    layout = _FLOATS.get(value[0])
    if layout is None:
        return value

    [number] = struct.unpack_from(layout, value, 1)
    if not (-_EXACT <= number <= _EXACT and number.is_integer()):
        return value
    packed: bytes = msgpack.packb(int(number))
    return packed


def _text(name: bytes) -> bytes:
    """Return the characters of a string; nothing of any other value."""
    if 0xA0 <= name[0] <= 0xBF:
        return name[1:]
    return name[_STRING_HEADS.get(name[0], len(name)) :]


def _as_bytes(value: bytes) -> bytes:
    """Return a string as bytes; any other value unchanged."""
    if not (0xA0 <= value[0] <= 0xBF or value[0] in _STRING_HEADS):
        return value

    packed: bytes = msgpack.packb(_text(value))
    return packed
