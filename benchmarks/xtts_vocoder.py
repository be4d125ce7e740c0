"""`python -m benchmarks.xtts_vocoder`: the streaming vocoder of XTTS next to coqui-tts's own, as a Markdown table.

Both have the released sizes and the same random weights, which take the time that trained ones take. Stock renders a
sentence of 7 s at once, which is the least work that it can do; the stream gets the same latents in chunks, and its
chunks are checked to be that render. The two take turns, a run each at a time, and medians are shown: processor seconds
of the thread, which other work on the machine disturbs least, and seconds by the clock. Run it on an idle machine.
"""

import argparse
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from services.synth_worker.engines.xtts.vocoder.stream import Vocoder
from services.synth_worker.engines.xtts.weights.imports import HifiDecoder

RATE_HZ = 24_000
CODES = 150
WIDTH = 1024
FIRST = 8  # codes, of the first chunk


@dataclass(frozen=True)
class Run:
    """One rendering of the sentence; seconds."""

    clock: float
    processor: float
    first: float
    samples: Tensor


@torch.no_grad()
def enliven(network: Any) -> None:
    """Make the audio loud and dependent on the latents; untrained, its biases dominate, which hides errors."""
    for layer in [
        *network.ups,
        *(one for block in network.resblocks for one in (*block.convs1, *block.convs2)),
    ]:
        layer.parametrizations.weight.original0 *= 2
    network.conv_pre.weight *= 2
    network.conv_post.weight *= 5


class Bench:
    """Both vocoders, and what they are to say."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.stock = HifiDecoder().eval()
        enliven(self.stock.waveform_decoder)
        self.latents = torch.randn((CODES, WIDTH))
        self.speaker = torch.nn.functional.normalize(torch.randn((1, 512, 1)), dim=1)
        self.exact = Vocoder(self.stock)
        self.coarse = Vocoder(self.stock, dtype=torch.bfloat16)

    def whole(self) -> Run:
        """Let stock render all."""
        begun, spent = time.perf_counter(), time.thread_time()
        with torch.inference_mode():
            samples = self.stock(self.latents.unsqueeze(0), g=self.speaker).flatten()
        clock = time.perf_counter() - begun
        return Run(clock, time.thread_time() - spent, clock, samples)

    def streamed(self, vocoder: Vocoder, chunk: int) -> Run:
        """Feed the first chunk, and then chunks of so many codes."""
        begun, spent = time.perf_counter(), time.thread_time()
        stream, first = vocoder.open(self.speaker), 0.0
        pieces: list[Tensor] = []
        sizes = [FIRST, *([chunk] * CODES)]
        place = 0
        while place < CODES:
            codes = self.latents[place : place + sizes[len(pieces)]]
            place += len(codes)
            pieces += vocoder.feed([stream], [codes], [place == CODES])
            first = first or time.perf_counter() - begun
        return Run(
            time.perf_counter() - begun, time.thread_time() - spent, first, torch.cat(pieces)
        )

    def together(self, count: int, chunk: int) -> Run:
        """Feed several streams at once; times are for each of them."""
        begun, spent = time.perf_counter(), time.thread_time()
        streams = [self.exact.open(self.speaker) for _ in range(count)]
        pieces = []
        for place in range(0, CODES, chunk):
            codes = self.latents[place : place + chunk]
            pieces.append(
                self.exact.feed(streams, [codes] * count, [place + chunk >= CODES] * count)[0]
            )
        clock, spent = (time.perf_counter() - begun) / count, (time.thread_time() - spent) / count
        return Run(clock, spent, clock, torch.cat(pieces))


def interleaved(ways: dict[str, Callable[[], Run]], runs: int) -> dict[str, list[Run]]:
    """Run each way a first time for nothing, and `runs` times in turn for the record."""
    made = defaultdict(list)
    for turn in range(runs + 1):
        for name, way in ways.items():
            run = way()
            if turn:
                made[name].append(run)
    return made


def row(name: str, runs: Sequence[Run], stock: Sequence[Run]) -> str:
    """Return one line of the table."""
    processor, base = (statistics.median(run.processor for run in one) for one in (runs, stock))
    clock = statistics.median(run.clock for run in runs)
    first = statistics.median(run.first for run in runs)
    wanted, found = stock[0].samples, runs[0].samples
    if found.shape != wanted.shape:
        raise RuntimeError(f"{name}: {len(found)} samples where stock has {len(wanted)}")
    noise = float((found - wanted).abs().max())
    return (
        f"| {name} | {processor:.2f} s | {processor / base:.2f} | {clock:.2f} s | {clock * RATE_HZ / len(wanted):.3f} "
        f"| {first * 1000:.0f} ms | {noise:.0e} |"
    )


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.xtts_vocoder", description=__doc__)
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    parser.add_argument("--runs", type=int, default=5, metavar="N")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    bench = Bench()
    ways: dict[str, Callable[[], Run]] = {"stock, whole sentence at once": bench.whole}
    for chunk in (8, 16, 24):
        ways[f"stream, chunks of {chunk} codes"] = lambda chunk=chunk: bench.streamed(
            bench.exact, chunk
        )  # type: ignore[misc]
    ways["4 streams at once, chunks of 8 codes, each"] = lambda: bench.together(4, 8)
    ways["stream in bfloat16, chunks of 16 codes"] = lambda: bench.streamed(bench.coarse, 16)
    made = interleaved(ways, options.runs)
    load = os.getloadavg()[0]
    print(
        f"{os.cpu_count()} cores, {options.threads} threads, {options.runs} runs, load average {load:.1f}\n"
    )
    print(
        "| way | processor | of stock | clock | real-time factor | first samples | largest difference |"
    )
    print("|---|---|---|---|---|---|---|")
    stock = next(iter(made.values()))
    print("\n".join(row(name, runs, stock) for name, runs in made.items()))


if __name__ == "__main__":
    main()
