"""Runs the engine under test over a list of jobs: `python -m benchmarks.quality.speak PLAN.json`.

A separate program, so that the engine lives in the product's virtualenv and the instruments in theirs. PLAN.json
holds `cache`, `clips` (voice -> path), `jobs`, `strength` (see strength.py) and `answer`, the file to write: the path
of each job's WAV, next to it lies what it cost.
"""

import json
import sys
import time
import wave
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.quality import build, strength
from benchmarks.quality.stock import StockVoices
from benchmarks.sentence import speak
from services.common.audio.clip import Clip, Samples
from services.synth_worker.engines.embedded.engine import (
    EmbeddedEngine,
    EmbeddedSettings,
    LoadedVoice,
)
from services.synth_worker.engines.embedded.g2p import Phonemizer
from services.synth_worker.engines.protocol import Utterance

_SEED: Final = 20_240_601
_RATE_HZ: Final = 24_000


@dataclass(frozen=True)
class _Line:
    """One sentence to speak, and where to keep it."""

    voice: str
    language: str
    text: str
    phonemes: str
    path: Path


@dataclass(frozen=True)
class _Cost:
    enrolment_s: float
    first_audio_s: float
    total_s: float
    rss_mb: float


def main(plan_path: Path) -> None:
    """Speak the jobs that would differ from the cached ones, and return where all of them are."""
    plan = json.loads(plan_path.read_text(encoding="utf-8"))
    cache, clips = Path(plan["cache"]), {voice: Path(path) for voice, path in plan["clips"].items()}
    strength.apply(plan["strength"])
    lines = _lines(plan["jobs"], clips, cache / "spoken", plan["strength"])
    missing = [line for line in lines if not line.path.with_suffix(".json").exists()]
    if cloned := [line for line in missing if line.voice in clips]:
        _speak_cloned(cache / "engine", clips, cloned)
    if stock := [line for line in missing if line.voice not in clips]:
        _speak_stock(cache / "engine", stock)
    Path(plan["answer"]).write_text(
        json.dumps([str(line.path) for line in lines]), encoding="utf-8"
    )


def _lines(
    jobs: list[dict[str, str]], clips: dict[str, Path], folder: Path, chosen: dict[str, float]
) -> list[_Line]:
    folder.mkdir(parents=True, exist_ok=True)
    changed = json.dumps(chosen, sort_keys=True) if chosen else ""
    builds = {True: build.clone_build() + changed, False: build.stock_build()}
    phonemizer = Phonemizer()
    phonemizer.load()
    lines = []
    for job in jobs:
        phonemes = phonemizer.phonemes(job["text"], job["language"])
        voice = clips[job["voice"]].read_bytes() if job["voice"] in clips else job["voice"]
        key = build.key(builds[job["voice"] in clips], voice, job["language"], str(phonemes))
        lines.append(
            _Line(
                **job,
                phonemes=phonemes,
                path=folder / f"{job['language']}-{job['voice']}-{key}.wav",
            )
        )
    phonemizer.close()
    return lines


def _speak_cloned(cache: Path, clips: dict[str, Path], lines: list[_Line]) -> None:
    engine = EmbeddedEngine(EmbeddedSettings(cache=cache))
    engine.load()
    voices: dict[str, tuple[LoadedVoice, float]] = {}
    for line in _told("cloned", lines):
        if line.voice not in voices:
            voices[line.voice] = _enrolled(engine, clips[line.voice])
        voice, enrolment_s = voices[line.voice]
        spoken = speak(engine, voice, Utterance(line.text, line.language, _SEED))
        cost = _Cost(enrolment_s, spoken.first_audio_s, spoken.total_s, _peak_mb())
        _keep(line.path, spoken.samples, cost)
    engine.close()


def _speak_stock(cache: Path, lines: list[_Line]) -> None:
    voices = StockVoices(cache)
    for line in _told("stock", lines):
        started = time.perf_counter()
        samples = voices.speak(line.phonemes, line.language, line.voice)
        took = time.perf_counter() - started
        _keep(line.path, samples, _Cost(0.0, took, took, _peak_mb()))


def _enrolled(engine: EmbeddedEngine, path: Path) -> tuple[LoadedVoice, float]:
    with wave.open(str(path), "rb") as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        clip = Clip(np.asarray(pcm / np.float32(32768), np.float32), file.getframerate())
    started = time.perf_counter()
    voice = engine.condition([clip])
    return engine.restore(voice), time.perf_counter() - started


def _keep(path: Path, samples: Samples, cost: _Cost) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE_HZ)
        file.writeframes(
            np.round(np.clip(samples, -1, 32767 / 32768) * 32768).astype("<i2").tobytes()
        )
    path.with_suffix(".json").write_text(json.dumps(asdict(cost)), encoding="utf-8")


def _told(kind: str, lines: list[_Line]) -> Iterator[_Line]:
    for number, line in enumerate(lines, 1):
        print(
            f"\r{kind} {number}/{len(lines)}",
            end="\n" if number == len(lines) else "",
            file=sys.stderr,
            flush=True,
        )
        yield line


def _peak_mb() -> float:
    """Peak resident memory, MB; getrusage would count the parent's, from before the exec."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return float(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]))
