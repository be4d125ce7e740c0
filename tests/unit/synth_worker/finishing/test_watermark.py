"""The watermark of a sentence: on for engines that speak, outside of the engine, and under the ceiling."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.audio.clip import Clip, Samples
from services.common.audio.loudness import integrated_lufs, true_peak_db
from services.common.audio.pcm import from_pcm16, to_pcm16
from services.common.audio.watermark.detection import detect
from services.common.audio.watermark.marking import LATENCY_MS
from services.common.wire.fields import Loudness
from services.common.wire.options import Parameters
from services.synth_worker.engines.protocol import Level, Utterance, not_described
from services.synth_worker.finishing.parameters import PassThrough, finishing_of
from tests.support.speech import RATE_HZ, at_lufs, cut, syllables, with_quiet

LEVEL = Level(usual_lufs=-22.0, spread_lu=1.5, ahead_ms=200)
SPEAKING = replace(not_described("speaking"), level=LEVEL)
SAMPLES = with_quiet(at_lufs(syllables(4, 5), -22), 0.1, 0.3)


def finished(parts: list[Samples], loudness: Loudness = -18.0, *, watermark: bool) -> Samples:
    utterance = Utterance("x" * 60, "en", 1, Parameters(loudness_lufs=loudness))
    finish = finishing_of(SPEAKING, utterance, -18.0, watermark=watermark)
    return np.concatenate([*map(finish.push, parts), finish.finish()])


@pytest.mark.parametrize("loudness", [-18.0, -12.0, "off"])
def test_published_audio_has_the_watermark_at_every_loudness(loudness: Loudness) -> None:
    published = from_pcm16(to_pcm16(finished([SAMPLES], loudness, watermark=True)))
    assert detect(Clip(published, RATE_HZ)).marked


def test_without_the_setting_the_audio_has_none_and_is_unchanged() -> None:
    unmarked = finished([SAMPLES], watermark=False)
    assert not detect(Clip(unmarked, RATE_HZ)).marked


def test_marked_audio_keeps_loudness_and_ceiling() -> None:
    out = from_pcm16(to_pcm16(finished([SAMPLES], -12.0, watermark=True)))
    assert true_peak_db(out) <= -1.0
    at_usual = finished([SAMPLES], watermark=True)
    assert integrated_lufs([at_usual], RATE_HZ) == pytest.approx(-18, abs=1)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 30_000), max_size=10))
def test_the_published_samples_do_not_depend_on_how_the_engine_cuts_them(sizes: list[int]) -> None:
    streamed = finished(cut(SAMPLES, sizes), watermark=True)
    assert streamed.tobytes() == finished([SAMPLES], watermark=True).tobytes()


def test_an_engines_first_chunk_is_enough_for_the_first_audio() -> None:
    samples = at_lufs(syllables(4, 5), -22)
    utterance = Utterance("x" * 60, "en", 1)
    finish = finishing_of(SPEAKING, utterance, -18.0, watermark=True)
    assert len(finish.push(samples[: RATE_HZ * LEVEL.ahead_ms // 1000])) > 0
    assert LEVEL.ahead_ms > LATENCY_MS


def test_an_engine_that_does_not_speak_gets_no_watermark() -> None:
    silent = not_described("tone")
    finish = finishing_of(silent, Utterance("one", "en", 1), -18.0, watermark=True)
    assert isinstance(finish, PassThrough)
