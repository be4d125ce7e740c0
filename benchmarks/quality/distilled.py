"""Distill-MOS: a second prediction of listeners' scores, by a model that shares nothing with DNSMOS.

Stahl and Gamper, "Distillation and Pruning for Scalable Self-Supervised Representation-Based Speech Quality Assessment"
(2025): convolutions over the compressed complex spectrum and a transformer, distilled from wav2vec 2.0 XLS-R. The
weights are those of the wheel distillmos 0.9.1 (MIT), run by numpy, because the wheel would bring PyTorch.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import soxr
from numpy.typing import NDArray

from benchmarks.quality import checkpoint, wheels
from benchmarks.quality.references import RATE_HZ, Samples

Floats = NDArray[np.float32]

_RATE_HZ: Final = 16_000
_WINDOW: Final = 122_880  # samples: 7.68 s
_MOST_HOP: Final = 16_000
_FFT: Final = 320
_STEP: Final = 160
_LAYERS: Final = 7
_HEADS: Final = 8
_EPSILON: Final = np.float32(1e-5)
_BODY: Final = "transformer_pool_attn"
_INPUT_NORMS: Final = (f"{_BODY}.norm_input", f"{_BODY}.transformer.norm")
_STRIDES: Final = (
    (1, 1),
    (2, 1),
    (2, 1),
    (2, 1),
    (2, 1),
    (2, 2),
)  # of the convolutions: bins, frames


class DistillMos:
    """Predicts the mean opinion score of speech, 1..5."""

    def __init__(self) -> None:
        """Read the weights from the installed wheel."""
        content = wheels.content("distillmos", "distillmos/weights/distill_mos_v7.pt")
        self._weights = checkpoint.read_archive(content, "model")

    def score(self, samples: Samples) -> float:
        """Predict for speech, mono at 24 kHz: the mean over windows of 7.68 s, at most 1 s apart."""
        heard = np.asarray(soxr.resample(samples, RATE_HZ, _RATE_HZ), np.float32)
        return float(np.mean([self._window(window) for window in _windows(heard)]))

    def _window(self, samples: Samples) -> float:
        loudest = np.abs(samples).max() + np.float32(1e-8)
        weights = self._weights
        x = self._front(_compressed(samples / loudest))
        for name in _INPUT_NORMS:
            x = _standard(x, weights, name)
        x = _linear(x, weights, f"{_BODY}.transformer.linear_proj")
        x = x + weights[f"{_BODY}.transformer.position_encoding.pe"][0]
        for number in range(_LAYERS):
            layer = f"{_BODY}.transformer.transformer_encoder.layers.{number}"
            x = _normal(x + _attention(x, weights, f"{layer}.self_attn"), weights, f"{layer}.norm1")
            wide = np.maximum(_linear(x, weights, f"{layer}.linear1"), 0)
            x = _normal(x + _linear(wide, weights, f"{layer}.linear2"), weights, f"{layer}.norm2")
        return 1 + 4 * _sigmoid(self._pooled(_standard(x, weights, f"{_BODY}.norm_trans")))

    def _front(self, spectrum: Floats) -> Floats:
        """Convolve a spectrum [2, 161, frames] to features [frames / 2, 1024]."""
        x = spectrum
        for index, (down, along) in enumerate(_STRIDES):
            name = f"cnn.cnn.{2 * index}"
            x = _convolved(x, self._weights[f"{name}.weight"], down, along)
            x += self._weights[f"{name}.bias"][:, None, None]
            x = np.maximum(x, np.float32(0.1) * x)
        return x.reshape(-1, x.shape[2]).T

    def _pooled(self, x: Floats) -> float:
        """Average [frames, 200] by attention, and project it to a number."""
        hidden = np.maximum(_linear(x, self._weights, f"{_BODY}.pool.linear1"), 0)
        share = _softmax(_linear(hidden, self._weights, f"{_BODY}.pool.linear2").T)
        return float(_linear(share @ x, self._weights, f"{_BODY}.pool.linear3")[0, 0])


def _windows(samples: Samples) -> list[Samples]:
    """Cut into windows of 7.68 s, evenly apart; what is shorter ends in silence."""
    spare = max(len(samples) - _WINDOW, 0)
    padded = np.pad(samples, (0, max(_WINDOW - len(samples), 0)))
    starts = np.linspace(0, 1, -(-spare // _MOST_HOP) + 1) * spare
    return [padded[start : start + _WINDOW] for start in starts.astype(int)]


def _compressed(samples: Samples) -> Floats:
    """Return the short-time spectrum with its magnitudes to the power of 0.3: real and imaginary, [2, 161, frames]."""
    padded = np.pad(samples, (_FFT - _STEP) // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::_STEP]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FFT) / _FFT)
    spectrum = np.fft.rfft(frames * hann, axis=1).T
    size = np.maximum(np.abs(spectrum), 1e-12)
    squeezed = spectrum * (size**0.3 / size)
    return np.stack([squeezed.real, squeezed.imag]).astype(np.float32)


def _convolved(x: Floats, filters: Floats, down: int, along: int) -> Floats:
    """Convolve [channels, bins, frames] by [out, channels, 3, 3]: frames are padded by one, bins are not."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1)))
    bins, frames = (x.shape[1] - 3) // down + 1, (x.shape[2] - 1) // along + 1
    total = np.zeros((len(filters), bins * frames), np.float32)
    for row in range(3):
        for column in range(3):
            part = padded[:, row:, column:][:, ::down, ::along][:, :bins, :frames]
            total += filters[:, :, row, column] @ part.reshape(len(x), -1)
    return total.reshape(-1, bins, frames)


def _attention(x: Floats, weights: Mapping[str, Floats], name: str) -> Floats:
    driven = x @ weights[f"{name}.in_proj_weight"].T + weights[f"{name}.in_proj_bias"]
    query, key, value = (
        part.reshape(len(x), _HEADS, -1).transpose(1, 0, 2) for part in np.split(driven, 3, axis=1)
    )
    scale = np.float32(query.shape[2] ** -0.5)
    mixed = _softmax(query @ key.transpose(0, 2, 1) * scale) @ value
    return _linear(mixed.transpose(1, 0, 2).reshape(len(x), -1), weights, f"{name}.out_proj")


def _linear(x: Floats, weights: Mapping[str, Floats], name: str) -> Floats:
    found: Floats = x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
    return found


def _standard(x: Floats, weights: Mapping[str, Floats], name: str) -> Floats:
    """Normalise each feature by the statistics of the training."""
    mean, variance = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
    scaled = (x - mean) / np.sqrt(variance + _EPSILON)
    found: Floats = scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]
    return found


def _normal(x: Floats, weights: Mapping[str, Floats], name: str) -> Floats:
    """Normalise each frame by its own statistics."""
    centred = x - x.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + _EPSILON)
    found: Floats = scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]
    return found


def _softmax(x: Floats) -> Floats:
    raised = np.exp(x - x.max(axis=-1, keepdims=True))
    found: Floats = raised / raised.sum(axis=-1, keepdims=True)
    return found


def _sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))
