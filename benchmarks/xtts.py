"""`python -m benchmarks.xtts`: the XTTS engine against stock coqui-tts, on one CPU thread, as Markdown tables.

Weights are random and of the released sizes (1.9 GB, written once into --folder): speed does not depend on what they
say, and neither engine has another text, voice, seed or number of codes than the other. Stock and ours take turns in
one process, so that a machine that is busy with other things slows both; compare the ratios. Medians of --runs rounds.
The last table has sentences of ragged lengths, and such as arrive at random (`xtts_ragged`), in bfloat16.
"""

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import xtts_ragged
from benchmarks.xtts_gpu.bench import ragged_texts
from services.common.audio.clip import Clip
from services.synth_worker.engines.protocol import Utterance
from services.synth_worker.engines.xtts.decoder.linear import Precision
from services.synth_worker.engines.xtts.engine import LoadedVoice, XttsEngine, XttsSettings
from services.synth_worker.engines.xtts.weights.location import WeightSettings
from tests.support.xtts_checkpoint import make_checkpoint, stock_model

RATE_HZ = 24_000
TEXT = "Most of the visitors came by train, although the road had been repaired, and nobody noticed the small boat."
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "int8")


@dataclass(frozen=True)
class Run:
    """One sentence, or several at once, spoken to the end."""

    seconds: float
    first_audio_s: float
    audio_s: float

    @property
    def real_time_factor(self) -> float:
        """Return seconds of processing per second of audio."""
        return self.seconds / self.audio_s


def clip() -> Clip:
    noise = np.random.default_rng(0).standard_normal(8 * RATE_HZ) * 0.1
    return Clip(noise.astype(np.float32), RATE_HZ)


def engine_of(
    folder: Path, precision: Precision, threads: int = 1, device: str = "cpu", batch: int = 8
) -> XttsEngine:
    weights = WeightSettings(model_dir=folder, agreed=True)
    engine = XttsEngine(
        XttsSettings(weights, device=device, precision=precision, threads=threads, max_batch=batch)
    )
    engine.load()
    return engine


def speak(engine: XttsEngine, voice: LoadedVoice, count: int, *, seed: int = 0) -> Run:
    """Speak `count` sentences at once."""
    begun = time.perf_counter()
    underway = [engine.open(Utterance(TEXT, "en", seed + place), voice) for place in range(count)]
    samples, first_audio_s = 0, 0.0
    while underway:
        steps = engine.step(underway)
        samples += sum(len(step.samples) for step in steps)
        if samples and not first_audio_s:
            first_audio_s = time.perf_counter() - begun
        for sentence, step in zip(tuple(underway), steps, strict=True):
            if step.failure is not None:
                raise step.failure
            if step.done:
                underway.remove(sentence)
                engine.discard(sentence)
    return Run(time.perf_counter() - begun, first_audio_s, samples / RATE_HZ)


def speak_by_stock(model: Any, voice: LoadedVoice, *, seed: int = 0, stream: bool = False) -> Run:
    """Speak one sentence with `Xtts.inference`, or with `Xtts.inference_stream`, at the released settings."""
    torch.manual_seed(seed)
    said = (TEXT, "en", voice.voice.prompt, voice.voice.embedding)
    begun = time.perf_counter()
    if not stream:
        sound = model.inference(*said, repetition_penalty=5.0)["wav"]
        seconds = time.perf_counter() - begun
        return Run(seconds, seconds, len(sound) / RATE_HZ)
    first_audio_s, samples = 0.0, 0
    for piece in model.inference_stream(*said, repetition_penalty=5.0):
        samples += len(piece)
        first_audio_s = first_audio_s or time.perf_counter() - begun
    return Run(time.perf_counter() - begun, first_audio_s, samples / RATE_HZ)


def take_turns(cases: dict[str, Callable[[], Run]], rounds: int) -> dict[str, Run]:
    """Run all cases once for nothing and then `rounds` times, one after another; medians of each."""
    runs: dict[str, list[Run]] = {name: [] for name in cases}
    for round_ in range(rounds + 1):
        for name, case in cases.items():
            run = case()
            if round_:
                runs[name].append(run)
                print(
                    f"  {name}: {run.real_time_factor:.2f}, {run.first_audio_s:.2f} s",
                    file=sys.stderr,
                    flush=True,
                )
    return {
        name: Run(
            *(
                statistics.median(getattr(run, field) for run in done)
                for field in Run.__dataclass_fields__
            )
        )
        for name, done in runs.items()
    }


def against_stock(folder: Path, rounds: int) -> str:
    """Measure speed and first audio of all precisions; answers the table."""
    stock = stock_model(folder)
    engines = {precision: engine_of(folder, precision) for precision in PRECISIONS}
    voices = {name: engine.restore(engine.condition([clip()])) for name, engine in engines.items()}
    cases: dict[str, Callable[[], Run]] = {
        "stock": lambda: speak_by_stock(stock, voices["float32"]),
        "stock, streaming": lambda: speak_by_stock(stock, voices["float32"], stream=True),
    }
    for name, engine in engines.items():
        for count in (1, 4, 8):
            cases[f"{name}, {count} at once"] = lambda engine=engine, name=name, count=count: speak(
                engine, voices[name], count
            )
    with torch.inference_mode():
        medians = take_turns(cases, rounds)
    whole, streamed = medians["stock"].real_time_factor, medians["stock, streaming"].first_audio_s
    rows = [
        f"| {name} | {run.real_time_factor:.2f} | {run.real_time_factor / whole:.2f} "
        f"| {whole / run.real_time_factor:.1f} | {run.first_audio_s:.2f} s | {run.first_audio_s / streamed:.2f} |"
        for name, run in medians.items()
    ]
    head = "| one thread | real-time factor | of stock's | times stock's throughput | first audio | of stock's stream |"
    return "\n".join([head, "|---" * 6 + "|", *rows])


@torch.inference_mode()
def ragged(folder: Path, texts: int) -> None:
    """Measure sentences of ragged lengths, and print the table."""
    engine = engine_of(folder, "bfloat16")
    voice = engine.restore(engine.condition([clip()]))
    stock, tell = stock_model(folder), functools.partial(print, flush=True)
    xtts_ragged.measure(stock, engine, voice, ragged_texts(texts), TEXT, tell=tell)


def load_in_a_child(folder: Path, precision: Precision) -> dict[str, float]:
    """Load the engine in a fresh process: seconds, and its memory in MiB, private and shared with others."""
    code = (
        "import json, time; from pathlib import Path; from benchmarks.xtts import engine_of, memory_mebibytes;"
        f"t = time.perf_counter(); e = engine_of(Path({str(folder)!r}), {precision!r}); s = time.perf_counter() - t;"
        "print(json.dumps({'seconds': s, **memory_mebibytes()}))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    measured: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return measured


def memory_mebibytes() -> dict[str, float]:
    """Memory of this process: what is its own, and what is mapped from files and can be shared."""
    kinds = {"private": 0.0, "shared": 0.0}
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in ("Private_Dirty", "Shared_Dirty"):
            kinds["private"] += int(rest.split()[0]) / 1024
        elif name in ("Private_Clean", "Shared_Clean"):
            kinds["shared"] += int(rest.split()[0]) / 1024
    return kinds


def loading(folder: Path, rounds: int) -> str:
    """Measure loads with the files in the page cache; answers the table."""
    rows = []
    for precision in PRECISIONS:
        loads = [load_in_a_child(folder, precision) for _ in range(rounds)]
        medians = {name: statistics.median(load[name] for load in loads) for name in loads[0]}
        rows.append(
            f"| {precision} | {medians['seconds']:.1f} s | {medians['private']:.0f} MiB | {medians['shared']:.0f} MiB |"
        )
    head = (
        "| precision | load, without imports | private memory | mapped files, shared by workers |"
    )
    return "\n".join([head, "|---" * 4 + "|", *rows])


def side_by_side(folder: Path, precision: Precision, workers: int, sentences: int) -> str:
    """Let several processes of one thread speak at the same time; answers a line."""
    code = (
        "import sys; from pathlib import Path; from benchmarks.xtts import clip, engine_of, speak;"
        f"e = engine_of(Path({str(folder)!r}), {precision!r}); v = e.restore(e.condition([clip()]));"
        f"speak(e, v, 1); print('ready', flush=True); sys.stdin.readline(); r = speak(e, v, {sentences});"
        "print(r.seconds, r.audio_s)"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(workers)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline().strip() == "ready"
    begun = time.perf_counter()
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    audio_s = sum(float(child.communicate()[0].split()[1]) for child in children)
    seconds = time.perf_counter() - begun
    return (
        f"{workers} workers of one thread, {precision}, {sentences} sentences each at once: {audio_s:.1f} s of sound "
        f"in {seconds:.1f} s, {audio_s / seconds:.2f} times real time together."
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.xtts", description=__doc__)
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path.home() / ".cache" / "voice-cloning-pipeline" / "xtts-random",
    )
    parser.add_argument("--runs", type=int, default=3, metavar="N")
    parser.add_argument("--only", choices=["speed", "load", "workers", "ragged"])
    parser.add_argument("--texts", type=int, default=8, metavar="N", help="of ragged lengths")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if not (options.folder / "model.pth").exists():
        make_checkpoint(options.folder, full_size=True)
    capability = torch.backends.cpu.get_cpu_capability()
    print(
        f"{os.cpu_count()} cores, {capability}, {options.runs} rounds, load average {os.getloadavg()[0]:.1f}\n"
    )
    if options.only in (None, "workers"):
        print(
            side_by_side(options.folder, "bfloat16", workers=2, sentences=4), end="\n\n", flush=True
        )
    if options.only in (None, "load"):
        print(loading(options.folder, options.runs), end="\n\n", flush=True)
    if options.only in (None, "speed"):
        print(against_stock(options.folder, options.runs), end="\n\n", flush=True)
    if options.only in (None, "ragged"):
        ragged(options.folder, options.texts)


if __name__ == "__main__":
    main()
