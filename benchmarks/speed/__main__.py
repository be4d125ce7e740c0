"""`python -m benchmarks.speed`: the embedded engine next to kokoro-onnx with the same weights, interleaved.

Both read the same English sentences in the stock voice af_heart from text to samples, each in its own process with its
own settings, one after the other; the engine also in a cloned voice, which kokoro-onnx has not. Prints medians, and
the ratio of the engine to kokoro-onnx: the median over the rounds of the ratios within a round, so that other work on
the machine falls out as far as it lasts longer than a round.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from benchmarks.embedded_engine import LONG, SHORT, Timings, speak
from services.common.audio.clip import Clip
from services.synth_worker.engines.embedded import assets
from services.synth_worker.engines.embedded.engine import (
    EmbeddedEngine,
    EmbeddedSettings,
    LoadedVoice,
)
from services.synth_worker.engines.embedded.rendering.audio_models import best_runtime
from services.synth_worker.engines.embedded.rendering.graph import RUNTIMES
from services.synth_worker.engines.embedded.weights import joined_weights

_REPOSITORY: Final = Path(__file__).parent.parent.parent
_REFERENCE: Final = _REPOSITORY / "examples" / "voices" / "austen.flac"
_TEXTS: Final = {"short": SHORT, "long": LONG}

Times = dict[str, float]  # first, whole, processor, audio: seconds


def ours(engine: EmbeddedEngine, voice: LoadedVoice, text: str) -> Times:
    """Speak one sentence with the engine, and return the times."""
    timings = Timings()
    used = time.process_time()
    speak(engine, voice, text, timings)
    return {
        "first": timings.first[0],
        "whole": timings.whole[0],
        "processor": time.process_time() - used,
        "audio": timings.audio[0],
    }


class Peer:
    """kokoro-onnx in its own process."""

    def __init__(self, python: Path, weights: Path, voices: Path) -> None:
        command = [str(python), "-m", "benchmarks.speed.peer", str(weights), str(voices)]
        self._process = subprocess.Popen(
            command, cwd=_REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._line()

    def speak(self, text: str) -> Times:
        """Speak one text, and return the times."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(text) + "\n")
        self._process.stdin.flush()
        times: Times = json.loads(self._line())
        return times

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("kokoro-onnx ended; see its messages above")
        return line


def measure(
    engine: EmbeddedEngine, peer: Peer, reference: Clip, rounds: int
) -> dict[str, dict[str, list[Times]]]:
    """Speak every text with everyone in each round: speaker -> text -> times of each round."""
    stock = engine.restore(engine.built_in("af_heart"))
    clone = engine.restore(engine.condition([reference]))
    speakers: dict[str, Callable[[str], Times]] = {
        "kokoro-onnx": peer.speak,
        "stock voice": lambda text: ours(engine, stock, text),
        "cloned voice": lambda text: ours(engine, clone, text),
    }
    found: dict[str, dict[str, list[Times]]] = {
        name: {length: [] for length in _TEXTS} for name in speakers
    }
    for number in range(rounds + 1):
        for length, text in _TEXTS.items():
            for name, spoken_by in speakers.items():
                times = spoken_by(text)
                if number:  # the first round is for nothing
                    found[name][length].append(times)
    return found


def rows(found: dict[str, dict[str, list[Times]]]) -> list[str]:
    """Return the lines of the table."""
    lines = [
        "| | real-time factor, long | ratio | processor s per s of audio | ratio | first audio, short (ms) | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    peer = found["kokoro-onnx"]
    for name, texts in found.items():
        long = _of(texts["long"], "whole"), _of(peer["long"], "whole")
        used = _of(texts["long"], "processor"), _of(peer["long"], "processor")
        first = [one["first"] for one in texts["short"]], [one["first"] for one in peer["short"]]
        lines.append(
            f"| {name} | {statistics.median(long[0]):.2f} | {_ratio(*long)} "
            f"| {statistics.median(used[0]):.2f} | {_ratio(*used)} "
            f"| {statistics.median(first[0]) * 1000:.0f} | {_ratio(*first)} |"
        )
    return lines


def _of(times: Sequence[Times], key: str) -> list[float]:
    return [one[key] / one["audio"] for one in times]


def _ratio(values: Sequence[float], others: Sequence[float]) -> str:
    return (
        f"{statistics.median(one / other for one, other in zip(values, others, strict=True)):.2f}"
    )


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument(
        "--cache", type=Path, default=Path.home() / ".cache" / "voice-cloning", metavar="FOLDER"
    )
    parser.add_argument(
        "--peer-python",
        type=Path,
        default=_REPOSITORY / ".venv-speed" / "bin" / "python",
        metavar="PATH",
        help="an interpreter with kokoro-onnx",
    )
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), metavar="N")
    parser.add_argument("--rounds", type=int, default=7, metavar="N")
    parser.add_argument("--runtime", choices=RUNTIMES, default=best_runtime())
    options = parser.parse_args()
    engine = EmbeddedEngine(EmbeddedSettings(options.cache, options.threads, options.runtime))
    engine.load()
    samples, rate = soundfile.read(_REFERENCE, dtype="float32")
    with tempfile.TemporaryDirectory() as folder:
        voices = Path(folder) / "voices.npz"
        packs = assets.load_arrays(assets.STOCK_VOICES)
        np.savez(voices, **{name: pack[:, None] for name, pack in packs.items()})
        peer = Peer(options.peer_python, joined_weights(options.cache), voices)
        found = measure(engine, peer, Clip(samples, rate), options.rounds)
        peer.close()
    engine.close()
    print(
        f"{os.cpu_count()} cores, {options.threads} threads, {options.rounds} rounds, {options.runtime}, "
        f"load average {os.getloadavg()[0]:.1f}\n"
    )
    print("\n".join(rows(found)))


if __name__ == "__main__":
    main()
