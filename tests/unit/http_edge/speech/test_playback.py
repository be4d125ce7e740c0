"""A stall is counted while it lasts, and a client that takes nothing is no stalled player."""

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


def test_a_stall_is_counted_before_audio_comes_again_and_once() -> None:
    metrics = Metrics()
    listening = Playback(metrics, 24_000)
    listening.hear(SECOND, 100.0)
    listening.note(100.9)
    assert values(metrics) == {"times": 0, "seconds": 0, "now": 0}
    listening.note(102.0)
    assert values(metrics) == {"times": 1, "seconds": 1, "now": 1}
    listening.note(104.0)
    listening.hear(SECOND, 105.0)
    assert values(metrics) == {"times": 1, "seconds": 4, "now": 0}
    listening.note(107.0)
    listening.end()
    listening.end()
    assert values(metrics) == {"times": 2, "seconds": 5, "now": 0}


def test_a_client_that_takes_nothing_for_long_has_audio() -> None:
    metrics = Metrics()
    listening = Playback(metrics, 24_000)
    listening.hear(SECOND, 100.0)
    listening.taken(1_000.0)
    listening.hear(SECOND, 1_000.0)
    assert values(metrics) == {"times": 0, "seconds": 0, "now": 0}
    listening.note(1_003.0)
    assert values(metrics) == {"times": 1, "seconds": 2, "now": 1}


async def test_the_counter_moves_while_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TICK_S", 0.02)
    metrics = Metrics()
    listening = Playback(metrics, 24_000)
    listening.hear(SECOND // 100, time.monotonic())
    with listening.ticking():
        async with asyncio.timeout(10):
            while values(metrics)["seconds"] < 0.1:
                await asyncio.sleep(0.01)
    assert values(metrics)["now"] == 1
