"""The loudness of the embedded engine's sentences."""

import numpy as np
import pytest

from services.common.audio.loudness import integrated_lufs
from services.synth_worker.engines.embedded import assets
from services.synth_worker.engines.embedded.rebuild import levels as rebuilt
from services.synth_worker.engines.embedded.rendering.levels import (
    LevelPredictor,
    limited,
    sentence_gain,
)
from services.synth_worker.engines.embedded.rendering.prosody import Prosody
from services.synth_worker.engines.embedded.rendering.statistics import sentence_features

RATE = 24_000
FRAME = 600
USUAL_LUFS = -21.9


def noise(frames: int, rms: float) -> np.ndarray:
    return np.random.default_rng(1).normal(0, rms, frames * FRAME).astype(np.float32)


def gain_db(gain: float) -> float:
    return float(20 * np.log10(gain))


def energies(frames: int, level: float = 4.0) -> np.ndarray:
    return np.full(2 * frames, level, np.float32)


@pytest.mark.parametrize("rms", [0.01, 0.05, 0.2])
def test_a_sentence_of_one_window_gets_its_loudness_exactly(rms: float) -> None:
    window = noise(40, rms)
    gain = sentence_gain(window, energies(40), energies(40), predicted_lufs=-40)
    assert integrated_lufs([window * gain], RATE) == pytest.approx(USUAL_LUFS, abs=0.01)


def test_the_prediction_counts_more_the_shorter_the_window() -> None:
    whole = energies(200)
    unlike = {
        frames: gain_db(sentence_gain(noise(frames, 0.1), energies(frames), whole, -10))
        - gain_db(sentence_gain(noise(frames, 0.1), energies(frames), whole, -30))
        for frames in (12, 25, 50, 150)
    }
    assert sorted(unlike.values()) == list(unlike.values())
    assert unlike[12] < -8
    assert unlike[150] > -4


def test_a_window_louder_than_its_sentence_does_not_make_the_sentence_quiet() -> None:
    window, predicted = noise(20, 0.1), -20.0
    whole = np.concatenate([energies(20, 6.0), energies(180, 4.0)])
    even = sentence_gain(window, energies(20, 6.0), energies(200, 6.0), predicted)
    falling = sentence_gain(window, energies(20, 6.0), whole, predicted)
    assert gain_db(falling) > gain_db(even) + 2


def test_silence_gets_a_bounded_gain() -> None:
    silent = np.zeros(20 * FRAME, np.float32)
    for whole in (energies(20), energies(100)):
        assert np.isfinite(sentence_gain(silent, energies(20), whole, -20))


def test_a_predictor_fitted_to_sentences_predicts_others() -> None:
    generator = np.random.default_rng(4)
    features = generator.normal(size=(500, 677))
    weights = generator.normal(0, 0.2, 677) * (np.arange(677) < 60)  # of which some matter
    lufs = features @ weights - 20
    lufs[7] = -np.inf  # a silent reading does not count
    arrays = rebuilt.fitted(features[:450], lufs[:450])
    predictor = LevelPredictor.from_arrays(arrays)
    errors = [
        predictor.predict(one) - wanted
        for one, wanted in zip(features[450:], lufs[450:], strict=True)
    ]
    assert np.std(errors) < np.std(lufs[450:])


def test_the_asset_predicts_a_loudness_for_any_prosody() -> None:
    predictor = LevelPredictor.from_arrays(assets.load_arrays(assets.LEVELS))
    silent = Prosody(
        np.zeros((1, 512, 6), np.float32),
        np.zeros((1, 12), np.float32),
        np.full((1, 12), -9, np.float32),
    )
    features = sentence_features(silent, np.zeros(256, np.float32))
    assert np.isfinite(predictor.predict(features))


def test_loud_speech_is_bent_and_quiet_speech_is_left_alone() -> None:
    quiet, loud = (
        np.linspace(-0.7, 0.7, 50, dtype=np.float32),
        np.linspace(-4, 4, 50, dtype=np.float32),
    )
    assert np.array_equal(limited(quiet), quiet)
    assert np.abs(limited(loud)).max() <= 1
