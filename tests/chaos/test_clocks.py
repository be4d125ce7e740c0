"""The machine's clock is set while clients listen."""

import time

import pytest

from services.common.bus.memory.bus import MemoryBus
from services.http_edge.metrics import Metrics
from services.http_edge.speech.session import SpeechSessions
from tests.support.buses import memory_bus
from tests.support.service import digest, expected_pcm, speech_request, stored_clip, tone_service


@pytest.fixture
async def bus() -> MemoryBus:
    return await memory_bus()


@pytest.mark.parametrize("jump_s", [-90_000.0, -30.0, 30.0, 90_000.0])
async def test_a_jump_of_the_clock_in_the_middle_of_a_request_changes_nothing(
    bus: MemoryBus, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    clip, true_time = await stored_clip(bus), time.time
    text = " ".join(f"This is sentence number {number}." for number in range(30))
    async with tone_service(bus, workers=1, real_time_factor=0.05):
        request = speech_request(clip, text, lasts_s=20)
        async with SpeechSessions(bus, Metrics(), first_audio_timeout_s=20).speaking(
            request
        ) as speech:
            pieces = []
            async for piece in speech.chunks():
                pieces.append(piece)
                monkeypatch.setattr(time, "time", lambda: true_time() + jump_s)
    assert digest(pieces) == digest([expected_pcm(text)])
