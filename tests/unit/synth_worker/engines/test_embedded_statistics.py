"""Statistics of the embedded model, predicted from what is known of a sentence."""

import numpy as np

from services.synth_worker.engines.embedded.rebuild import statistics as rebuilt
from services.synth_worker.engines.embedded.rendering.prosody import Prosody
from services.synth_worker.engines.embedded.rendering.statistics import (
    StatisticsPredictor,
    sentence_features,
)

CHANNELS = 40


def prosody(generator: np.random.Generator) -> Prosody:
    frames = int(generator.integers(20, 60))
    pitch = generator.uniform(60, 400, (1, 2 * frames)) * (generator.random((1, 2 * frames)) > 0.3)
    return Prosody(
        np.ones((1, 512, frames), np.float32),
        pitch.astype(np.float32),
        generator.normal(size=(1, 2 * frames)).astype(np.float32),
    )


def test_a_predictor_fitted_to_sentences_predicts_others() -> None:
    generator = np.random.default_rng(3)
    styles = (generator.normal(size=(400, 6)) @ generator.normal(size=(6, 256))).astype(np.float32)
    sentences = [prosody(generator) for _ in styles]
    features = np.stack(
        [sentence_features(*pair) for pair in zip(sentences, styles, strict=True)]
    ).astype(np.float64)
    weights = generator.normal(0, 0.1, (features.shape[1], 2 * CHANNELS))
    weights[128:] = 0  # statistics that depend on the timbre
    targets = features @ weights
    unit = np.full(CHANNELS, 2, np.float32)

    arrays = {"unit": unit, **rebuilt._fitted(features[:380], targets[:380])}
    predictor = StatisticsPredictor.from_arrays(arrays)
    average = targets[:380].mean(axis=0)
    errors, spreads = [], []
    for index in range(380, 400):
        means, deviations = predictor.predict(sentence_features(sentences[index], styles[index]))
        found = np.concatenate([means.ravel() / unit, np.log(deviations.ravel())])
        errors.append(found - targets[index])
        spreads.append(average - targets[index])
    assert np.std(errors) < np.std(spreads) / 2


def test_pitch_counts_by_the_time_it_lasts_and_silence_counts_too() -> None:
    style = np.zeros(256, np.float32)
    pitch = np.array([[0, 0, 80, 80, 80, 160, 0, 0]], np.float32)
    sentence = Prosody(np.zeros((1, 512, 4), np.float32), pitch, np.zeros((1, 8), np.float32))
    shares = sentence_features(sentence, style)[131:165]
    assert shares[-1] == 0.5  # without pitch
    np.testing.assert_allclose(
        shares[:-1][[9, 18]], [3 / 8, 1 / 8], atol=1e-6
    )  # octaves over 40 Hz
    assert abs(shares.sum() - 1) < 1e-6
