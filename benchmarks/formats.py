"""`python -m benchmarks.formats`: what each output format costs the edge, and how soon its first bytes come.

Encodes speech with the encoders of the edge, in blocks as an engine makes them. All in this process; no service runs.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import soundfile
import soxr

from services.common.audio.pcm import to_pcm16
from services.http_edge.encoders.registry import FORMATS, OutputFormat

CLIP = Path(__file__).parents[1] / "examples" / "voices" / "austen.flac"
RATE_HZ = 24_000  # of the engines
BLOCK_S = 0.25
BYTES_PER_SAMPLE = 2
CASES = (
    *(OutputFormat(found) for found in FORMATS.values()),
    OutputFormat(FORMATS["wav"], 48_000),
    OutputFormat(FORMATS["mp3"], 44_100),
    OutputFormat(FORMATS["opus"], 48_000),
)


@dataclass(frozen=True)
class Cost:
    """One run of an encoder."""

    cpu_s: float
    body_bytes: int
    first_bytes: int  # size of the first part of the body that is not empty
    first_after_s: float  # audio that was encoded until then


def encode(output: OutputFormat, pcm: bytes) -> Cost:
    """Encode PCM in blocks, and measure it."""
    block_bytes = BYTES_PER_SAMPLE * round(BLOCK_S * RATE_HZ)
    begun_s = time.process_time()
    encoder = output.encoder(RATE_HZ)
    body_bytes = len(encoder.header(RATE_HZ, None))
    first_bytes = 0
    first_after_s = 0.0

    for begin in range(0, len(pcm), block_bytes):
        body_bytes += len(encoder.encode(pcm[begin : begin + block_bytes]))
        if not first_bytes and body_bytes:
            first_bytes = body_bytes
            first_after_s = (begin + block_bytes) / BYTES_PER_SAMPLE / RATE_HZ

    body_bytes += len(encoder.end())
    return Cost(time.process_time() - begun_s, body_bytes, first_bytes, first_after_s)


def row(output: OutputFormat, costs: list[Cost], audio_s: float) -> str:
    """Return a line of the table."""
    cost = costs[0]
    cells = (
        output.format.name,
        str(output.rate(RATE_HZ)),
        f"{median(each.cpu_s for each in costs) / audio_s * 1000:.2f}",
        f"{8 * cost.body_bytes / audio_s / 1000:.0f}",
        f"{cost.first_after_s:.2f}",
        str(cost.first_bytes),
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.formats", description=__doc__)
    parser.add_argument("--clip", type=Path, default=CLIP, metavar="FILE", help="speech to encode")
    parser.add_argument("--seconds", type=float, default=60.0, metavar="N", help="audio per run")
    parser.add_argument("--runs", type=int, default=5, metavar="N")
    options = parser.parse_args()

    samples, rate_hz = soundfile.read(options.clip, dtype="float32", always_2d=True)
    speech = soxr.resample(samples.mean(axis=1), rate_hz, RATE_HZ)
    wanted = round(options.seconds * RATE_HZ)
    pcm = to_pcm16(np.resize(speech, wanted).astype(np.float32))

    print("| format | Hz | CPU, ms per second of audio | kbit/s | first bytes after, s | bytes |")
    print("|---|---|---|---|---|---|")
    for output in CASES:
        costs = [encode(output, pcm) for _ in range(options.runs)]
        print(row(output, costs, options.seconds))


if __name__ == "__main__":
    main()
