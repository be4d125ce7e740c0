"""Computed voices as portable bytes."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from services.common.voice_tensors import MOST_BYTES, VoiceTensors, pack_tensors, unpack_tensors
from services.common.wire.failures import MalformedMessage

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
tensors = st.dictionaries(
    st.from_regex(r"[A-Za-z0-9_.-]{1,10}", fullmatch=True),
    arrays(np.float32, array_shapes(max_dims=4, max_side=4), elements=finite),
    min_size=1,
    max_size=8,
)
VOICE = VoiceTensors(
    "xtts", "abc", {"a": np.ones((2, 3), np.float32), "b": np.zeros(4, np.float32)}
)
PACKED = pack_tensors(VOICE)


def packed(header: object, content: bytes = b"") -> bytes:
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + content


def tensor(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def named(**entries: Any) -> dict[str, Any]:
    return {"__metadata__": {"engine": "xtts"}} | entries


@given(tensors)
def test_tensors_are_unpacked_as_they_were_packed(given_tensors: dict[str, Any]) -> None:
    content = pack_tensors(VoiceTensors("xtts", "m-1.0", given_tensors))
    assert pack_tensors(VoiceTensors("xtts", "m-1.0", given_tensors)) == content
    unpacked = unpack_tensors(content)
    assert (unpacked.engine, unpacked.model) == ("xtts", "m-1.0")
    assert unpacked.tensors.keys() == given_tensors.keys()
    for name, values in given_tensors.items():
        assert unpacked.tensors[name].shape == values.shape
        assert unpacked.tensors[name].tobytes() == values.tobytes()


def test_the_safetensors_library_reads_what_is_packed_and_its_files_are_read() -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    loaded = safetensors.load(PACKED)
    assert {name: values.tolist() for name, values in loaded.items()} == {
        name: values.tolist() for name, values in VOICE.tensors.items()
    }
    written = safetensors.save(dict(VOICE.tensors), metadata={"engine": "xtts"})
    assert unpack_tensors(written).tensors["a"].tolist() == VOICE.tensors["a"].tolist()
    without = safetensors.save(dict(VOICE.tensors))
    assert unpack_tensors(without, engine="xtts").engine == "xtts"
    with pytest.raises(MalformedMessage, match="names no engine"):
        unpack_tensors(without)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(MalformedMessage):
        unpack_tensors(content)


@given(st.data())
@settings(max_examples=300)
def test_changed_bytes_are_read_as_finite_numbers_or_refused(data: st.DataObject) -> None:
    content = bytearray(PACKED)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(PACKED) - 1))] = data.draw(st.integers(0, 255))
    try:
        unpacked = unpack_tensors(bytes(content))
    except MalformedMessage:
        return
    assert all(np.isfinite(values).all() for values in unpacked.tensors.values())


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (packed(named()), "has 0 tensors"),
        (packed(named(**{f"t{n}": tensor([1], 0, 4) for n in range(9)}), bytes(4)), "has 9"),
        (packed(named(a=tensor([1], 0, 2, "F16")), bytes(2)), "type F32"),
        (packed(named(a=tensor([2], 0, 4)), bytes(4)), "do not agree"),
        (packed(named(a=tensor([1], 4, 8)), bytes(8)), "do not agree"),
        (packed(named(a=tensor([1], 0, 4), b=tensor([1], 0, 4)), bytes(4)), "do not agree"),
        (packed(named(a=tensor([1], 0, 4)), bytes(3)), "truncated"),
        (packed(named(a=tensor([1], 0, 4)), b"\x00\x00\x80\x7f"), "not finite"),
        (packed(named(a=tensor([1], 0, 4)), bytes(8)), "bytes after"),
        (packed(named(a=tensor([-1], 0, 4)), bytes(4)), "header"),
        (packed(named(a=tensor([], 0, 4)), bytes(4)), "header"),
        (packed(named(a=tensor([1 << 40, 1 << 40], 0, 4)), bytes(4)), "header"),
        (packed(named(**{"a/b": tensor([1], 0, 4)}), bytes(4)), "header"),
        (packed({"__metadata__": {"engine": "X/Y"}, "a": tensor([1], 0, 4)}, bytes(4)), "engine"),
        (packed(b"[" * 4_000), "header"),
        ((1 << 60).to_bytes(8, "little") + bytes(20), "not a safetensors file"),
        (bytes(MOST_BYTES + 1), "more than"),
        (b"", "not a safetensors file"),
        (b"\x80\x04\x95pickle", "not a safetensors file"),
    ],
)
def test_what_is_wrong_is_named(content: bytes, complaint: str) -> None:
    with pytest.raises(MalformedMessage, match=complaint):
        unpack_tensors(content)
