"""Speaker embeddings: the GE2E encoder of Resemblyzer, in numpy.

Source: Wan et al., "Generalized End-to-End Loss for Speaker Verification" (2018); weights from Resemblyzer 0.1.4.
"""

import hashlib
from collections.abc import Mapping
from importlib import resources
from io import BytesIO
from typing import Final, Self

import numpy as np

from services.common.audio.spectra import Floats, slaney_mel, stft

SAMPLE_RATE_HZ: Final = 16_000
_FFT: Final = 400
_HOP: Final = 160
_BANDS: Final = 40
_WINDOW_FRAMES: Final = 160
_STEP_FRAMES: Final = 77  # 1.3 windows a second
_LEAST_COVERAGE: Final = 0.75
_LAYERS: Final = 3
_STATES: Final = 256
_GATES: Final = 4
WEIGHTS: Final = "speaker_encoder.npz"
_TARGET_LEVEL: Final = 10 ** (-30 / 20)  # the loudness that the encoder was trained at


class SpeakerEncoder:
    """Maps speech to a unit vector; one speaker's recordings lie close together.

    `weights` holds, for each layer, `input.i` [in, 1024], `hidden.i` [256, 1024] and `bias.i` [1024], the LSTM gates in
    the order input, forget, cell, output, and `projection` [256, 256] with `projection_bias` [256].
    """

    def __init__(self, weights: Mapping[str, Floats]) -> None:
        self._weights = {
            name: value.astype(np.float32) * _gate_scale(name) for name, value in weights.items()
        }
        # Four matrices: BLAS multiplies so few windows by small matrices without packing those every time.
        self._recurrent = [
            np.stack(np.split(self._weights.pop(f"hidden.{layer}"), _GATES, axis=1))
            for layer in range(_LAYERS)
        ]
        self._mel = slaney_mel(SAMPLE_RATE_HZ, _FFT, _BANDS, 0, SAMPLE_RATE_HZ / 2).T.copy()

    @classmethod
    def bundled(cls) -> Self:
        """Return the encoder with the bundled weights.

        Raises ValueError if their checksum is wrong.
        """
        folder = resources.files(__package__) / "assets"
        content = (folder / WEIGHTS).read_bytes()
        if f"{hashlib.sha256(content).hexdigest()}  {WEIGHTS}" not in (
            folder / "SHA256SUMS"
        ).read_text("ascii"):
            raise ValueError(f"the file {WEIGHTS} is damaged; install the service again")
        with np.load(BytesIO(content), allow_pickle=False) as arrays:
            return cls({key: arrays[key] for key in arrays.files})

    def embed(self, speech: Floats) -> Floats:
        """Return the embedding, float32 [256] of length 1, of 16 kHz speech that has no long pauses."""
        return unit(self.embed_windows(speech).mean(axis=0))

    def embed_windows(self, speech: Floats) -> Floats:
        """Return the embedding of each 1.6 s, 1.3 a second, float32 [windows, 256], as `embed` takes the mean of."""
        level = np.sqrt(np.mean(speech.astype(np.float64) ** 2)) + 1e-9
        windows = self._windows(speech * np.float32(max(1.0, _TARGET_LEVEL / level)))
        return unit(self._project(self._last_states(windows)))

    def _windows(self, speech: Floats) -> Floats:
        """Cut the mel spectrogram into windows of 1.6 s: [windows, 160, 40]."""
        starts = window_starts(len(speech))
        needed = (starts[-1] + _WINDOW_FRAMES) * _HOP
        padded = np.pad(speech, (0, max(0, needed - len(speech))))
        mel: Floats = (np.abs(stft(padded, _FFT, _HOP)) ** 2) @ self._mel
        return np.stack([mel[start : start + _WINDOW_FRAMES] for start in starts])

    def _last_states(self, windows: Floats) -> Floats:
        """Run the LSTM: the top layer's last hidden state of every window, [windows, 256]."""
        inputs: Floats = windows.transpose(1, 0, 2)
        for layer in range(_LAYERS):
            inputs = self._layer(inputs, layer)
        last: Floats = inputs[-1]
        return last

    def _layer(self, inputs: Floats, layer: int) -> Floats:
        # one large product; with three axes numpy computes one for each of the 160 frames
        rows = np.ascontiguousarray(inputs).reshape(-1, inputs.shape[2])
        given = rows @ self._weights[f"input.{layer}"]
        given += self._weights[f"bias.{layer}"]
        by_gate = given.reshape(*inputs.shape[:2], _GATES, _STATES).transpose(0, 2, 1, 3)
        recurrent = self._recurrent[layer]
        hidden = np.zeros((inputs.shape[1], _STATES), dtype=np.float32)
        cell = np.zeros_like(hidden)
        states = np.empty((*inputs.shape[:2], _STATES), dtype=np.float32)
        for gate_in, state in zip(by_gate, states, strict=True):
            gates = hidden @ recurrent
            gates += gate_in
            np.tanh(gates, out=gates)
            admit, forget, candidate, release = gates
            cell *= _share(forget)
            candidate *= _share(admit)
            cell += candidate
            np.multiply(_share(release), np.tanh(cell), out=state)
            hidden = state
        return states

    def _project(self, states: Floats) -> Floats:
        embedding: Floats = np.maximum(
            states @ self._weights["projection"] + self._weights["projection_bias"], 0
        )
        return embedding


def window_starts(samples: int) -> list[int]:
    """Return the starts of the windows, in frames; a last window that audio covers by less than 3/4 is left out."""
    frames = samples // _HOP + 1
    starts = list(range(0, max(1, frames - _WINDOW_FRAMES + _STEP_FRAMES + 1), _STEP_FRAMES))
    covered = (samples / _HOP - starts[-1]) / _WINDOW_FRAMES
    return starts[:-1] if len(starts) > 1 and covered < _LEAST_COVERAGE else starts


def unit(vectors: Floats) -> Floats:
    """Scale vectors along the last axis to length 1."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Floats = (vectors / np.maximum(lengths, 1e-9)).astype(np.float32)
    return scaled


def _gate_scale(name: str) -> Floats:
    """Return the factor of a weight: 1/2 for the gates that are sigmoids, as sigmoid(x) is (tanh(x / 2) + 1) / 2."""
    if name.startswith("projection"):
        return np.ones(1, np.float32)
    return np.repeat(np.array([0.5, 0.5, 1, 0.5], np.float32), _STATES)


def _share(values: Floats) -> Floats:
    """Turn tanh(x / 2) into sigmoid(x), in place."""
    values += 1
    values *= np.float32(0.5)
    return values
