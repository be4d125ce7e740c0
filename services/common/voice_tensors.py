"""A computed voice as portable bytes: the tensors that an engine made of recordings, in the safetensors format. Pure.

The file is 8 bytes with the length of the header, a JSON header with type, shape and offsets of each tensor, and the
numbers: float32, little-endian (https://huggingface.co/docs/safetensors). `__metadata__` names the engine, and the
model whose tensors they are; nothing else decides which worker can use them. Nothing in a file is run, and
`unpack_tensors` accepts bytes that anyone can have made.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Final, NamedTuple, TypeVar

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from services.common.wire.failures import MalformedMessage
from services.common.wire.fields import EngineName
from services.common.wire.voices import ModelName

MOST_BYTES: Final = 1024 * 1024  # of one computed voice; that of XTTS-v2 has 0.13 million
_MOST_HEADER_BYTES: Final = 4_096
_LENGTH_BYTES: Final = 8
_MOST_TENSORS: Final = 8
_NUMBER: Final = np.dtype("<f4")
_ADVICE: Final = "send one that this service or safetensors wrote"

T = TypeVar("T")
_Size = Annotated[int, Meta(ge=1, le=MOST_BYTES)]
_Offset = Annotated[int, Meta(ge=0, le=MOST_BYTES)]
_Shape = Annotated[tuple[_Size, ...], Meta(min_length=1, max_length=4)]
_TensorName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}\Z")]


class VoiceTensors(NamedTuple):
    """The tensors of a voice, which a model of an engine computed."""

    engine: str
    model: str  # as the engine names it; empty: unknown
    tensors: Mapping[str, NDArray[np.float32]]


class _Tensor(Struct, frozen=True):
    dtype: Annotated[str, Meta(max_length=8)]
    shape: _Shape
    data_offsets: tuple[_Offset, _Offset]  # begin and end, in bytes, after the header


class _Metadata(Struct, frozen=True):
    engine: EngineName | None = None
    model: ModelName = ""


def pack_tensors(voice: VoiceTensors) -> bytes:
    """Return the bytes of a computed voice. Equal voices give equal bytes."""
    header: dict[str, object] = {"__metadata__": {"engine": voice.engine, "model": voice.model}}
    content = b""
    for name, values in sorted(voice.tensors.items()):
        packed = values.astype(_NUMBER).tobytes()
        offsets = (len(content), len(content) + len(packed))
        header[name] = _Tensor("F32", values.shape, offsets)
        content += packed
    encoded = msgspec.json.encode(header)
    padding = b" " * (-len(encoded) % _LENGTH_BYTES)  # so that numbers are aligned
    length = len(encoded) + len(padding)
    return length.to_bytes(_LENGTH_BYTES, "little") + encoded + padding + content


def unpack_tensors(content: bytes, engine: str | None = None) -> VoiceTensors:
    """Return the tensors of a computed voice; `engine`: of one that does not name it.

    Raises MalformedMessage, which states what is wrong with it.
    """
    if len(content) > MOST_BYTES:
        raise MalformedMessage(f"a computed voice has more than {MOST_BYTES} bytes; {_ADVICE}")
    length = int.from_bytes(content[:_LENGTH_BYTES], "little")
    begin = _LENGTH_BYTES + length
    if not 0 < length <= _MOST_HEADER_BYTES or begin > len(content):
        raise MalformedMessage(f"a computed voice is not a safetensors file; {_ADVICE}")
    header = _header(content[_LENGTH_BYTES:begin])
    metadata = _converted(header.pop("__metadata__", b"{}"), _Metadata)
    named = metadata.engine or engine
    if named is None:
        raise MalformedMessage(f"__metadata__ of a computed voice names no engine; {_ADVICE}")
    described = {name: _converted(raw, _Tensor) for name, raw in header.items()}
    if not 1 <= len(described) <= _MOST_TENSORS:
        raise MalformedMessage(f"a computed voice has {len(described)} tensors; {_ADVICE}")
    return VoiceTensors(named, metadata.model, _tensors(described, content[begin:]))


def _header(content: bytes) -> dict[str, bytes]:
    try:
        raw = msgspec.json.decode(content, type=dict[_TensorName, msgspec.Raw])
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        raise MalformedMessage(
            f"the header of a computed voice cannot be read; {_ADVICE}"
        ) from None
    return {name: bytes(value) for name, value in raw.items()}


def _converted(raw: bytes, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=type_)
    except (ValueError, RecursionError) as error:
        reason = str(error)[:200] if isinstance(error, msgspec.ValidationError) else "not JSON"
        raise MalformedMessage(f"the header of a computed voice: {reason}") from None


def _tensors(described: Mapping[str, _Tensor], content: bytes) -> dict[str, NDArray[np.float32]]:
    """Return the tensors, which cover the content without gaps and overlaps."""
    tensors: dict[str, NDArray[np.float32]] = {}
    end = 0
    for name, tensor in sorted(described.items(), key=lambda entry: entry[1].data_offsets):
        if tensor.dtype != "F32":
            raise MalformedMessage(f"{name} of a computed voice must be of type F32")
        size = math.prod(tensor.shape) * _NUMBER.itemsize
        if tensor.data_offsets != (end, end + size):
            raise MalformedMessage(f"shape and offsets of {name} of a computed voice do not agree")
        end += size
        if end > len(content):
            raise MalformedMessage(f"{name} of a computed voice is truncated")
        values = np.frombuffer(content[end - size : end], dtype=_NUMBER)
        if not np.isfinite(values).all():
            raise MalformedMessage(f"{name} of a computed voice has numbers that are not finite")
        tensors[name] = values.astype(np.float32).reshape(tensor.shape)
    if end != len(content):
        raise MalformedMessage(f"a computed voice has bytes after its tensors; {_ADVICE}")
    return tensors
