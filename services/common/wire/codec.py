"""Messages to bytes and back: MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md), checked."""

from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple, TypeVar, get_args

import msgpack
import msgspec

from services.common.wire.failures import MalformedMessage
from services.common.wire.fields import RequestId
from services.common.wire.lenient import rewritten
from services.common.wire.messages import Message

T = TypeVar("T")


class _Owned(msgspec.Struct):
    """The field of a malformed message that identifies its sender; the decoder builds no other one."""

    request: RequestId


def encode(message: Message) -> bytes:
    """Return the message as a MessagePack map; equal messages give equal bytes."""
    packed: bytes = msgpack.packb(
        msgspec.to_builtins(message, builtin_types=(bytes,)), use_bin_type=True
    )
    return packed


def decode(payload: bytes, expected: type[T]) -> T:
    """Return the message in `payload`, of the expected type or one of an expected union.

    Unknown fields are ignored. An integral float counts as an integer, nil as an absent optional field, and a string in
    a field of bytes as these bytes, as some encoders write them. Raises MalformedMessage, which names the field at
    fault and never its value, for bytes that are not MessagePack, a wrong or missing type, a missing field, or a value
    outside its bounds.
    """
    # Decoded by type, so that nothing is built of what no field asks for: 8 MB of empty maps would be half a gigabyte.
    try:
        return msgspec.msgpack.decode(payload, type=expected, strict=True)
    except msgspec.ValidationError as error:
        fields = _tolerated(expected)  # type: ignore[arg-type]  # every type is hashable
        lenient = rewritten(payload, fields.optional, fields.binary)
        if lenient is None or lenient == payload:
            raise MalformedMessage(_without_values(str(error))) from None
    except (ValueError, RecursionError) as error:
        raise _not_messagepack(error) from None

    try:
        return msgspec.msgpack.decode(lenient, type=expected, strict=True)
    except msgspec.ValidationError as error:
        raise MalformedMessage(_without_values(str(error))) from None
    except (ValueError, RecursionError) as error:
        raise _not_messagepack(error) from None


class _Tolerated(NamedTuple):
    """The names of fields that may be written in another way."""

    optional: frozenset[bytes]  # nil can only mean that they are absent
    binary: frozenset[bytes]  # a string can only mean bytes


@cache
def _tolerated(expected: Any) -> _Tolerated:
    """Return the fields of a message, or of a union of messages that agree on the field."""
    kinds = [
        kind for kind in get_args(expected) or (expected,) if hasattr(kind, "__struct_fields__")
    ]
    fields = [field for kind in kinds for field in msgspec.structs.fields(kind)]
    nullable = {field.encode_name for field in fields if type(None) in get_args(field.type)}
    required = {field.encode_name for field in fields if field.required}
    optional = {field.encode_name for field in fields} - nullable - required
    binary = {field.encode_name for field in fields if _is_bytes(field.type)}
    others = {field.encode_name for field in fields if not _is_bytes(field.type)}
    return _Tolerated(_encoded(optional), _encoded(binary - others))


def _is_bytes(kind: Any) -> bool:
    return kind is bytes or bytes in get_args(kind)


def _encoded(names: Iterable[str]) -> frozenset[bytes]:
    return frozenset(name.encode() for name in names)


def _not_messagepack(error: Exception) -> MalformedMessage:
    return MalformedMessage(f"not one MessagePack value ({type(error).__name__})")


def _without_values(complaint: str) -> str:
    """Keep a validation complaint readable and short: msgspec quotes patterns and tags, never texts or voices."""
    return complaint[:300]


def peek_request(payload: bytes) -> str | None:
    """Return the request id of an otherwise malformed message, so that its sender can be notified; else None."""
    try:
        return msgspec.msgpack.decode(payload, type=_Owned).request
    except (ValueError, RecursionError):
        return None
