"""A worker whose engine is levelled: what it publishes, and what may be asked of it."""

from hashlib import sha256

import numpy as np
import pytest

from services.common.audio.clip import Samples
from services.common.audio.loudness import frame_energies, integrated_lufs, lufs_of, true_peak_db
from services.common.bus.memory.bus import MemoryBus
from services.common.wire import codec, subjects
from services.common.wire.fields import Loudness
from services.common.wire.messages import SentenceSpoken, WorkerState
from services.common.wire.options import Parameters
from services.synth_worker.settings import Settings
from tests.support.buses import memory_bus
from tests.support.speaking import spoken
from tests.support.speech import RATE_HZ


@pytest.fixture
async def bus() -> MemoryBus:
    return await memory_bus()


def with_loudness(default: Loudness) -> Settings:
    """Return settings of a worker with this loudness for requests without one."""
    return Settings(engine="tone", loudness_lufs=default)


def sounding(samples: Samples) -> tuple[int, int]:
    """Return the first sounding frame of 10 ms and how many are quiet at the end."""
    levels = np.array([lufs_of(energy) for energy in frame_energies(samples, RATE_HZ)])
    [frames] = np.nonzero(levels > -50)
    return int(frames[0]), int(len(levels) - 1 - frames[-1])


@pytest.mark.parametrize(("asked", "expected_lufs"), [(None, -18), (-23.0, -23), (-14.0, -14)])
async def test_a_sentence_is_published_at_the_requested_loudness_or_the_workers_own(
    bus: MemoryBus, asked: float | None, expected_lufs: float
) -> None:
    samples, end = await spoken(bus, parameters=Parameters(loudness_lufs=asked))
    assert integrated_lufs([samples], RATE_HZ) == pytest.approx(expected_lufs, abs=1)
    assert true_peak_db(samples) <= -1
    assert isinstance(end, SentenceSpoken)


@pytest.mark.parametrize(("default", "asked"), [("off", None), (-18.0, "off")])
async def test_an_operator_and_a_request_may_switch_it_off(
    bus: MemoryBus, default: Loudness, asked: Loudness | None
) -> None:
    samples, _ = await spoken(
        bus, settings=with_loudness(default), parameters=Parameters(loudness_lufs=asked)
    )
    assert integrated_lufs([samples], RATE_HZ) == pytest.approx(-22.5, abs=0.2)


async def test_a_sentence_that_is_spoken_again_in_other_chunks_has_the_same_bytes(
    bus: MemoryBus,
) -> None:
    _, end = await spoken(bus)
    _, again = await spoken(bus, samples_per_step=3_331)
    assert isinstance(end, SentenceSpoken)
    assert isinstance(again, SentenceSpoken)
    assert (end.digest, end.samples) == (again.digest, again.samples)


async def test_the_end_marker_counts_and_digests_what_was_published(bus: MemoryBus) -> None:
    samples, end = await spoken(bus, pauses_ms=(70, 280))
    assert isinstance(end, SentenceSpoken)
    assert end.samples == len(samples)
    pcm = np.rint(samples * 32768).astype("<i2").tobytes()
    assert end.digest == sha256(pcm).hexdigest()


async def test_the_pauses_of_the_job_come_on_top_of_margins_of_a_fixed_length(
    bus: MemoryBus,
) -> None:
    samples, _ = await spoken(bus, pauses_ms=(200, 300))
    first, quiet_after = sounding(samples)
    assert abs(first - (20 + 5)) <= 1
    assert abs(quiet_after - (30 + 15)) <= 2
    assert not samples[: RATE_HZ // 5].any()
    assert not samples[-RATE_HZ * 3 // 10 :].any()


@pytest.mark.parametrize(("default", "told"), [(-20.0, -20.0), ("off", 0.0)])
async def test_a_worker_reports_loudness_among_its_parameters(
    bus: MemoryBus, default: Loudness, told: float
) -> None:
    listener = await bus.subscribe(subjects.WORKERS, limit=100)
    await spoken(bus, settings=with_loudness(default))
    heard = await listener.next(5)
    await listener.close()
    assert heard is not None
    assert codec.decode(heard.payload, WorkerState).parameters == {
        "speed": 1.0,
        "loudness_lufs": told,
    }
