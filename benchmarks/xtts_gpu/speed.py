"""Step 5: loading, first audio, step times by rows and window, prefill, render, memory by slots."""

import statistics
import time

import torch

from benchmarks.xtts_gpu.bench import (
    Bench,
    CountingEngine,
    milliseconds,
    voice_of,
)
from benchmarks.xtts_gpu.counting import Operations
from benchmarks.xtts_gpu.findings import Findings
from services.synth_worker.engines.protocol import Utterance
from services.synth_worker.engines.xtts.engine import LoadedVoice

_AIM_P50_MS = 120.0
_AIM_P99_MS = 200.0
_TIMED_STEPS = 60


def examine(bench: Bench, findings: Findings) -> None:
    """Measure each, with the precision that the engine chooses for the device."""
    for slots in bench.sizes.slots:
        if bench.on_gpu:
            torch.cuda.reset_peak_memory_stats()
        begun = time.perf_counter()
        engine = bench.engine(slots=slots)
        findings.figures[f"{slots} slots: load s"] = time.perf_counter() - begun
        voice = voice_of(engine)
        if slots == bench.sizes.slots[0]:
            _first_audio(bench, findings, engine, voice)
        _step_times(bench, findings, engine, voice, slots)
        if bench.on_gpu:
            peak = torch.cuda.max_memory_reserved() // 2**20
            findings.figures[f"{slots} slots: VRAM MiB"] = peak
        engine.close()
        if bench.on_gpu:
            torch.cuda.empty_cache()
    if not bench.on_gpu:
        findings.skip("VRAM, and the aims for the first audio", "the device is a CPU")


def _first_audio(
    bench: Bench, findings: Findings, engine: CountingEngine, voice: LoadedVoice
) -> None:
    times = []
    for seed, text in enumerate(bench.texts(bench.sizes.trials, seed=3)):
        begun = time.perf_counter()
        sentence = engine.open(Utterance(text, "en", seed), voice)
        while not len(engine.step([sentence])[0].samples):
            pass
        times.append(time.perf_counter() - begun)
        engine.discard(sentence)
    findings.figures["first audio after loading, ms"] = 1e3 * times[0]
    findings.figures["first audio"] = milliseconds(times)
    if bench.on_gpu:
        found = milliseconds(times)
        findings.check(
            f"first audio within {_AIM_P50_MS:.0f} ms at p50 and {_AIM_P99_MS:.0f} ms at p99",
            found["p50_ms"] <= _AIM_P50_MS and found["p99_ms"] <= _AIM_P99_MS,
            found,
        )


def _step_times(
    bench: Bench, findings: Findings, engine: CountingEngine, voice: LoadedVoice, rows: int
) -> None:
    """Time steps in which all rows decode; those that also vocode are counted apart."""
    texts = bench.texts(rows, seed=5)
    underway = [
        engine.open(Utterance(f"{text} {text}"[:200], "en", seed), voice)
        for seed, text in enumerate(texts)
    ]
    bench.wait()
    begun = time.perf_counter()
    engine.step(underway)
    bench.wait()
    findings.figures[f"{rows} rows: prefill ms"] = 1e3 * (time.perf_counter() - begun)
    quiet, vocoding = [], []
    for _ in range(_TIMED_STEPS if bench.on_gpu else 12):
        begun = time.perf_counter()
        steps = engine.step(underway)
        bench.wait()
        took = time.perf_counter() - begun
        (vocoding if any(len(step.samples) for step in steps) else quiet).append(took)
        underway = [one for one, step in zip(underway, steps, strict=True) if not step.done]
        if not underway:
            break
    if quiet:
        findings.figures[f"{rows} rows: step"] = milliseconds(quiet)
    if vocoding:
        findings.figures[f"{rows} rows: step with vocoding"] = milliseconds(vocoding)
    if underway:
        with Operations() as counted:
            engine.step(underway)
        findings.figures[f"{rows} rows: operations launched by a step"] = counted.count
    for sentence in underway:
        engine.discard(sentence)
    findings.figures[f"{rows} rows: median step ms"] = 1e3 * statistics.median(quiet + vocoding)
