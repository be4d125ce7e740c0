"""The instruments on human speech: what they can be trusted with, and the ceiling and floor of every figure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.quality import score
from benchmarks.quality.gallery import Gallery
from benchmarks.quality.instruments import ENCODERS, Instruments
from benchmarks.quality.references import load
from benchmarks.quality.speakers import Speaker

_AUSTEN: Final = Path("usr/share/pocketsphinx/test/data/librivox")
_NSH: Final = Path("usr/share/festival/voices/russian/msu_ru_nsh_clunits")
_NSH_SENTENCES: Final = 10


@dataclass(frozen=True)
class Clips:
    """A speaker's two clips, as files."""

    reference: Path
    held: Path


def galleries(
    speakers: tuple[Speaker, ...], clips: Mapping[str, Clips], instruments: Instruments
) -> dict[str, Gallery]:
    """Embed all speakers, by encoder."""
    references = [instruments.voice(load(clips[speaker.id].reference)) for speaker in speakers]
    held = [instruments.voice(load(clips[speaker.id].held)) for speaker in speakers]
    return {
        name: Gallery(
            ids=tuple(speaker.id for speaker in speakers),
            parts=tuple(speaker.part for speaker in speakers),
            references=np.stack([voice[name] for voice in references]),
            held=np.stack([voice[name] for voice in held]),
        )
        for name in ENCODERS
    }


def opinions(
    targets: list[Speaker], clips: Mapping[str, Clips], instruments: Instruments
) -> dict[str, dict[str, float]]:
    """Return DNSMOS and Distill-MOS of the targets' held-out recordings, by speaker."""
    return {speaker.id: instruments.opinion(load(clips[speaker.id].held)) for speaker in targets}


def recognition(
    packages: Mapping[str, Path], instruments: Instruments
) -> dict[str, tuple[int, float, float]]:
    """Whisper on human sentences with transcripts: language -> (sentences, mean CER, mean WER)."""
    read = {"en": _austen(packages["pocketsphinx-testdata"]), "ru": _nsh(packages["festvox-ru"])}
    return {
        language: _errors(language, sentences, instruments) for language, sentences in read.items()
    }


def _errors(
    language: str, sentences: dict[Path, str], instruments: Instruments
) -> tuple[int, float, float]:
    heard = {path: instruments.transcript(load(path), language) for path in sentences}
    cer = [score.character_errors(text, heard[path], language) for path, text in sentences.items()]
    wer = [score.word_errors(text, heard[path], language) for path, text in sentences.items()]
    return len(sentences), float(np.mean(cer)), float(np.mean(wer))


def _austen(root: Path) -> dict[Path, str]:
    lines = (root / _AUSTEN / "transcription").read_text(encoding="utf-8").splitlines()
    found = [
        re.fullmatch(r"<s> (.*) </s> \((.*)\)", line.strip()) for line in lines if line.strip()
    ]
    return {root / _AUSTEN / f"{match[2]}.wav": match[1] for match in found if match}


def _nsh(root: Path) -> dict[Path, str]:
    lines = (root / _NSH / "etc/txt.done.data").read_text(encoding="utf-8").splitlines()
    found = [re.fullmatch(r'\( (\S+) "(.*)" \)', line.strip()) for line in lines]
    texts = {
        root / _NSH / "wav" / f"{match[1]}.wav": match[2].replace("+", "")
        for match in found
        if match
    }
    return dict(list(texts.items())[:_NSH_SENTENCES])  # "+" marks the stress, and is not pronounced
