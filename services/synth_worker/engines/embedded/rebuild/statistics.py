"""The asset from which the statistics of the model's normalizations are predicted.

Random voices read sentences and a few words in 17 languages, and the normalizations measure each as a whole. A ridge
regression maps what is known before rendering to what they measured; its predictions on the training sentences have few
directions, and only those are stored.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper

from services.common.audio.spectra import Floats
from services.synth_worker.engines.embedded.g2p import VOCABULARY, Phonemizer
from services.synth_worker.engines.embedded.rebuild.calibration import SENTENCES
from services.synth_worker.engines.embedded.rebuild.clips import random_voice, style_of
from services.synth_worker.engines.embedded.rebuild.ridge import ridge_weights, standardized
from services.synth_worker.engines.embedded.rebuild.sentences import SENTENCES as PHONEMES
from services.synth_worker.engines.embedded.rendering import graph
from services.synth_worker.engines.embedded.rendering.kokoro import Kokoro
from services.synth_worker.engines.embedded.rendering.normalizations import (
    MEASURED,
    normalizations_of,
)
from services.synth_worker.engines.embedded.rendering.prosody import Prosody, moved_pitch
from services.synth_worker.engines.embedded.rendering.speedups import Rewriter, sped_up
from services.synth_worker.engines.embedded.rendering.statistics import sentence_features
from services.synth_worker.engines.embedded.rendering.tokens import token_parts
from services.synth_worker.engines.embedded.rendering.windows import spoken_part
from services.synth_worker.engines.embedded.weights import joined_weights

CLIPS: Final = 700  # of sentences, and then
SHORT_CLIPS: Final = 250
_FIRST_VOICE: Final = 100_000  # others than the tuner's and those of the ranges
_STRIDE: Final = 37  # through the sentences: neighbouring voices read distant ones
_RIDGE: Final = 30.0
_RANK: Final = 96
_EPSILON: Final = 1e-5  # of the normalizations

# A few words have other statistics than a sentence.
SHORT_TEXTS: Final[Mapping[str, tuple[str, ...]]] = {
    "en": ("Hello.", "Yes, of course.", "Not today!"),
    "fr": ("Bonjour.", "Oui, bien sûr.", "Pas encore ?"),
    "es": ("Buenos días.", "Claro que sí.", "¿Por qué?"),
    "de": ("Guten Tag.", "Ja, natürlich.", "Wie bitte?"),
    "it": ("Buongiorno.", "Certo che sì.", "Perché no?"),
    "pt": ("Bom dia.", "Sim, claro.", "Onde fica?"),
    "pl": ("Dzień dobry.", "Tak, oczywiście.", "Dlaczego?"),
    "tr": ("Merhaba.", "Evet, tabii.", "Nasılsın?"),
    "ru": ("Здравствуйте.", "Да, конечно.", "Почему?"),
    "nl": ("Goedendag.", "Ja, natuurlijk.", "Hoezo?"),
    "cs": ("Dobrý den.", "Ano, jistě.", "Proč ne?"),
    "ar": ("مرحبا.", "نعم، بالطبع.", "لماذا؟"),
    "zh": ("你好。", "当然可以。", "为什么？"),
    "hu": ("Jó napot.", "Igen, persze.", "Miért?"),
    "ko": ("안녕하세요.", "네, 물론이죠.", "왜요?"),
    "ja": ("こんにちは。", "はい、もちろん。", "なぜですか。"),
    "hi": ("नमस्ते।", "हाँ, ज़रूर।", "क्यों?"),
}


@dataclass(frozen=True, eq=False)
class RandomReading:
    """A sentence as a random voice would read it: its prosody without silence around it, and its style [256]."""

    prosody: Prosody
    style: Floats


@dataclass(frozen=True, eq=False)
class Measurement:
    """A sentence in a random voice: features [677], and the means and deviations [n] that were measured."""

    features: Floats
    means: Floats
    deviations: Floats


def statistics_arrays(
    kokoro: Kokoro,
    phonemizer: Phonemizer,
    cache: Path,
    space: Mapping[str, Floats],
    stored: Path,
) -> dict[str, NDArray[np.floating[Any]]]:
    """Return the arrays of StatisticsPredictor, the large ones in float16.

    Readings of an earlier run are found in the folder `stored`.
    """
    stored.mkdir(parents=True, exist_ok=True)
    measured = list(_measured(readings(kokoro, phonemizer, space), cache, stored))
    features = np.stack([one.features for one in measured]).astype(np.float64)
    means = np.stack([one.means for one in measured]).astype(np.float64)
    deviations = np.stack([one.deviations for one in measured]).astype(np.float64)
    unit = deviations.mean(axis=0)
    targets = np.concatenate([means / unit, np.log(deviations)], axis=1)
    return {"unit": unit.astype(np.float32), **_fitted(features, targets)}


def readings(
    kokoro: Kokoro, phonemizer: Phonemizer, space: Mapping[str, Floats]
) -> Iterator[RandomReading]:
    """Let random voices read the sentences, then the few words."""
    for index, tokens in enumerate(_tokens(phonemizer)):
        voice = random_voice(_FIRST_VOICE + index, space)
        style = style_of(voice, space)
        prosody = moved_pitch(kokoro.prosody(tokens, style), np.float32(voice.pitch_scale))
        yield RandomReading(spoken_part(prosody), style)


def _fitted(
    features: NDArray[np.float64], targets: NDArray[np.float64]
) -> dict[str, NDArray[np.floating[Any]]]:
    inputs, centre, scale = standardized(features)
    base = targets.mean(axis=0)
    weights = ridge_weights(inputs, targets - base, _RIDGE)
    _, _, directions = np.linalg.svd(inputs @ weights, full_matrices=False)
    outwards = directions[:_RANK]
    return {
        "centre": centre.astype(np.float32),
        "scale": scale.astype(np.float32),
        "inwards": (weights @ outwards.T).astype(np.float16),
        "outwards": outwards.astype(np.float16),
        "base": base.astype(np.float32),
    }


def _tokens(phonemizer: Phonemizer) -> list[list[int]]:
    """Return the tokens of each clip."""
    sentences = [[VOCABULARY[symbol] for symbol in sentence] for sentence in PHONEMES]
    sentences += _tokens_of(phonemizer, SENTENCES)
    short = list(_tokens_of(phonemizer, SHORT_TEXTS))
    return [
        texts[(index * _STRIDE + index // len(texts)) % len(texts)]
        for texts, clips in ((sentences, CLIPS), (short, SHORT_CLIPS))
        for index in range(clips)
    ]


def _tokens_of(phonemizer: Phonemizer, table: Mapping[str, Sequence[str]]) -> Iterator[list[int]]:
    for language, texts in table.items():
        for text in texts:
            [tokens] = token_parts(phonemizer.phonemes(text, language), VOCABULARY)
            yield list(tokens)


def _measured(read: Iterator[RandomReading], cache: Path, stored: Path) -> Iterator[Measurement]:
    session, names = _measuring(cache)
    for index, reading in enumerate(read):
        path = stored / f"{index:05}.npz"
        if not path.exists():
            inputs = graph.audio_inputs(reading.prosody) | {"style": reading.style[None]}
            found = [values.ravel() for values in session.run(names, inputs)]
            means, variances = (
                np.concatenate(part)
                for part in (found[: len(names) // 2], found[len(names) // 2 :])
            )
            np.savez(path, means=means, deviations=np.sqrt(variances + _EPSILON))
        with np.load(path) as arrays:
            features = sentence_features(reading.prosody, reading.style)
            yield Measurement(features, arrays["means"], arrays["deviations"])


def _measuring(cache: Path) -> tuple[ort.InferenceSession, list[str]]:
    """Return the audio half with the means and then the variances of the normalizations that are given them."""
    whole = onnx.load(joined_weights(cache))
    half = graph.audio_half(whole)
    found = normalizations_of(Rewriter(half))[MEASURED:]
    names = [one.mean for one in found] + [one.variance for one in found]
    half.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(
        sped_up(half).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session, names
