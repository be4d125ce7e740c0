"""Sentences of ragged lengths, by stock coqui-tts and by the XTTS engine: a batch of all, and Poisson arrivals.

The clock is the processor time of this process, which has one thread, so other programs on the machine change little.
Until the next arrival it jumps. Stock speaks one sentence after another, so what its listeners wait for is computed
from the time of each of its sentences.
"""

import itertools
import random
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch

from benchmarks.xtts_gpu.traffic import Listener
from services.synth_worker.engines.protocol import Utterance
from services.synth_worker.engines.xtts.engine import LoadedVoice, XttsEngine, XttsSentence

STOPPED_S: Final = 0.1  # a longer stop of playback is noticed
_TOGETHER: Final = float("inf")  # arrivals a second: all at once
_HEAD: Final = (
    "| sentences | arrivals | real-time factor | first audio, median and longest | without a stop |"
)

Clock = Callable[[], float]


def arrivals_of(texts: Sequence[str], a_second: float, seed: int = 11) -> list[Listener]:
    """Return one listener per text, who arrives at random, on average so many a second; infinity: all at once."""
    dice, now_s, listeners = random.Random(seed), 0.0, list[Listener]()
    for number, text in enumerate(texts):
        listeners.append(Listener(now_s, [Utterance(text, "en", number)]))
        now_s += dice.expovariate(a_second) if a_second < _TOGETHER else 0.0
    return listeners


def serve(
    engine: XttsEngine,
    voice: LoadedVoice,
    listeners: Sequence[Listener],
    at_once: int,
    clock: Clock = time.process_time,
) -> float:
    """Speak for all listeners, at most `at_once` at a time, in the order of arrival; return the seconds of work."""
    waiting = list(listeners)
    underway: list[tuple[Listener, XttsSentence]] = []
    now_s = worked_s = 0.0
    while waiting or underway:
        if not underway:
            now_s = max(now_s, waiting[0].arrived_s)
        begun = clock()
        while waiting and waiting[0].arrived_s <= now_s and len(underway) < at_once:
            one = waiting.pop(0)
            underway.append((one, engine.open(one.waiting.pop(), voice)))
        steps = engine.step([sentence for _, sentence in underway])
        took_s = clock() - begun
        now_s, worked_s = now_s + took_s, worked_s + took_s
        for (one, _), step in zip(underway, steps, strict=True):
            one.receive(now_s, len(step.samples))
        underway = [entry for entry, step in zip(underway, steps, strict=True) if not step.done]
    return worked_s


def speak_by_stock(
    model: Any, voice: LoadedVoice, texts: Sequence[str], *, stream: bool
) -> list[list[tuple[float, int]]]:
    """Return what each sentence consists of: pairs of the seconds since its begin, and samples that came then."""
    spoken = []
    for number, text in enumerate(texts):
        torch.manual_seed(number)
        said = (text, "en", voice.voice.prompt, voice.voice.embedding)
        begun = time.process_time()
        pieces: list[tuple[float, int]] = []
        if stream:
            for samples in model.inference_stream(*said, repetition_penalty=5.0):
                pieces.append((time.process_time() - begun, len(samples)))  # noqa: PERF401  # the time of each
        else:
            samples = model.inference(*said, repetition_penalty=5.0)["wav"]
            pieces.append((time.process_time() - begun, len(samples)))
        spoken.append(pieces)
    return spoken


def queued(spoken: Sequence[Sequence[tuple[float, int]]], listeners: Sequence[Listener]) -> None:
    """Let listeners hear sentences that are spoken one after another, each as soon as the one before has ended."""
    free_s = 0.0
    for pieces, one in zip(spoken, listeners, strict=True):
        begun_s = max(free_s, one.arrived_s)
        for after_s, samples in pieces:
            one.receive(begun_s + after_s, samples)
        free_s = begun_s + pieces[-1][0]


def row(name: str, arrivals: str, listeners: Sequence[Listener], worked_s: float) -> str:
    """Return a line of the table."""
    first = [one.first_audio_s for one in listeners]
    whole = sum(one.worst_s <= STOPPED_S for one in listeners) / len(listeners)
    factor = worked_s / sum(one.audio_s for one in listeners)
    heard = f"{statistics.median(first):.1f} s, {max(first):.1f} s | {whole:.0%}"
    return f"| {name} | {arrivals} | {factor:.2f} | {heard} |"


def measure(
    stock: Any,
    engine: XttsEngine,
    voice: LoadedVoice,
    texts: Sequence[str],
    even: str,
    *,
    tell: Callable[[str], None],
) -> None:
    """Measure, and tell the table line by line; `even` is the text of the sentences of one length."""
    tell(f"{_HEAD}\n{'|---' * 5}|")
    at_once = len(texts)

    def ours(name: str, chosen: Sequence[str], arrivals: str, a_second: float) -> float:
        listeners = arrivals_of(chosen, a_second)
        worked_s = serve(engine, voice, listeners, at_once)
        tell(row(f"ours, {name}", arrivals, listeners, worked_s))
        return worked_s

    def theirs(name: str, chosen: Sequence[str], *, stream: bool) -> list[list[tuple[float, int]]]:
        spoken = speak_by_stock(stock, voice, chosen, stream=stream)
        listeners = arrivals_of(chosen, _TOGETHER)
        queued(spoken, listeners)
        tell(row(f"stock, {name}", "all at once", listeners, _total_s(spoken)))
        return spoken

    serve(engine, voice, arrivals_of([even], _TOGETHER), 1)  # for nothing
    theirs("one length", [even], stream=False)
    even_s = ours("one length", [even] * at_once, "all at once", _TOGETHER)
    theirs("ragged", texts, stream=False)
    ragged_s = ours("ragged", texts, "all at once", _TOGETHER)
    streamed = theirs("ragged, streaming", texts, stream=True)

    rate = 0.5 * len(texts) / _total_s(streamed)
    listeners = arrivals_of(texts, rate)
    queued(streamed, listeners)
    half = "Poisson, half of what stock can do"
    tell(row("stock, ragged, streaming", half, listeners, _total_s(streamed)))
    ours("ragged", texts, half, rate)
    for load in (0.5, 0.8):
        arrivals = f"Poisson, {load:.0%} of what ours can do"
        ours("ragged", [*texts, *texts], arrivals, load * len(texts) / ragged_s)
    lengths = sorted(len(text) for text in texts)
    note = (
        f"Lengths of the ragged texts: {', '.join(map(str, lengths))} characters; of the even one {len(even)}. "
        f"Work of ours for {at_once}: {even_s:.1f} s even, {ragged_s:.1f} s ragged."
    )
    tell(f"\n{note}")


def _total_s(spoken: Sequence[Sequence[tuple[float, int]]]) -> float:
    return sum(itertools.chain.from_iterable([pieces[-1][:1] for pieces in spoken]))
