"""Stalls are counted while they last, and a slow reader does not count as a stalled player."""

import asyncio
import time

import pytest

from services.http_edge.metrics import Metrics
from services.http_edge.speech import playback as module
from services.http_edge.speech.playback import Playback

SECOND = 48_000  # bytes


def values(metrics: Metrics) -> dict[str, float]:
    names = {
        "tts_stream_stalls_total": "times",
        "tts_stream_stall_seconds_total": "seconds",
        "tts_streams_stalled": "now",
    }
    samples = [sample for metric in metrics.registry.collect() for sample in metric.samples]
    return {names[sample.name]: sample.value for sample in samples if sample.name in names}


def test_an_ongoing_stall_is_counted_once_and_before_audio_continues() -> None:
    metrics = Metrics()
    playback = Playback(metrics, 24_000)
    playback.record_sent(SECOND, 100.0)
    playback.note(100.9)
    assert values(metrics) == {"times": 0, "seconds": 0, "now": 0}
    playback.note(102.0)
    assert values(metrics) == {"times": 1, "seconds": 1, "now": 1}
    playback.note(104.0)
    playback.record_sent(SECOND, 105.0)
    assert values(metrics) == {"times": 1, "seconds": 4, "now": 0}
    playback.note(107.0)
    playback.end()
    playback.end()
    assert values(metrics) == {"times": 2, "seconds": 5, "now": 0}


def test_a_client_that_reads_slowly_does_not_stall() -> None:
    metrics = Metrics()
    playback = Playback(metrics, 24_000)
    playback.record_sent(SECOND, 100.0)
    playback.taken(1_000.0)
    playback.record_sent(SECOND, 1_000.0)
    assert values(metrics) == {"times": 0, "seconds": 0, "now": 0}
    playback.note(1_003.0)
    assert values(metrics) == {"times": 1, "seconds": 2, "now": 1}


async def test_the_counter_increases_while_no_audio_arrives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_TICK_S", 0.02)
    metrics = Metrics()
    playback = Playback(metrics, 24_000)
    playback.record_sent(SECOND // 100, time.monotonic())
    with playback.ticking():
        async with asyncio.timeout(60):
            while values(metrics)["seconds"] < 0.1:
                await asyncio.sleep(0.01)
    assert values(metrics)["now"] == 1
