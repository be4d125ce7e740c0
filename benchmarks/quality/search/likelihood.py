"""The probability of a text to whisper-base, given its audio: smoother than the errors of a transcript.

Several sentences share one window of 30 s, since the encoder costs the same for any length.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import soxr
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from numpy.typing import NDArray

from benchmarks.quality.recogniser import joined_model
from benchmarks.quality.references import RATE_HZ, Samples
from benchmarks.quality.search.windows import GAP, HZ, windows

_FRAMES: Final = 3000  # of the encoder's window
_HOP: Final = 160
_LEAST: Final = 0.01  # probability of a token: one hopeless token must not hide the rest


class Likelihood:
    """Scores audio against text, by teacher forcing."""

    def __init__(self, cache: Path, threads: int) -> None:
        self._model = WhisperModel(
            str(joined_model(cache)), device="cpu", compute_type="int8", cpu_threads=threads
        )

    def words(
        self, spoken: Sequence[tuple[Samples, Sequence[str]]], language: str
    ) -> list[list[float]]:
        """Return the log probability, in nats, of every word of each (24 kHz samples, words)."""
        tokenizer = Tokenizer(
            self._model.hf_tokenizer, multilingual=True, task="transcribe", language=language
        )
        found: list[list[float]] = []
        heard = [(_resampled(samples), words) for samples, words in spoken]
        for window in windows(heard):
            found += self._window(window, tokenizer)
        return found

    def _window(
        self, window: Sequence[tuple[Samples, Sequence[str]]], tokenizer: Tokenizer
    ) -> list[list[float]]:
        audio = np.concatenate([part for samples, _ in window for part in (samples, GAP)])
        tokens = [[tokenizer.encode(f" {word}") for word in words] for _, words in window]
        flat = [token for sentence in tokens for word in sentence for token in word]
        aligned = self._model.model.align(
            self._model.encode(self._features(audio)),
            tokenizer.sot_sequence,
            [flat],
            min(_FRAMES, len(audio) // _HOP),
        )[0]
        scores = iter(np.log(np.maximum(aligned.text_token_probs[: len(flat)], _LEAST)))
        return [
            [sum(float(next(scores)) for _ in word) for word in sentence] for sentence in tokens
        ]

    def _features(self, audio: Samples) -> NDArray[np.float32]:
        features = self._model.feature_extractor(audio)[:, :_FRAMES]
        missing = _FRAMES - features.shape[1]
        padded: NDArray[np.float32] = np.pad(
            features, ((0, 0), (0, missing)), constant_values=features.min()
        )
        return padded


def _resampled(samples: Samples) -> Samples:
    return np.asarray(soxr.resample(samples, RATE_HZ, HZ), np.float32)
