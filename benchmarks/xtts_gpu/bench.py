"""The common part of the steps: device, weights, sizes, and speaking sentences."""

import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.quality.plan import sentences
from services.common.audio.clip import Clip
from services.common.wire.failures import PipelineError
from services.synth_worker.engines.protocol import Utterance
from services.synth_worker.engines.xtts.decoder.guard import Fault
from services.synth_worker.engines.xtts.decoder.linear import Precision
from services.synth_worker.engines.xtts.engine import (
    LoadedVoice,
    XttsEngine,
    XttsSentence,
    XttsSettings,
)
from services.synth_worker.engines.xtts.weights.location import WeightSettings

RATE_HZ = 24_000
_SHORTEST = 12
_TEXT = (
    "the train left again without a sound while rain fell over old houses near every quiet harbour"
)
_WORDS = _TEXT.split()


@dataclass(frozen=True)
class Sizes:
    """The amount of work in each step."""

    crowds: tuple[int, ...]  # sentences at once
    slots: tuple[int, ...]
    languages: int
    sentences_a_language: int
    trials: int  # of the first audio
    guarded: int  # sentences
    words: int  # texts of one word
    listeners: tuple[int, ...]  # live streams at once, on average
    live_s: float
    texts: int  # ragged sentences of a batch
    pytest_args: tuple[str, ...]
    longest: int = 240  # characters of a ragged sentence
    threads: int = 2
    patience: int = 1  # times a step's limit: of a machine that is busy with other things


FULL = Sizes(
    crowds=(16, 64),
    slots=(3, 16, 64),
    languages=17,
    sentences_a_language=2,
    trials=50,
    guarded=300,
    words=50,
    listeners=(16, 32, 64),
    live_s=20.0,
    texts=192,
    pytest_args=("test_decoding.py", "test_vocoder.py", "test_engine.py"),
)
SMALL = Sizes(
    crowds=(2, 3),
    slots=(2, 4),
    languages=1,
    sentences_a_language=1,
    trials=2,
    guarded=3,
    words=2,
    listeners=(1,),
    live_s=0.5,
    texts=4,
    pytest_args=("test_decoding.py", "-k", "a_released_slot_holds_nothing"),
    longest=30,
    threads=1,
    patience=5,
)


@dataclass(frozen=True)
class Bench:
    """The engine's device and weights, for the steps."""

    device: str  # "cpu", "cuda", "cuda:1"
    folder: Path  # of the weights
    released: bool  # the weights say something; else they are random
    tiny: Path  # a small random checkpoint
    sizes: Sizes
    out: Path  # for waveforms

    @property
    def on_gpu(self) -> bool:
        """Return whether the device is a GPU."""
        return self.device != "cpu"

    def engine(
        self, precision: Precision | None = None, *, slots: int = 8, folder: Path | None = None
    ) -> "CountingEngine":
        """Return a loaded engine."""
        weights = WeightSettings(model_dir=folder or self.folder, agreed=True)
        engine = CountingEngine(
            XttsSettings(
                weights,
                device=self.device,
                precision=precision,
                threads=self.sizes.threads,
                max_batch=slots,
            )
        )
        engine.load()
        return engine

    def texts(self, count: int, seed: int = 0) -> list[str]:
        """Return English sentences of ragged lengths."""
        return ragged_texts(count, seed, self.sizes.longest)

    def wait(self) -> None:
        """Wait until the device has finished."""
        if self.on_gpu:
            torch.cuda.synchronize()


class CountingEngine(XttsEngine):
    """The engine, which also counts the guard's faults by kind."""

    def __init__(self, settings: XttsSettings) -> None:
        super().__init__(settings)
        self.faults: list[Fault] = []

    def _to_repair(self, sentence: XttsSentence) -> Fault | None:
        found = super()._to_repair(sentence)
        fault = found or sentence.fault
        if fault:
            self.faults.append(fault)
        return found


def voice_of(engine: XttsEngine) -> LoadedVoice:
    """Return a voice: a studio speaker, or one of noise where there are none."""
    voices = engine.describe().voices
    if voices:
        return engine.restore(engine.built_in(voices[0].name))
    noise = np.random.default_rng(0).standard_normal(8 * RATE_HZ) * 0.1
    return engine.restore(engine.condition([Clip(noise.astype(np.float32), RATE_HZ)]))


def ragged_texts(count: int, seed: int = 0, longest: int = FULL.longest) -> list[str]:
    """Return English sentences with lengths as in prose: log-normal, median 80 characters, 12 to `longest`."""
    dice = random.Random(seed)
    texts = []
    for _ in range(count):
        length = min(max(int(dice.lognormvariate(4.4, 0.6)), _SHORTEST), longest)
        words: list[str] = []
        while sum(map(len, words)) + len(words) < length:
            words.append(dice.choice(_WORDS))
        texts.append(" ".join(words).capitalize() + ".")
    return texts


def texts_by_language(sizes: Sizes, languages: Sequence[str]) -> list[tuple[str, str]]:
    """Return (language, text) of the sentences that all quality benchmarks use."""
    chosen = [language for language in sentences() if language in languages][: sizes.languages]
    return [
        (language, text)
        for language in chosen
        for text in sentences()[language][: sizes.sentences_a_language]
    ]


@dataclass
class Spoken:
    """Sentences that were spoken together."""

    codes: list[list[int]]
    audio_s: list[float]
    failed: int
    first_audio_s: float
    seconds: float

    @property
    def times_real_time(self) -> float:
        """Return seconds of audio per second."""
        return sum(self.audio_s) / self.seconds


def speak_all(
    bench: Bench,
    engine: XttsEngine,
    voice: LoadedVoice,
    utterances: Sequence[Utterance],
    slots: int,
) -> Spoken:
    """Speak all, at most `slots` at once; a sentence that ends is followed by the next one."""
    waiting = list(enumerate(utterances))
    underway: list[tuple[int, XttsSentence]] = []
    codes: list[list[int]] = [[] for _ in utterances]
    samples = [0] * len(utterances)
    failed, first = 0, 0.0
    begun = time.perf_counter()
    while waiting or underway:
        while waiting and len(underway) < slots:
            index, utterance = waiting.pop(0)
            try:
                underway.append((index, engine.open(utterance, voice)))
            except PipelineError:
                failed += 1
        if not underway:
            break
        steps = engine.step([sentence for _, sentence in underway])
        for (index, sentence), step in zip(underway, steps, strict=True):
            samples[index] += len(step.samples)
            failed += step.failure is not None or bool(step.fault)
            codes[index] = sentence.decoding.codes
        if not first and any(samples):
            first = time.perf_counter() - begun
        underway = [entry for entry, step in zip(underway, steps, strict=True) if not step.done]
    bench.wait()
    return Spoken(
        codes,
        [count / RATE_HZ for count in samples],
        failed,
        first,
        time.perf_counter() - begun,
    )


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def milliseconds(values: Sequence[float]) -> dict[str, float]:
    """Return p50 and p99 of seconds, in milliseconds."""
    return {
        "p50_ms": 1e3 * statistics.median(values),
        "p99_ms": 1e3 * percentile(values, 0.99),
    }
