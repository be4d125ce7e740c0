"""`python -m benchmarks.watermark`: how often the watermark is found after what happens to recordings.

Speaks sentences of all languages with the embedded engine, marks them, joins them as a stream does, and cuts fragments
of 3 to 20 s out at random. Each fragment goes through every condition. Fragments of human recordings (those of
benchmarks/quality) count false alarms. Needs ffmpeg; the first run speaks for some minutes.
"""

import argparse
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
import soxr
from av.error import FFmpegError

from benchmarks.quality.references import load
from benchmarks.quality.sources import packages, unpacked
from services.common.audio.clip import Clip, Samples
from services.common.audio.pcm import from_pcm16, to_pcm16
from services.common.audio.watermark.detection import FALSE_ALARM, Detection, detect
from services.common.audio.watermark.marking import mark
from services.synth_worker.engines.embedded.engine import EmbeddedEngine, EmbeddedSettings
from services.synth_worker.engines.protocol import Utterance

RATE_HZ: Final = 24_000
_SEED: Final = 20_240_601
_SENTENCES: Final = Path(__file__).parent / "quality" / "sentences.toml"
_ENDINGS: Final = (".wav", ".g722", ".gsm", ".ogg", ".flac", ".raw")

Random = np.random.Generator
Condition = Callable[[list[Samples], Random], list[Samples]]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fragments", type=int, default=1000)
    parser.add_argument("--human", type=int, default=1000)
    parser.add_argument("--conditions", nargs="*", default=CONDITIONS, choices=CONDITIONS)
    cache = Path.home() / ".cache" / "voice-cloning-pipeline"
    parser.add_argument("--cache", type=Path, default=cache)
    arguments = parser.parse_args()
    random = np.random.default_rng(_SEED)

    speech = spoken(arguments.cache)
    _report_cost(list(speech.values())[:20])
    fragments = list(_fragments(_streams(speech, random), arguments.fragments, random))
    print(f"{len(fragments)} fragments of synthetic speech")
    print("| condition | found | median log10 of the bound | worst |\n|---|---|---|---|")
    for name in arguments.conditions:
        condition = CONDITIONS[name]
        print(_row(name, [_detected(one) for one in condition(fragments, random)]), flush=True)
    if arguments.human:
        _report_human(_recordings(arguments.cache), arguments.human, random)


def _report_human(recordings: list[Samples], count: int, random: Random) -> None:
    accused = [_detected(one) for one in _fragments(recordings, count, random)]
    print(f"\n{len(accused)} fragments of human speech, limit {FALSE_ALARM:g}")
    print(_row("human", accused))


def spoken(cache: Path) -> dict[str, Samples]:
    """Return every sentence as the engine speaks it, by "voice/language/index"; spoken on the first run."""
    folder = cache / "watermark" / "spoken"
    folder.mkdir(parents=True, exist_ok=True)
    sentences = tomllib.loads(_SENTENCES.read_text(encoding="utf-8"))
    missing = [
        (language, index)
        for language, texts in sentences.items()
        for index in range(len(texts))
        if not list(folder.glob(f"{index:02d}-{language}-*.npy"))
    ]
    if missing:
        _speak(cache, folder, sentences, missing)
    return {path.stem: np.load(path) for path in sorted(folder.glob("*.npy"))}


def _speak(
    cache: Path,
    folder: Path,
    sentences: Mapping[str, list[str]],
    missing: list[tuple[str, int]],
) -> None:
    engine = EmbeddedEngine(EmbeddedSettings(cache=cache))
    engine.load()
    names = [voice.name for voice in engine.describe().voices]
    for number, (language, index) in enumerate(missing):
        name = names[number % len(names)]
        voice = engine.restore(engine.built_in(name))
        sentence = engine.open(Utterance(sentences[language][index], language, _SEED), voice)
        parts: list[Samples] = []
        done = False
        while not done:
            (step,) = engine.step([sentence])
            parts.append(step.samples)
            done = step.done
        np.save(folder / f"{index:02d}-{language}-{name}.npy", np.concatenate(parts))
    engine.close()


def _report_cost(sentences: list[Samples]) -> None:
    started = time.process_time()
    for samples in sentences:
        mark(samples, RATE_HZ)
    seconds = sum(map(len, sentences)) / RATE_HZ
    cost_ms = (time.process_time() - started) / seconds * 1000
    print(f"marking takes {cost_ms:.1f} ms of one core for a second of audio")


def _streams(speech: Mapping[str, Samples], random: Random) -> list[Samples]:
    """Return the marked sentences of each voice, joined with pauses of 0.1 to 0.5 s."""
    streams: dict[str, list[Samples]] = {}
    for name, samples in speech.items():
        pause = np.zeros(int(random.integers(2_400, 12_000)), dtype=np.float32)
        marked = from_pcm16(to_pcm16(mark(samples, RATE_HZ)))
        streams.setdefault(name.rpartition("-")[2], []).extend([marked, pause])
    return [np.concatenate(parts) for parts in streams.values()]


def _recordings(cache: Path) -> list[Samples]:
    """Return the human recordings, joined per folder, at most two minutes each."""
    joined: list[Samples] = []
    for package in packages().values():
        root = unpacked(package, cache / "quality")
        folders: dict[Path, list[Path]] = {}
        for path in sorted(root.rglob("*")):
            if path.suffix in _ENDINGS and path.is_file():
                folders.setdefault(path.parent, []).append(path)
        joined += [_joined(paths) for paths in folders.values()]
    return [samples for samples in joined if len(samples) > 3 * RATE_HZ]


def _joined(paths: list[Path]) -> Samples:
    parts: list[Samples] = []
    for path in paths:
        if path.suffix == ".raw":
            parts.append(soxr.resample(from_pcm16(path.read_bytes()), 16_000, RATE_HZ))
        else:
            with suppress(ValueError, FFmpegError):  # no audio, or not decodable
                parts.append(load(path))
        if sum(map(len, parts)) > 120 * RATE_HZ:
            break
    return np.concatenate([*parts, np.zeros(0, dtype=np.float32)])


def _fragments(sources: list[Samples], count: int, random: Random) -> Iterator[Samples]:
    for number in range(count):
        source = sources[number % len(sources)]
        length = min(int(random.uniform(3, 20) * RATE_HZ), len(source))
        start = int(random.integers(0, len(source) - length + 1))
        yield source[start : start + length]


def _detected(samples: Samples) -> Detection:
    return detect(Clip(samples, RATE_HZ))


def _row(name: str, found: list[Detection]) -> str:
    bounds = np.array([detection.log10_false_alarm for detection in found])
    share = np.mean([detection.marked for detection in found])
    return f"| {name} | {share:.1%} | {np.median(bounds):.1f} | {bounds.max():.1f} |"


def _through_ffmpeg(fragments: list[Samples], container: str, *options: str) -> list[Samples]:
    """Encode and decode all fragments as one recording, and cut it where they were joined."""
    raw = ["-f", "s16le", "-ar", str(RATE_HZ), "-ac", "1"]
    ffmpeg = ["ffmpeg", "-v", "error"]
    pcm = to_pcm16(np.concatenate(fragments))
    encode = [*ffmpeg, *raw, "-i", "-", *options, "-f", container, "-"]
    coded = subprocess.run(encode, input=pcm, capture_output=True, check=True).stdout
    decode = [*ffmpeg, "-i", "-", *raw, "-"]
    decoded = subprocess.run(decode, input=coded, capture_output=True, check=True).stdout
    return np.split(from_pcm16(decoded), np.cumsum([len(one) for one in fragments])[:-1])


def _mp3(fragments: list[Samples], _: Random) -> list[Samples]:
    return _through_ffmpeg(fragments, "mp3", "-c:a", "libmp3lame", "-b:a", "64k")


def _opus(fragments: list[Samples], _: Random) -> list[Samples]:
    return _through_ffmpeg(fragments, "ogg", "-c:a", "libopus", "-b:a", "24k")


def _telephone(fragments: list[Samples], _: Random) -> list[Samples]:
    return _through_ffmpeg(fragments, "wav", "-ar", "8000", "-c:a", "pcm_mulaw")


def _each(change: Callable[[Samples, Random], Samples]) -> Condition:
    return lambda fragments, random: [change(one, random) for one in fragments]


def _resampled(samples: Samples, _: Random) -> Samples:
    for before, after in ((RATE_HZ, 44_100), (44_100, 16_000), (16_000, RATE_HZ)):
        samples = soxr.resample(samples, before, after)
    return samples


def _gained(samples: Samples, random: Random) -> Samples:
    gain_db = float(random.uniform(-24, 6))
    return from_pcm16(to_pcm16(samples * np.float32(10 ** (gain_db / 20))))


def _noisy(samples: Samples, random: Random) -> Samples:
    level = np.sqrt(np.mean(samples**2) / 100)
    noisy: Samples = (samples + level * random.standard_normal(len(samples))).astype(np.float32)
    return noisy


CONDITIONS: Final[Mapping[str, Condition]] = {
    "cut": lambda fragments, _: fragments,
    "MP3, 64 kbit/s": _mp3,
    "Opus, 24 kbit/s": _opus,
    "8 kHz mu-law": _telephone,
    "resampled to 44.1 and 16 kHz": _each(_resampled),
    "gain of -24 to 6 dB": _each(_gained),
    "noise at 20 dB": _each(_noisy),
}

if __name__ == "__main__":
    main()
