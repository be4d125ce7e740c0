"""The ranges in which the inputs of the generator's convolutions are rounded to 8 bits.

Random voices read two sentences of every language, and each range is the one with the least squared error over values
drawn from what they put into the convolution: a rare large value is cut off where that makes the steps for all others
finer.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from services.common.audio.spectra import Floats
from services.synth_worker.engines.embedded.g2p import VOCABULARY, Phonemizer
from services.synth_worker.engines.embedded.rebuild.calibration import SENTENCES
from services.synth_worker.engines.embedded.rebuild.clips import random_voice, style_of
from services.synth_worker.engines.embedded.rendering import graph
from services.synth_worker.engines.embedded.rendering.fixed_ranges import with_fixed_ranges
from services.synth_worker.engines.embedded.rendering.kokoro import Kokoro
from services.synth_worker.engines.embedded.rendering.prosody import moved_pitch
from services.synth_worker.engines.embedded.rendering.tokens import token_parts
from services.synth_worker.engines.embedded.weights import joined_weights

_LAYERS: Final = ("resblocks", "noise_res")  # in the names of the generator's residual blocks
_SAMPLES: Final = 10_000  # drawn of each convolution's input, a sentence
# of the largest value, tried on either side
_SHARES: Final = (1.0, 0.85, 0.7, 0.6, 0.5, 0.42, 0.35, 0.3, 0.25, 0.2, 0.16, 0.13)
_STEPS: Final = 255
_SEED: Final = 1


def activation_ranges(
    kokoro: Kokoro, phonemizer: Phonemizer, cache: Path, space: Mapping[str, Floats]
) -> dict[str, tuple[float, int]]:
    """Convolution -> scale and zero point of its input as uint8."""
    model, read = _observed(cache)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = sorted(set(read.values()))
    generator = np.random.default_rng(_SEED)
    drawn: dict[str, list[Floats]] = {name: [] for name in names}
    largest = dict.fromkeys(names, (0.0, 0.0))
    for inputs in _spoken(kokoro, phonemizer, space):
        for name, values in zip(names, session.run(names, inputs), strict=True):
            drawn[name].append(generator.choice(values.ravel(), _SAMPLES))
            least, most = largest[name]
            largest[name] = min(least, float(values.min())), max(most, float(values.max()))
    found = {
        name: _best_range(np.concatenate(values), *largest[name]) for name, values in drawn.items()
    }
    return {convolution: found[name] for convolution, name in read.items()}


def _observed(cache: Path) -> tuple[onnx.ModelProto, dict[str, str]]:
    """Return the float form of the audio half, with what the generator's convolutions read, and its names."""
    whole = onnx.load(joined_weights(cache))
    model = with_fixed_ranges(graph.audio_half(whole), {})
    read = {
        node.name: node.input[0]
        for node in model.graph.node
        if node.op_type == "Conv" and any(layer in node.name for layer in _LAYERS)
    }
    for name in sorted(set(read.values())):
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    return model, read


def _spoken(
    kokoro: Kokoro, phonemizer: Phonemizer, space: Mapping[str, Floats]
) -> Iterator[dict[str, Floats]]:
    """Yield the inputs of the audio half for each sentence, in another voice each."""
    texts = [(text, code) for code, pair in SENTENCES.items() for text in pair]
    for index, (text, language) in enumerate(texts):
        [tokens] = token_parts(phonemizer.phonemes(text, language), VOCABULARY)
        voice = random_voice(index, space)
        style = style_of(voice, space)
        prosody = moved_pitch(kokoro.prosody(list(tokens), style), np.float32(voice.pitch_scale))
        yield {
            graph.CONTENT: prosody.content,
            graph.PITCH: prosody.pitch_hz,
            graph.ENERGY: prosody.energy,
            "style": style[None],
        }


def _best_range(values: Floats, least: float, most: float) -> tuple[float, int]:
    """Return scale and zero point of the 256 values that stand for `values` with the least squared error."""
    tried = [_range(least * low, most * high) for low, high in product(_SHARES, _SHARES)]
    errors = [_error(values, scale, zero) for scale, zero in tried]
    return tried[int(np.argmin(errors))]


def _range(least: float, most: float) -> tuple[float, int]:
    scale = float(np.float32((most - least) / _STEPS))
    return scale, round(-least / scale)


def _error(values: Floats, scale: float, zero: int) -> float:
    rounded = np.clip(np.round(values / np.float32(scale)) + zero, 0, _STEPS) - zero
    return float(np.mean((rounded * np.float32(scale) - values) ** 2))
