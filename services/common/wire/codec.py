"""Messages to bytes and back: MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md), checked."""

import re
from typing import TypeVar

import msgpack
import msgspec

from services.common.wire.failures import MalformedMessage
from services.common.wire.messages import Message

T = TypeVar("T")


def encode(message: Message) -> bytes:
    """Return the message as a MessagePack map; equal messages give equal bytes."""
    packed: bytes = msgpack.packb(
        msgspec.to_builtins(message, builtin_types=(bytes,)), use_bin_type=True
    )
    return packed


def decode(payload: bytes, expected: type[T]) -> T:
    """Return the message in `payload`, of the expected type or one of an expected union.

    Unknown fields are ignored. Raises MalformedMessage, which names the field at fault and never its value, for
    bytes that are not MessagePack, a wrong or missing type, a missing field, or a value outside its bounds.
    """
    # Decoded by type, so that nothing is built of what no field asks for: 8 MB of empty maps would be half a gigabyte.
    try:
        return msgspec.msgpack.decode(payload, type=expected, strict=True)
    except msgspec.ValidationError as error:
        raise MalformedMessage(_without_values(str(error))) from None
    except (ValueError, RecursionError) as error:
        raise MalformedMessage(f"not one MessagePack value ({type(error).__name__})") from None


def _without_values(complaint: str) -> str:
    """Keep a validation complaint readable and short: msgspec quotes patterns and tags, never texts or voices."""
    return complaint[:300]


def peek_request(payload: bytes) -> str | None:
    """Return the request id of an otherwise malformed message, so that its sender can be notified; else None."""
    try:
        value = msgspec.msgpack.decode(
            msgspec.msgpack.decode(payload, type=dict[str, msgspec.Raw])["request"], type=str
        )
    except (ValueError, RecursionError, KeyError):
        return None
    return value if re.fullmatch(r"[A-Za-z0-9_-]{8,64}", value) else None
