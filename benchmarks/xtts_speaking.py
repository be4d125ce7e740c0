"""The XTTS engine and stock, and two of its precisions side by side, for benchmarks.xtts_verify."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.quality.plan import sentences
from benchmarks.sentence import speak
from benchmarks.xtts_stock import Pair, StockSpeaker, compare
from benchmarks.xtts_verify import Review
from services.common.audio.clip import Clip, Samples
from services.synth_worker.engines.protocol import Utterance
from services.synth_worker.engines.xtts.engine import XttsEngine, XttsSettings
from services.synth_worker.engines.xtts.weights.location import WeightSettings, find_weights

RATE_HZ = 24_000


class Comparison:
    """float32 and another precision, with one voice."""

    def __init__(self, model_dir: Path | None, precision: Any, clip: Clip) -> None:
        """Load both. Raises EngineUnavailable where the weights are not there or their licence is not accepted."""
        weights = WeightSettings(
            model_dir=model_dir, agreed=os.environ.get("COQUI_TOS_AGREED") == "1"
        )
        both = [
            XttsEngine(XttsSettings(weights, device="cpu", precision=name))
            for name in ("float32", precision)
        ]
        for engine in both:
            engine.load()
        self._fine, self._coarse = both
        self.languages = self._fine.describe().languages
        voice = self._fine.condition([clip])
        self._voices = [engine.restore(voice) for engine in both]

    def review(self, language: str, text: str, *, seed: int) -> tuple[Review, list[Samples]]:
        """Speak a sentence with both; return their distance, and both waveforms."""
        sounds, spoken = [], []
        for engine, voice in zip((self._fine, self._coarse), self._voices, strict=True):
            sentence = speak(engine, voice, Utterance(text, language, seed))
            sounds.append(sentence.samples)
            spoken.append(sentence.sequence.decoding.codes)
        return self._compared(language, text, spoken, sounds), sounds

    def _compared(
        self, language: str, text: str, spoken: list[list[int]], sounds: list[Samples]
    ) -> Review:
        codes = spoken[0]
        (fine, likeliest), (coarse, others) = (
            engine.review(text, language, voice, codes)
            for engine, voice in zip((self._fine, self._coarse), self._voices, strict=True)
        )
        common = sum(
            1
            for _ in itertools.takewhile(
                lambda pair: pair[0] == pair[1], zip(*spoken, strict=False)
            )
        )
        return Review(
            language=language,
            text=text,
            latent_error=float(torch.linalg.norm(coarse - fine) / torch.linalg.norm(fine)),
            same_likeliest=float(np.mean(np.array(likeliest) == np.array(others))),
            same_codes=common / len(codes),
            seconds=(len(sounds[0]) / RATE_HZ, len(sounds[1]) / RATE_HZ),
        )


def pairs_with_stock(model_dir: Path | None, device: str, clip: Clip) -> Iterator[Pair]:
    """Speak a sentence per language with stock and in float32, on the same device, without TF32."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    weights = WeightSettings(model_dir=model_dir, agreed=os.environ.get("COQUI_TOS_AGREED") == "1")
    folder = find_weights(weights)
    engine = XttsEngine(XttsSettings(weights, device=device, precision="float32"))
    engine.load()
    voice = engine.restore(engine.condition([clip]))
    description = engine.describe()
    stock = StockSpeaker(folder, description.device, engine.defaults)
    for seed, language in enumerate(description.languages):
        utterance = Utterance(sentences()[language][0], language, seed)
        try:
            yield compare(stock, engine, voice, utterance)
        except NotImplementedError:  # stock's number words lack some languages
            print(f"| {language} | stock cannot speak it | | |", flush=True)
