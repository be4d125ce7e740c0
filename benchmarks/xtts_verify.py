"""`task xtts:verify`: the released weights of XTTS-v2 against stock coqui-tts, and a coarser precision against float32.

    .venv/bin/python -m benchmarks.xtts_verify stock --device auto
    .venv/bin/python -m benchmarks.xtts_verify speak --folder F --precision int8
    .venv-quality/bin/python -m benchmarks.xtts_verify score --folder F

`stock` synthesizes a sentence per language with coqui-tts and with the engine in float32, on the same device and from
the same seeds, and prints how many codes they share and how far apart latents and samples are; it fails if they are not
the same up to rounding.

`speak` synthesizes the sentences of benchmarks/quality/sentences.toml, two per language, in float32 and in the other
precision, from the same seeds. It compares, for the codes that float32 drew: the latents, and how often both find the
same code likeliest. `score` transcribes both with whisper-base, and compares with a GE2E encoder how similar both are
like the reference. Of the two tables nothing is a verdict: read the coarser column against the float32 one.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.quality.plan import sentences
from services.common.audio.clip import Clip, Samples
from services.common.audio.wav import read_wav, write_wav

RATE_HZ = 24_000
REFERENCE = Path(__file__).parents[1] / "examples" / "voices" / "austen.flac"
SENTENCES_A_LANGUAGE = 2
ROUNDING = 1e-3


@dataclass(frozen=True)
class Review:
    """One sentence, by both precisions."""

    language: str
    text: str
    latent_error: float  # norm of the difference by the norm, on float32's codes
    same_likeliest: (
        float  # share of float32's codes at whose place both find the same code likeliest
    )
    same_codes: float  # share of codes in common from the beginning, each drawing its own
    seconds: tuple[float, float]  # of audio: float32, other


def speak(folder: Path, model_dir: Path | None, precision: str) -> None:
    """Speak and compare; leaves WAVs and reviews.json in the folder."""
    from benchmarks.xtts_speaking import Comparison  # noqa: PLC0415  # torch is not there where `score` runs

    comparison = Comparison(model_dir, precision, reference())
    folder.mkdir(parents=True, exist_ok=True)
    reviews = []
    for language in comparison.languages:
        for place, text in enumerate(sentences()[language][:SENTENCES_A_LANGUAGE]):
            review, sounds = comparison.review(language, text, seed=place)
            for name, samples in zip(("float32", "other"), sounds, strict=True):
                (folder / f"{language}-{place}-{name}.wav").write_bytes(
                    write_wav(Clip(samples, RATE_HZ))
                )
            reviews.append(review)
            print(f"{language} {place}: {review.same_likeliest:.3f}", flush=True)
    (folder / "reviews.json").write_text(
        json.dumps([asdict(review) for review in reviews], ensure_ascii=False)
    )
    print(table_of(reviews, precision))


def against_stock(model_dir: Path | None, device: str) -> bool:
    """Compare a sentence per language with stock's; answers the table, and returns whether all agree."""
    from benchmarks.xtts_speaking import pairs_with_stock  # noqa: PLC0415  # as in `speak`

    print("| language | codes in common | latents, relative error | samples, largest difference |")
    print("|---" * 4 + "|")
    agree = True
    for pair in pairs_with_stock(model_dir, device, reference()):
        agree &= pair.latent_error < ROUNDING and pair.sample_error < ROUNDING
        print(
            f"| {pair.language} | {pair.same_codes:.3f} | {pair.latent_error:.2g} | {pair.sample_error:.2g} |",
            flush=True,
        )
    print(f"\n{'The same up to rounding.' if agree else 'NOT the same.'}")
    return agree


def table_of(reviews: Sequence[Review], precision: str) -> str:
    """Return the first table."""
    rows = [
        ("latents, relative error", statistics.median(review.latent_error for review in reviews)),
        ("same likeliest code", statistics.mean(review.same_likeliest for review in reviews)),
        (
            "codes in common from the beginning",
            statistics.mean(review.same_codes for review in reviews),
        ),
        (
            "length of sound, of float32's",
            statistics.mean(review.seconds[1] / review.seconds[0] for review in reviews),
        ),
    ]
    head = f"| {precision} against float32, {len(reviews)} sentences | |"
    return "\n".join([head, "|---|---|", *(f"| {name} | {value:.4f} |" for name, value in rows)])


def score(folder: Path, cache: Path) -> None:
    """Let whisper-base and the encoder judge the WAVs; answers the second table."""
    from benchmarks.quality.encoders import Ge2e  # noqa: PLC0415  # its packages are in another environment
    from benchmarks.quality.recogniser import Recogniser  # noqa: PLC0415
    from benchmarks.quality.score import character_errors, word_errors  # noqa: PLC0415

    recogniser, encoder = Recogniser(cache, threads=2), Ge2e()
    wanted = encoder.embed(reference().samples)
    print(
        "| language | CER float32 | CER other | WER float32 | WER other | cosine float32 | cosine other |"
    )
    print("|---" * 7 + "|")
    for language in sentences():
        files = sorted(folder.glob(f"{language}-*-float32.wav"))
        cells = []
        for name in ("float32", "other"):
            sounds = [
                read_wav(file.with_name(file.name.replace("float32", name)).read_bytes()).samples
                for file in files
            ]
            heard = [recogniser.transcribe(sound, language) for sound in sounds]
            said = sentences()[language][: len(files)]
            pairs = list(zip(said, heard, strict=True))
            cells.append(
                (
                    statistics.mean(
                        character_errors(text, transcript, language) for text, transcript in pairs
                    ),
                    statistics.mean(
                        word_errors(text, transcript, language) for text, transcript in pairs
                    ),
                    float(wanted @ encoder.embed(np.concatenate(sounds))),
                )
            )
        figures = [f"{value:.3f}" for both in zip(*cells, strict=True) for value in both]
        print(f"| {language} | {' | '.join(figures)} |", flush=True)


def reference() -> Clip:
    """Return the bundled recording, 24 kHz."""
    import soundfile  # noqa: PLC0415
    import soxr  # noqa: PLC0415

    samples, rate_hz = soundfile.read(REFERENCE, dtype="float32")
    resampled: Samples = soxr.resample(samples, rate_hz, RATE_HZ).astype(np.float32)
    return Clip(resampled, RATE_HZ)


def main() -> None:
    """Read the options and do one of the three."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.xtts_verify", description=__doc__)
    parser.add_argument("act", choices=["stock", "speak", "score"])
    parser.add_argument(
        "--folder", type=Path, default=Path("xtts-verify"), help="for WAVs and figures"
    )
    parser.add_argument(
        "--model-dir", type=Path, help="the weights; else from the hub, as the service finds them"
    )
    parser.add_argument("--precision", choices=["bfloat16", "int8"], default="int8")
    parser.add_argument(
        "--cache", type=Path, default=Path.home() / ".cache" / "voice-cloning-pipeline" / "quality"
    )
    parser.add_argument("--device", default="auto", help="of `stock`: auto, cpu, cuda, cuda:N")
    options = parser.parse_args()
    if options.act == "stock":
        sys.exit(not against_stock(options.model_dir, options.device))
    if options.act == "speak":
        speak(options.folder, options.model_dir, options.precision)
    else:
        score(options.folder, options.cache)


if __name__ == "__main__":
    main()
