"""The watermark of what a worker publishes: on as it is installed, and the same in all attempts of a request."""

import pytest
from msgspec import UNSET, UnsetType

from services.common.audio.clip import Clip, Samples
from services.common.audio.watermark.detection import detect
from services.common.bus.memory.bus import MemoryBus
from services.common.wire import codec, subjects
from services.common.wire.fields import NO_WATERMARK, WATERMARK
from services.common.wire.messages import SentenceSpoken, WorkerState
from services.common.wire.options import Parameters
from services.synth_worker.settings import Settings
from tests.support.buses import memory_bus
from tests.support.speaking import SETTINGS, spoken
from tests.support.speech import RATE_HZ

OFF = Settings(engine="tone", watermark="off")


@pytest.fixture
async def bus() -> MemoryBus:
    return await memory_bus()


def marked(samples: Samples) -> bool:
    return detect(Clip(samples, RATE_HZ)).marked


async def test_speech_is_marked_unless_the_operator_sets_it_off(bus: MemoryBus) -> None:
    samples, _ = await spoken(bus)
    assert marked(samples)
    samples, _ = await spoken(bus, settings=OFF)
    assert not marked(samples)


@pytest.mark.parametrize("watermark", [WATERMARK, NO_WATERMARK])
async def test_workers_that_are_set_differently_publish_the_same_bytes_for_a_request(
    bus: MemoryBus, watermark: str
) -> None:
    samples, first = await spoken(bus, watermark=watermark)
    _, second = await spoken(bus, settings=OFF, watermark=watermark, samples_per_step=5_003)
    assert isinstance(first, SentenceSpoken)
    assert isinstance(second, SentenceSpoken)
    assert first.digest == second.digest
    assert marked(samples) == (watermark == WATERMARK)


async def test_a_mark_of_a_later_release_is_no_reason_to_leave_the_audio_unmarked(
    bus: MemoryBus,
) -> None:
    samples, _ = await spoken(bus, watermark="voice-cloning-2")
    assert marked(samples)


async def test_audio_is_marked_whatever_its_parameters_are(bus: MemoryBus) -> None:
    samples, _ = await spoken(bus, parameters=Parameters(speed=1.5, loudness_lufs="off"))
    assert marked(samples)


@pytest.mark.parametrize(("settings", "expected"), [(SETTINGS, WATERMARK), (OFF, NO_WATERMARK)])
async def test_a_worker_reports_the_watermark_that_it_is_set_to(
    bus: MemoryBus, settings: Settings, expected: str | UnsetType
) -> None:
    listener = await bus.subscribe(subjects.WORKERS, limit=100)
    await spoken(bus, settings=settings, watermark=UNSET)
    heard = await listener.next(60)
    await listener.close()
    assert heard is not None
    assert codec.decode(heard.payload, WorkerState).watermark == expected
