"""Clips that a client stores itself, and that no engine can use."""

import io
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from services.common.audio.wav import wav_header
from services.common.bus import topology
from services.common.bus.clips import store_clip
from services.common.bus.inbox import open_inbox
from services.common.bus.ports import Bus
from services.common.wire import codec, subjects
from services.common.wire.messages import SpeechFailed
from tests.support.buses import bus_of
from tests.support.recordings import encoded, speech_of
from tests.support.service import speech_request, stored_clip, tone_service

VOICE = Path(__file__).parents[2] / "examples" / "voices" / "austen.flac"


def wav(*, channels: int = 1, width: int = 2, rate_hz: int = 24_000, frames: int = 96_000) -> bytes:
    """Return a WAV of silence."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate_hz)
        file.writeframes(bytes(channels * width * frames))
    return content.getvalue()


def clips() -> dict[str, bytes]:
    whole = encoded(speech_of(4).samples, 24_000)
    no_rate = bytearray(whole)
    no_rate[24:28] = bytes(4)
    return {
        "a FLAC": VOICE.read_bytes(),
        "an MP3": b"ID3\x03\x00\x00\x00\x00\x00\x21" + bytes(500),
        "text": b"not a recording",
        "one byte": b"R",
        "stereo": wav(channels=2),
        "8 bits": wav(width=1),
        "24 bits": wav(width=3),
        "no samples": wav(frames=0),
        "a header alone": wav_header(sample_rate_hz=24_000, data_bytes=96_000),
        "half a header": whole[:20],
        "a floating-point WAV": whole[:20] + b"\x03\x00" + whole[22:],
        "no rate": bytes(no_rate),
        "a low rate": wav(rate_hz=1),
        "a high rate": wav(rate_hz=2**30),
    }


@pytest.fixture(params=["memory", "nats"])
async def bus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bus]:
    async with bus_of(request.param, tmp_path) as bus, tone_service(bus, workers=1):
        yield bus


async def failure_of(bus: Bus, *clip_ids: str) -> SpeechFailed:
    request = msgspec.structs.replace(speech_request(clip_ids[0], "Hello."), clips=clip_ids)
    async with open_inbox(bus, request.tenant, request.request) as inbox:
        await bus.publish(
            subjects.request(request.tenant), codec.encode(request), message_id=request.request
        )
        while not isinstance(event := await inbox.next(10), SpeechFailed):
            assert event is not None
    return event


async def test_a_clip_that_is_no_usable_wav_is_refused_at_the_first_attempt(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    good = await stored_clip(bus)
    for name, content in clips().items():
        clip = await store_clip(bus, "public", content)
        for used in ((clip,), (good, clip)):
            event = await failure_of(bus, *used)
            assert (event.code, event.retryable) == ("unusable_reference", False), name
            assert "mono 16-bit WAV" in event.detail, name
    assert not await bus.message_count(topology.DEAD)
    assert "Traceback" not in caplog.text
