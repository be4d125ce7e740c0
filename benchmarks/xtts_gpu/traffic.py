"""Step 6: ragged sentences in batch, and live listeners who arrive at random.

A listener hears one sentence after another, without gaps, from the moment that its first audio arrives. Whenever
audio is late, playback stops until it arrives; the longest such stop is the listener's worst underrun. C100 is the
share of listeners whose worst underrun is at most 100 ms, the measure that SGLang-Omni publishes.
"""

import random
import time
from dataclasses import dataclass, field

from benchmarks.xtts_gpu.bench import (
    RATE_HZ,
    Bench,
    CountingEngine,
    percentile,
    speak_all,
    voice_of,
)
from benchmarks.xtts_gpu.findings import Findings
from services.synth_worker.engines.protocol import Utterance
from services.synth_worker.engines.xtts.engine import LoadedVoice, XttsSentence

_AIM_TIMES_REAL_TIME = 150.0
_AIM_C100 = 0.99
_AIM_FIRST_P95_S = 0.5
_UNDERRUN_S = 0.1
_SENTENCES = 3  # of a listener


@dataclass(eq=False)
class Listener:
    """A client that plays a few sentences live."""

    arrived_s: float
    waiting: list[Utterance]
    sentence: XttsSentence | None = None
    first_audio_s: float = 0.0  # after the arrival
    heard_until_s: float = 0.0  # when the audio so far is played
    worst_s: float = 0.0  # the longest underrun
    audio_s: float = 0.0
    begun: bool = field(default=False)

    def receive(self, now_s: float, samples: int) -> None:
        """Take samples that arrive now."""
        if not samples:
            return
        if not self.begun:
            self.begun, self.first_audio_s, self.heard_until_s = True, now_s - self.arrived_s, now_s
        late_s = now_s - self.heard_until_s
        self.worst_s = max(self.worst_s, late_s)
        self.heard_until_s = max(self.heard_until_s, now_s) + samples / RATE_HZ
        self.audio_s += samples / RATE_HZ


def examine(bench: Bench, findings: Findings) -> None:
    """Measure the throughput, then live traffic."""
    slots = max(*bench.sizes.crowds, *bench.sizes.listeners)
    engine = bench.engine(slots=2 * slots)
    voice = voice_of(engine)
    mean_s = _throughput(bench, findings, engine, voice)
    for listeners in bench.sizes.listeners:
        _live(bench, findings, engine, voice, at_once=listeners, mean_s=mean_s)
    if not bench.on_gpu:
        findings.skip("the aims", "they are for a GPU")


def _throughput(
    bench: Bench, findings: Findings, engine: CountingEngine, voice: LoadedVoice
) -> float:
    """Return the mean length of a sentence, in seconds."""
    texts = bench.texts(bench.sizes.texts)
    utterances = [Utterance(text, "en", seed) for seed, text in enumerate(texts)]
    best = 0.0
    for at_once in sorted({16, *bench.sizes.listeners, *bench.sizes.crowds}):
        if at_once > bench.sizes.texts:
            continue
        spoken = speak_all(bench, engine, voice, utterances, at_once)
        findings.figures[f"ragged batch, {at_once} at once: times real time"] = (
            spoken.times_real_time
        )
        best = max(best, spoken.times_real_time)
        mean_s = sum(spoken.audio_s) / len(spoken.audio_s)
    if bench.on_gpu:
        aim = _AIM_TIMES_REAL_TIME
        findings.check(f"a batch is {aim:.0f} times real time", best >= aim, f"{best:.1f}")
    return mean_s


def _live(
    bench: Bench,
    findings: Findings,
    engine: CountingEngine,
    voice: LoadedVoice,
    *,
    at_once: int,
    mean_s: float,
) -> None:
    """Let listeners arrive so that `at_once` listen on average."""
    arrivals = _arrivals(bench, at_once / (mean_s * _SENTENCES), bench.sizes.live_s)
    requests = _serve(engine, voice, arrivals)
    served = [one for one in requests if one.begun]
    if not served:
        findings.skip(f"{at_once} listeners", "none arrived")
        return
    good = sum(one.worst_s <= _UNDERRUN_S for one in served) / len(served)
    first = [one.first_audio_s for one in served]
    findings.figures[f"{at_once} listeners"] = {
        "arrived": len(requests),
        "C100": good,
        "first p50 s": percentile(first, 0.5),
        "first p95 s": percentile(first, 0.95),
        "worst underrun s": max(one.worst_s for one in served),
    }
    if bench.on_gpu:
        findings.check(f"{at_once} listeners: C100 is 99 % or more", good >= _AIM_C100, good)
        p95 = percentile(first, 0.95)
        findings.check(
            f"{at_once} listeners: first audio within 500 ms at p95", p95 <= _AIM_FIRST_P95_S, p95
        )


def _arrivals(bench: Bench, a_second: float, seconds: float) -> list[Listener]:
    dice, now_s, arrivals = random.Random(11), 0.0, list[Listener]()
    texts = bench.texts(4096, seed=13)
    while now_s < seconds:
        seed = len(arrivals)
        mine = texts[_SENTENCES * seed : _SENTENCES * (seed + 1)]
        arrivals.append(Listener(now_s, [Utterance(text, "en", seed) for text in mine]))
        now_s += dice.expovariate(a_second)
    return arrivals


def _serve(engine: CountingEngine, voice: LoadedVoice, arrivals: list[Listener]) -> list[Listener]:
    """Speak for all listeners in real time, until the last one is served."""
    begun, coming = time.perf_counter(), list(arrivals)
    present: list[Listener] = []
    while coming or present:
        now_s = time.perf_counter() - begun
        while coming and coming[0].arrived_s <= now_s:
            present.append(coming.pop(0))
        for listener in present:
            if listener.sentence is None:
                listener.sentence = engine.open(listener.waiting.pop(0), voice)
        batch = [(one, one.sentence) for one in present if one.sentence is not None]
        if not batch:
            time.sleep(max(0.0, coming[0].arrived_s - now_s))
            continue
        steps = engine.step([sentence for _, sentence in batch])
        now_s = time.perf_counter() - begun
        for (listener, _), step in zip(batch, steps, strict=True):
            listener.receive(now_s, len(step.samples))
            if step.done:
                listener.sentence = None
        present = [one for one in present if one.sentence is not None or one.waiting]
    return arrivals
