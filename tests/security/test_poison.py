"""A message that decodes or does not ends in a failure or a dead letter: no process dies of it, and none spins."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.common.bus import topology
from services.common.bus.inbox import decoded, open_inbox
from services.common.bus.ports import Bus, SubjectFull
from services.common.wire import codec, messages, subjects
from services.common.wire.failures import MalformedMessage
from services.common.wire.fields import MOST_SENTENCES
from services.common.wire.identity import clip_object
from services.common.wire.messages import Message, SpeechFailed, SpeechRequest
from services.common.wire.options import AS_USUAL
from services.http_edge.metrics import Metrics
from services.http_edge.speech.assembly import Assembly
from services.http_edge.speech.session import SpeechSessions
from tests.support.buses import bus_of
from tests.support.messages import EXAMPLES
from tests.support.service import (
    digest,
    expected_pcm,
    only_sentence,
    speech_request,
    stored_clip,
    tone_service,
)

HUGE = [
    2**62,
    2**63 - 1,
    2**64 - 1,
    -(2**63),
    -1,
    0,
    1e308,
    float("nan"),
    float("inf"),
    MOST_SENTENCES,
]
STRANGE: list[Any] = [
    *HUGE,
    None,
    True,
    "",
    "x" * 100_000,
    "tts.>",
    "*",
    "../../etc",
    b"\xff" * 64,
    [],
    {},
    [[]] * 10_000,
]


@pytest.fixture(params=["memory", "nats"])
async def bus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bus]:
    async with bus_of(request.param, tmp_path) as bus:
        yield bus


def with_field(message: Message, field: str, value: object) -> bytes:
    """Return a message's bytes with one field as an attacker writes it."""
    content = msgpack.unpackb(codec.encode(message))
    packed: bytes = msgpack.packb(content | {field: value})
    return packed


@st.composite
def hostile(draw: st.DrawFn) -> tuple[type[Message], bytes]:
    """Draw a message of the contract with some fields as an attacker writes them."""
    message = draw(st.sampled_from(EXAMPLES))
    content = msgpack.unpackb(codec.encode(message))
    for field in draw(st.lists(st.sampled_from(sorted(content)), min_size=1, max_size=3)):
        content[field] = draw(st.sampled_from(STRANGE))
    return type(message), msgpack.packb(content)


@settings(suppress_health_check=[HealthCheck.data_too_large, HealthCheck.too_slow])
@given(hostile())
def test_a_message_with_hostile_values_is_refused_or_has_values_within_the_bounds(
    attack: tuple[type[Message], bytes],
) -> None:
    kind, payload = attack
    try:
        message = codec.decode(payload, kind)
    except MalformedMessage:
        return
    for field in msgspec.structs.fields(kind):
        value = getattr(message, field.name)
        if isinstance(value, int) and field.name != "seed":
            assert value <= 253_402_300_799_999 or value <= 2**53


@pytest.mark.parametrize("field", ["first_sentence", "deadline_unix_ms"])
def test_no_number_of_a_message_is_without_a_bound(field: str) -> None:
    with pytest.raises(MalformedMessage, match=field):
        codec.decode(with_field(speech_request("0" * 64), field, 2**62), SpeechRequest)


def unbounded(kind: Any, name: str = "") -> list[str]:
    """Return the paths of numbers without bounds in a type of the contract."""
    found: list[str] = []
    if isinstance(kind, msgspec.inspect.IntType | msgspec.inspect.FloatType):
        lowest = kind.ge if kind.ge is not None else kind.gt
        return [] if lowest is not None and kind.le is not None else [name]
    for part in ("item_type", "key_type", "value_type"):
        found += unbounded(getattr(kind, part), f"{name}[]") if hasattr(kind, part) else []
    for inner in getattr(kind, "types", getattr(kind, "item_types", ())):
        found += unbounded(inner, name)
    for field in getattr(kind, "fields", ()):
        found += unbounded(field.type, f"{name}.{field.name}")
    return found


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_every_number_of_every_message_has_two_bounds(message: Message) -> None:
    kind = msgspec.inspect.type_info(type(message))
    assert unbounded(kind, type(message).__name__) == []


async def publish(bus: Bus, subject: str, payload: bytes) -> None:
    """Store a message, or find that its subject is taken."""
    try:
        await bus.publish(subject, payload, message_id=secrets.token_hex(8))
    except SubjectFull:
        return


async def until_empty(bus: Bus) -> None:
    """Wait until every work queue is empty."""
    async with asyncio.timeout(60):
        for stream in (topology.REQUESTS, topology.SENTENCES):
            while await bus.message_count(stream):
                await asyncio.sleep(0.05)


async def still_speaks(bus: Bus, clip: str) -> None:
    """Speak a text whole."""
    speaker = SpeechSessions(bus, Metrics(), first_audio_timeout_s=30)
    async with speaker.speaking(speech_request(clip)) as speech:
        pieces = [piece async for piece in speech.chunks()]
    assert digest(pieces) == digest([expected_pcm()])


async def test_a_request_that_begins_behind_its_end_fails_and_stops_no_splitter(bus: Bus) -> None:
    async with tone_service(bus, workers=1):
        clip = await stored_clip(bus)
        request = msgspec.structs.replace(speech_request(clip), first_sentence=MOST_SENTENCES)
        async with open_inbox(bus, "public", request.request) as inbox:
            await publish(bus, subjects.request("public"), codec.encode(request))
            event = await inbox.next(20)
        assert isinstance(event, SpeechFailed)
        assert (event.code, event.retryable) == ("malformed_message", False)
        assert "first_sentence" in event.detail
        await until_empty(bus)
        await still_speaks(bus, clip)


async def test_hostile_commands_neither_stop_nor_spin_a_process_and_the_next_request_is_spoken(
    bus: Bus,
) -> None:
    async with tone_service(bus, workers=1):
        clip = await stored_clip(bus)
        request = speech_request(clip)
        job = only_sentence(request, text="One.", parameters=AS_USUAL)
        for field in (
            "first_sentence",
            "tenant",
            "clips",
            "passages",
            "pronunciations",
            "deadline_unix_ms",
            "text",
        ):
            for value in (2**62, "globex", [["x"]] * 1_000, {"a": 2**62}):
                await publish(bus, subjects.request("public"), with_field(request, field, value))
        for last in ("notanumber", "-1", "9" * 30, "0"):
            subject = f"tts.v1.sentence.tone.standard.public.aaaaaaaa.{last}"
            for payload in (
                b"",
                b"junk",
                codec.encode(job),
                with_field(job, "pause_after_ms", 2**62),
            ):
                await publish(bus, subject, payload)
        for subject in (
            "tts.v1.request.public",
            "tts.v1.sentence.tone.standard.a",
            "tts.v1.sentence.tone.express.b.c",
        ):
            await publish(bus, subject, msgpack.packb([[[]]] * 1_000))
        for subject in (
            "tts.v1.cancel.public.short",
            "tts.v1.cancel.a.b",
            "tts.v1.worker.tone.w",
            "tts.v1.splitter.s",
        ):
            for payload in (b"", b"\xc1", *(codec.encode(message) for message in EXAMPLES)):
                await bus.send(subject, payload)
        await until_empty(bus)
        await still_speaks(bus, clip)


async def test_a_cancel_that_names_another_request_than_its_subject_stops_neither(bus: Bus) -> None:
    async with tone_service(bus, workers=1, real_time_factor=0.1):
        clip = await stored_clip(bus)
        request = speech_request(clip)
        speaker = SpeechSessions(bus, Metrics(), first_audio_timeout_s=30)
        async with speaker.speaking(request) as speech:
            pieces: list[bytes] = []
            async for piece in speech.chunks():
                if not pieces:
                    forged = messages.CancelSpeech(
                        request=request.request, tenant="globex", reason="forged"
                    )
                    for payload in (codec.encode(forged), b"", b"stop"):
                        await bus.send(subjects.cancel("public", request.request), payload)
                        await bus.send(subjects.cancel("globex", request.request), payload)
                pieces.append(piece)
    assert digest(pieces) == digest([expected_pcm()])


async def test_audio_of_another_request_is_ignored_on_any_subject(bus: Bus) -> None:
    clip = await stored_clip(bus)
    request, other = speech_request(clip), speech_request(clip, "Words of another tenant.")
    chunk = messages.AudioChunk(
        request=other.request,
        sentence=0,
        chunk=0,
        attempt=1,
        first_sample=0,
        sample_rate_hz=24_000,
        pcm=b"\1\0" * 50,
    )
    wrong = codec.encode(msgspec.structs.replace(chunk, request=request.request, chunk=1))
    async with open_inbox(bus, "public", request.request) as inbox:
        await publish(bus, subjects.chunk("public", request.request, 0, 0), codec.encode(chunk))
        await publish(bus, subjects.chunk("public", request.request, 0, 2), wrong)
        assert await inbox.next(0.5) is None
        assert await inbox.chunk(0, 0) is None
        assert await inbox.chunk(0, 2) is None


def test_an_end_marker_with_a_huge_count_is_fetched_in_small_steps() -> None:
    assembly = Assembly()
    end = next(message for message in EXAMPLES if isinstance(message, messages.SentenceSpoken))
    assembly.receive(msgspec.structs.replace(end, sentence=0, chunks=1_000_000))
    assert len(assembly.missing()) == 16


def test_two_events_that_count_the_sentences_differently_end_the_speech_as_failed() -> None:
    assembly = Assembly()
    end = next(message for message in EXAMPLES if isinstance(message, messages.SentenceSpoken))
    assembly.receive(msgspec.structs.replace(end, sentence=0, sentences=9))
    assembly.receive(msgspec.structs.replace(end, sentence=1, sentences=2))
    assert assembly.failure is not None
    assert assembly.failure.code == "inconsistent_audio"


def test_an_event_on_a_subject_of_no_request_is_ignored() -> None:
    [spoken] = [message for message in EXAMPLES if isinstance(message, messages.SentenceSpoken)]
    assert decoded("tts.v1.request.acme", codec.encode(spoken)) is None


def test_a_clip_is_named_by_its_tenant() -> None:
    assert clip_object("acme", "0" * 64) != clip_object("globex", "0" * 64)
