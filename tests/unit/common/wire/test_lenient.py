"""Messages as the encoders of other languages write them."""

import struct
from contextlib import suppress
from typing import get_args

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.wire import codec
from services.common.wire.failures import MalformedMessage
from services.common.wire.lenient import rewritten
from services.common.wire.messages import (
    CancelSpeech,
    Message,
    NormalizeText,
    SpeechFailed,
    SpeechRequest,
    StoreClip,
)
from services.common.wire.voices import VoiceCommand
from tests.support.messages import EXAMPLES


def values(max_leaves: int) -> st.SearchStrategy[object]:
    """Return everything that msgpack can write, nested in lists and maps."""
    return st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats()
        | st.text()
        | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=max_leaves,
    )


VALUES = values(30)
UNKNOWN = st.dictionaries(st.text(max_size=8).map("x-{}".format), values(5), max_size=2)


def content(message: Message) -> dict[str, object]:
    decoded = msgpack.unpackb(codec.encode(message))
    assert isinstance(decoded, dict)
    return decoded


def with_floats(value: object) -> object:
    """Return the value as an encoder with one kind of number writes it."""
    if isinstance(value, dict):
        return {name: with_floats(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [with_floats(inner) for inner in value]
    exact = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= 2**53
    return float(value) if exact else value  # type: ignore[arg-type]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_an_integral_float_is_an_integer_in_every_message(message: Message) -> None:
    packed = msgpack.packb(with_floats(content(message)))
    assert codec.decode(packed, type(message)) == message


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_nil_is_an_absent_optional_field_in_every_message(message: Message) -> None:
    optional = [
        field.encode_name
        for field in msgspec.structs.fields(type(message))
        if not field.required and type(None) not in get_args(field.type)
    ]
    sent = {name: value for name, value in content(message).items() if name not in optional}
    absent = codec.decode(msgpack.packb(sent), type(message))
    assert codec.decode(msgpack.packb(sent | dict.fromkeys(optional)), type(message)) == absent


def test_a_deadline_that_is_written_as_a_float_is_the_same_millisecond() -> None:
    sent = content(EXAMPLES[0]) | {"deadline_unix_ms": 1_793_900_000_123.0, "parameters": None}
    decoded = codec.decode(msgpack.packb(sent), SpeechRequest)
    assert decoded.deadline_unix_ms == 1_793_900_000_123
    assert isinstance(decoded.deadline_unix_ms, int)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", 1.5),
        ("seed", float("nan")),
        ("seed", float("inf")),
        ("seed", -1.0),
        ("seed", 2.0**60),  # which integer was meant is not certain
        ("seed", "1"),
        ("seed", True),
        ("seed", None),
        ("deadline_unix_ms", 1e18),
        ("text", None),
        ("text", 1.0),
        ("clips", [None]),
        ("pronunciations", {"SQL": None}),
        ("split", 1.0),
        ("first_sentence", 0.5),
        ("parameters", {"speed": 9.0}),
    ],
)
def test_anything_else_is_refused_by_the_name_of_its_field(name: str, value: object) -> None:
    sent = content(EXAMPLES[0]) | {"deadline_unix_ms": 5.0, name: value}
    with pytest.raises(MalformedMessage, match=name):
        codec.decode(msgpack.packb(sent), SpeechRequest)


def test_a_required_nil_stays_a_nil() -> None:
    failed = {
        "type": "SpeechFailed",
        "request": "request-1",
        "sentence": None,
        "code": "a",
        "detail": "b",
        "retryable": True,
    }
    assert codec.decode(msgpack.packb(failed), SpeechFailed).sentence is None
    both = SpeechRequest | SpeechFailed
    assert codec.decode(msgpack.packb(failed), both).sentence is None  # type: ignore[arg-type]


@given(st.dictionaries(st.text(max_size=40), VALUES))
def test_only_integral_floats_are_rewritten(sent: dict[str, object]) -> None:
    def repaired(value: object) -> object:
        if isinstance(value, dict):
            return {name: repaired(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [repaired(inner) for inner in value]
        exact = isinstance(value, float) and value.is_integer() and abs(value) <= 2**53
        return int(value) if exact else value  # type: ignore[call-overload]

    found = rewritten(msgpack.packb(sent), frozenset())
    assert found == msgpack.packb(repaired(sent))


@given(st.binary(max_size=200))
def test_any_bytes_are_rewritten_or_left_alone(payload: bytes) -> None:
    rewritten(payload, frozenset({b"seed"}))


def as_written(value: object, draw: st.DrawFn) -> bytes:
    """Return a value in one of the ways in which encoders write it."""
    if isinstance(value, list):
        items = [as_written(inner, draw) for inner in value]
        return b"\xdd" + struct.pack(">I", len(items)) + b"".join(items)
    if isinstance(value, dict):
        return as_map([(as_written(name, draw), as_written(value[name], draw)) for name in value])

    ways = [msgpack.packb(value)]
    if isinstance(value, int) and not isinstance(value, bool):
        ways = integers(value)
    if isinstance(value, str):
        ways = headed(value.encode(), strings=True)
    if isinstance(value, bytes):
        ways = [*headed(value, strings=False), *headed(value, strings=True)]
    return draw(st.sampled_from(ways))


def as_map(entries: list[tuple[bytes, bytes]]) -> bytes:
    return b"\xdf" + struct.pack(">I", len(entries)) + b"".join(map(b"".join, entries))


def integers(value: int) -> list[bytes]:
    """Return an integer in every width that holds it, and as floats."""
    made = [msgpack.packb(value)]
    for code, layout in enumerate((">B", ">H", ">I", ">Q", ">b", ">h", ">i", ">q")):
        with suppress(struct.error):
            made.append(bytes((0xCC + code,)) + struct.pack(layout, value))
    if abs(value) <= 2**53:
        made.append(b"\xcb" + struct.pack(">d", value))
    if abs(value) <= 2**24:
        made.append(b"\xca" + struct.pack(">f", value))
    return made


def headed(value: bytes, *, strings: bool) -> list[bytes]:
    """Return bytes with every head that holds their length."""
    made = []
    for size, layout in enumerate((">B", ">H", ">I")):
        with suppress(struct.error):
            head = (0xD9 if strings else 0xC4) + size
            made.append(bytes((head,)) + struct.pack(layout, len(value)) + value)
    return made


@st.composite
def written(draw: st.DrawFn, message: Message) -> bytes:
    """Draw the bytes of a message from an encoder of another language, with absent fields and unknown ones."""
    sent = content(message)
    entries = [(as_written(name, draw), as_written(value, draw)) for name, value in sent.items()]
    for field in msgspec.structs.fields(type(message)):
        nullable = type(None) in get_args(field.type)
        if field.encode_name not in sent and not field.required and not nullable:
            absent = draw(st.sampled_from([b"", b"\xc0", b"\xd4\x00\x00"]))
            entries += [(as_written(field.encode_name, draw), absent)] if absent else []
    unknown = draw(UNKNOWN)
    entries += [(msgpack.packb(name), msgpack.packb(value)) for name, value in unknown.items()]
    return as_map(draw(st.permutations(entries)))


COMMANDS = [
    message
    for message in EXAMPLES
    if isinstance(message, SpeechRequest | CancelSpeech | NormalizeText | StoreClip | VoiceCommand)
]


@pytest.mark.parametrize("message", COMMANDS, ids=lambda message: type(message).__name__)
@given(st.data())
def test_what_a_client_sends_is_read_however_its_encoder_writes_it(
    message: Message, data: st.DataObject
) -> None:
    assert codec.decode(data.draw(written(message)), type(message)) == message


@pytest.mark.parametrize("message", COMMANDS, ids=lambda message: type(message).__name__)
def test_undefined_as_msgpackr_writes_it_is_an_absent_field(message: Message) -> None:
    optional = [
        field.encode_name
        for field in msgspec.structs.fields(type(message))
        if not field.required and type(None) not in get_args(field.type)
    ]
    sent = {name: value for name, value in content(message).items() if name not in optional}
    absent = codec.decode(msgpack.packb(sent), type(message))
    undefined = dict.fromkeys(optional, msgpack.ExtType(0, b"\0"))
    assert codec.decode(msgpack.packb(sent | undefined), type(message)) == absent


def test_bytes_may_be_a_string_but_a_text_may_not_be_bytes() -> None:
    [clip] = [message for message in EXAMPLES if isinstance(message, StoreClip)]
    audio = b"\xff\xfb\x90\x00" * 20_000
    raw = msgpack.packb({**content(clip), "audio": audio}, use_bin_type=False)
    assert codec.decode(raw, StoreClip).audio == audio
    with pytest.raises(MalformedMessage, match="text"):
        codec.decode(msgpack.packb({**content(EXAMPLES[0]), "text": b"Hello."}), SpeechRequest)


HOSTILE = {
    "tiny values": b"\x81\xa1a\xdd\x00\x7a\x12\x00" + b"\x80" * 8_000_000,
    "many fields": b"\xdf\x00\x20\x00\x00" + b"\xa1a\xcb" * 2_000_000,
    "deep": b"\x81\xa1a" + b"\x91" * 8_000_000,
    "a promise": b"\xdf\xff\xff\xff\xff",
    "a long string": b"\x81\xa1a\xdb\xff\xff\xff\xff" + b"a" * 100,
    "a large value": b"\x81\xa1a\xc6" + struct.pack(">I", 8_000_000) + b"\xcb" * 8_000_000,
    "nothing": b"",
    "no map": b"\xcb" + b"\x00" * 8,
}


@pytest.mark.parametrize("payload", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_bytes_are_not_scanned_to_their_end(payload: bytes) -> None:
    assert rewritten(payload, frozenset({b"a"})) in (None, payload)
    with pytest.raises(MalformedMessage):
        codec.decode(payload, SpeechRequest)
