"""Every instrument behind one face, with its memory."""

import warnings
from functools import cached_property
from pathlib import Path

import numpy as np
import soxr
from speechmos import dnsmos

from benchmarks.quality.defects import Inspection, inspect
from benchmarks.quality.distilled import DistillMos
from benchmarks.quality.encoders import DVector, Encoder, Ge2e, Vector
from benchmarks.quality.memory import Memory
from benchmarks.quality.recogniser import Recogniser
from benchmarks.quality.references import RATE_HZ, Samples

_DNSMOS_SAMPLES = int(9.01 * 16_000)  # what the model takes at a time
ENCODERS = ("d-vector", "GE2E")


class Instruments:
    """Measures speech, mono at 24 kHz; loads a model when it is first needed."""

    def __init__(self, cache: Path, threads: int) -> None:
        self._cache, self._threads = cache, threads
        self._memory = Memory(cache / "measured")

    @cached_property
    def _recogniser(self) -> Recogniser:
        return Recogniser(self._cache, self._threads)

    @cached_property
    def _encoders(self) -> dict[str, Encoder]:
        return {"d-vector": DVector(self._threads), "GE2E": Ge2e()}

    @cached_property
    def _distilled(self) -> DistillMos:
        return DistillMos()

    def transcript(self, samples: Samples, language: str) -> str:
        """Transcribe with whisper-base, given the language."""
        return self._memory.text(
            "heard-v1", samples, language, lambda: self._recogniser.transcribe(samples, language)
        )

    def voice(self, samples: Samples) -> dict[str, Vector]:
        """Embed the speaker, by each encoder."""
        return {name: self._embedded(name, samples) for name in ENCODERS}

    def _embedded(self, encoder: str, samples: Samples) -> Vector:
        return self._memory.vector(
            f"voice-{encoder}-v1", samples, lambda: self._encoders[encoder].embed(samples)
        )

    def opinion(self, samples: Samples) -> dict[str, float]:
        """Predict listeners' scores, 1..5: DNSMOS P.835 `sig`, `bak`, `ovrl`, and `p808`; Distill-MOS `distilled`."""
        return {
            **self._memory.figures("dnsmos-v2", samples, lambda: _dnsmos(samples)),
            **self._memory.figures(
                "distillmos-v1", samples, lambda: {"distilled": self._distilled.score(samples)}
            ),
        }

    def inspection(self, samples: Samples) -> Inspection:
        """Look for what a listener would hate."""
        return inspect(samples)


def _dnsmos(samples: Samples) -> dict[str, float]:
    heard = np.clip(soxr.resample(samples, RATE_HZ, 16_000), -1, 1)
    if len(heard) < _DNSMOS_SAMPLES:  # else speechmos doubles it, and scores every second of that
        heard = np.resize(heard, _DNSMOS_SAMPLES)
    with warnings.catch_warnings():
        # librosa complains of the odd window that DNSMOS was trained with
        warnings.simplefilter("ignore")
        scores = dnsmos.run(heard, sr=16_000)
    return {name: float(scores[f"{name}_mos"]) for name in ("sig", "bak", "ovrl", "p808")}
