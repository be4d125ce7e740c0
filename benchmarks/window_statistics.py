"""`python -m benchmarks.window_statistics`: the distance of the embedded engine's audio from the float network's.

Stock voices read sentences and texts of a few words in several languages. Each is rendered by the float network as a
whole, and by the engine's model as a whole and in windows, without any filter. Prints the mean log-spectral distance in
dB over the louder half of the frames.
"""

import argparse
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnxruntime as ort

from services.common.audio.clip import Samples
from services.common.audio.spectra import Floats, stft
from services.synth_worker.engines.embedded import assets
from services.synth_worker.engines.embedded.g2p import VOCABULARY, Phonemizer
from services.synth_worker.engines.embedded.rebuild.calibration import SENTENCES
from services.synth_worker.engines.embedded.rebuild.statistics import SHORT_TEXTS
from services.synth_worker.engines.embedded.rendering import graph
from services.synth_worker.engines.embedded.rendering.fixed_ranges import with_fixed_ranges
from services.synth_worker.engines.embedded.rendering.kokoro import Kokoro
from services.synth_worker.engines.embedded.rendering.prosody import (
    FRAME_SAMPLES,
    Prosody,
)
from services.synth_worker.engines.embedded.rendering.seams import Seams
from services.synth_worker.engines.embedded.rendering.tokens import token_parts
from services.synth_worker.engines.embedded.rendering.windows import plan_windows, spoken_part
from services.synth_worker.engines.embedded.voices.styles import STOCK_VOICES, StockStyles
from services.synth_worker.engines.embedded.weights import joined_weights

_HOP: Final = 240
_FFT: Final = 1024
_FLOOR: Final = 1e-4


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.window_statistics", description=__doc__
    )
    parser.add_argument(
        "--cache", type=Path, default=Path.home() / ".cache" / "voice-cloning", metavar="FOLDER"
    )
    options = parser.parse_args()
    phonemizer = Phonemizer()
    phonemizer.load()
    kokoro = Kokoro(options.cache, threads=2)
    styles = StockStyles(assets.load_arrays(assets.STOCK_VOICES))
    exact = _float_network(options.cache)
    print("| texts | number | as a whole | in windows |\n|---|---|---|---|")
    for name, table in (("sentences", SENTENCES), ("a few words", SHORT_TEXTS)):
        distances = []
        for language, voices in STOCK_VOICES.items():
            for voice, text in zip(voices, table[language], strict=False):
                [tokens] = token_parts(phonemizer.phonemes(text, language), VOCABULARY)
                style = styles.style(voice, len(tokens))
                distances.append(_distances(kokoro, exact, list(tokens), style))
        whole, windows = np.mean(distances, axis=0)
        print(f"| {name} | {len(distances)} | {whole:.1f} | {windows:.1f} |")
    phonemizer.close()


def _distances(
    kokoro: Kokoro, exact: ort.InferenceSession, tokens: list[int], style: Floats
) -> tuple[float, float]:
    predicted = kokoro.prosody(tokens, style)
    prosody = spoken_part(predicted)
    inputs = graph.audio_inputs(prosody) | {"style": style[None]}
    wanted: Samples = exact.run(["audio"], inputs)[0]
    start, windows = _windowed(kokoro, prosody, style)
    return (
        _distance(wanted, kokoro.audio(prosody, style)),
        _distance(wanted[start : start + len(windows)], windows),
    )


def _windowed(kokoro: Kokoro, prosody: Prosody, style: Floats) -> tuple[int, Samples]:
    """Return the first sample of the first window, and the joined windows."""
    speech = kokoro.speech(prosody, style)
    seams = Seams()
    plan = plan_windows(prosody)
    joined = []
    for window in plan:
        raw = speech.samples(*window.rendered)
        joined.append(seams.join(raw, *window.output_samples, last=window is plan[-1]))
    return plan[0].start * FRAME_SAMPLES, np.concatenate(joined)


def _float_network(cache: Path) -> ort.InferenceSession:
    whole = onnx.load(joined_weights(cache))
    half = graph.audio_half(whole)
    model = with_fixed_ranges(half, {})
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def _distance(wanted: Samples, found: Samples) -> float:
    spectra = [
        20 * np.log10(np.abs(stft(one, _FFT, _HOP)) + _FLOOR)
        for one in (wanted[: len(found)], found[: len(wanted)])
    ]
    level = spectra[0].mean(axis=1)
    loud = level > np.median(level)
    differences = (spectra[0] - spectra[1])[loud]
    return float(np.sqrt((differences**2).mean(axis=1)).mean())


if __name__ == "__main__":
    main()
