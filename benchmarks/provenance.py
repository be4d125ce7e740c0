"""`python -m benchmarks.provenance`: how often sentences are found again by their fingerprints.

Takes the sentences that `python -m benchmarks.watermark` has spoken, cuts them to lengths of 1 to 7 s, and joins those
of each voice with pauses. Fragments of 3 to 20 s of these streams go through every condition, and are looked up among
all sentences. Every sentence that is not in the fragment, and every match of a human recording, is a false one.
"""

import argparse
import io
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np
import soxr
from av.error import FFmpegError

from benchmarks.quality.references import load
from benchmarks.quality.sources import packages, unpacked
from services.common.audio.clip import Clip, Samples
from services.common.audio.fingerprint.matching import Lookup, Match
from services.common.audio.fingerprint.words import Words, fingerprint
from services.common.audio.pcm import from_pcm16, to_pcm16

RATE_HZ: Final = 24_000
_SEED: Final = 20_261_129
_LEAST_S: Final = 1.5  # of a sentence that counts as being in a fragment
_ENDINGS: Final = (".wav", ".ogg", ".flac")

Random = np.random.Generator
Change = Callable[[Samples, Random], Samples]


@dataclass(frozen=True)
class Fragment:
    """A cut of a stream, and how many seconds of each sentence it has, by index."""

    samples: Samples
    seconds: Mapping[int, float]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fragments", type=int, default=300)
    parser.add_argument("--human", type=int, default=300)
    cache = Path.home() / ".cache" / "voice-cloning-pipeline"
    parser.add_argument("--cache", type=Path, default=cache)
    arguments = parser.parse_args()
    random = np.random.default_rng(_SEED)

    sentences = list(_sentences(arguments.cache, random))
    seconds = sum(len(samples) for _, samples in sentences) / RATE_HZ
    began_s = time.process_time()
    words = [fingerprint(Clip(samples, RATE_HZ)) for _, samples in sentences]
    cost_ms = (time.process_time() - began_s) / seconds * 1000
    size = sum(len(one) * 4 for one in words) / seconds
    print(f"{len(sentences)} sentences, {seconds / 60:.0f} min; a second of audio takes")
    print(f"{cost_ms:.1f} ms of one core and {size:.0f} bytes")

    fragments = list(_fragments(sentences, arguments.fragments, random))
    _report_search(fragments[0], words, seconds)
    print(f"{len(fragments)} fragments\n")
    print("| condition | fragments found | sentences found | bits that differ | false matches |")
    print("|---|---|---|---|---|")
    for name, change in CONDITIONS.items():
        print(_row(name, fragments, change, words, random), flush=True)
    human = list(_human(arguments.cache, arguments.human, random))
    accused = sum(len(Lookup(Clip(samples, RATE_HZ)).matches(words)) for samples in human)
    print(f"\n{len(human)} fragments of human speech: {accused} matches")


def _sentences(cache: Path, random: Random) -> Iterator[tuple[str, Samples]]:
    """Yield the voice and the samples of each sentence."""
    paths = sorted((cache / "watermark" / "spoken").glob("*.npy"))
    if not paths:
        raise SystemExit("run `./task bench:watermark -- --fragments 1 --human 0` before")
    for path in paths:
        rest = from_pcm16(to_pcm16(np.load(path)))
        while len(rest) > RATE_HZ:
            length = int(random.uniform(1, 7) * RATE_HZ)
            yield path.stem.rpartition("-")[2], rest[:length]
            rest = rest[length:]


def _fragments(
    sentences: list[tuple[str, Samples]], count: int, random: Random
) -> Iterator[Fragment]:
    streams: dict[str, list[int]] = {}
    for index, (voice, _) in enumerate(sentences):
        streams.setdefault(voice, []).append(index)
    for number in range(count):
        indexes = list(streams.values())[number % len(streams)]
        parts: list[Samples] = []
        begins: dict[int, int] = {}
        for index in indexes:
            begins[index] = sum(map(len, parts))
            pause = np.zeros(int(random.integers(2_400, 12_000)), dtype=np.float32)
            parts += [sentences[index][1], pause]
        stream = np.concatenate(parts)
        length = min(int(random.uniform(3, 20) * RATE_HZ), len(stream))
        start = int(random.integers(0, len(stream) - length + 1))
        overlaps = {
            index: min(begin + len(sentences[index][1]), start + length) - max(begin, start)
            for index, begin in begins.items()
        }
        inside = {index: samples / RATE_HZ for index, samples in overlaps.items() if samples > 0}
        yield Fragment(stream[start : start + length], inside)


def _report_search(fragment: Fragment, words: list[Words], seconds: float) -> None:
    lookup = Lookup(Clip(fragment.samples, RATE_HZ))
    began_s = time.process_time()
    lookup.matches(words)
    cost_ms = (time.process_time() - began_s) / seconds * 3600 * 1000
    print(f"an hour of logged audio is searched in {cost_ms:.0f} ms of one core")


def _row(
    name: str, fragments: list[Fragment], change: Change, words: list[Words], random: Random
) -> str:
    found: list[bool] = []
    sentences: list[bool] = []
    differences: list[float] = []
    false = 0
    for fragment in fragments:
        lookup = Lookup(Clip(change(fragment.samples, random), RATE_HZ))
        matches: dict[int, Match] = {match.sentence: match for match in lookup.matches(words)}
        true = matches.keys() & fragment.seconds.keys()
        found.append(bool(true))
        long = [index for index, length in fragment.seconds.items() if length >= _LEAST_S]
        sentences += [index in matches for index in long]
        differences += [matches[index].difference for index in true]
        false += len(matches) - len(true)
    median = np.median(differences) if differences else np.nan
    return (
        f"| {name} | {np.mean(found):.1%} | {np.mean(sentences):.1%} of {len(sentences)} "
        f"| {median:.1%} | {false} |"
    )


def _human(cache: Path, count: int, random: Random) -> Iterator[Samples]:
    """Yield fragments of the recordings of the quality benchmark."""
    paths = [
        path
        for package in packages().values()
        for path in sorted(unpacked(package, cache / "quality").rglob("*"))
        if path.suffix in _ENDINGS
    ]
    yielded = 0
    for path in (paths[index] for index in random.permutation(len(paths))):
        with suppress(ValueError, FFmpegError):  # no audio, or not decodable
            samples = load(path)
            if len(samples) > 3 * RATE_HZ:
                yielded += 1
                yield samples[: 20 * RATE_HZ]
        if yielded == count:
            return


def _coded(container: str, codec: str, rate_hz: int, bit_rate: int | None = None) -> Change:
    """Return what encodes and decodes a recording."""

    def change(samples: Samples, _: Random) -> Samples:
        file = io.BytesIO()
        pcm = np.frombuffer(to_pcm16(soxr.resample(samples, RATE_HZ, rate_hz)), "<i2")
        with av.open(file, "w", format=container) as output:
            stream = output.add_stream(codec, rate=rate_hz, layout="mono")
            if bit_rate is not None:
                stream.bit_rate = bit_rate
            context = stream.codec_context
            resampler = av.AudioResampler(
                context.format or "s16", "mono", rate_hz, frame_size=context.frame_size or 1_024
            )
            frame = av.AudioFrame.from_ndarray(pcm[None, :], format="s16", layout="mono")
            frame.sample_rate = rate_hz
            for part in (*resampler.resample(frame), *resampler.resample(None)):
                output.mux(stream.encode(part))
            output.mux(stream.encode(None))
        file.seek(0)
        with av.open(file) as decoded:
            resampler = av.AudioResampler("flt", "mono", RATE_HZ)
            frames = [
                part for frame in decoded.decode(audio=0) for part in resampler.resample(frame)
            ]
            frames += resampler.resample(None)
        joined: Samples = np.concatenate([part.to_ndarray().reshape(-1) for part in frames])
        return joined.astype(np.float32)

    return change


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


CONDITIONS: Final[Mapping[str, Change]] = {
    "cut": lambda samples, _: samples,
    "MP3, 64 kbit/s": _coded("mp3", "libmp3lame", RATE_HZ, 64_000),
    "Opus, 24 kbit/s": _coded("ogg", "libopus", RATE_HZ, 24_000),
    "8 kHz mu-law": _coded("wav", "pcm_mulaw", 8_000),
    "resampled to 44.1 and 16 kHz": _resampled,
    "gain of -24 to 6 dB": _gained,
    "noise at 20 dB": _noisy,
}

if __name__ == "__main__":
    main()
