"""Short-time spectra and mel filters, in numpy."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Complexes = NDArray[np.complex64]


def hann(size: int) -> Floats:
    """Periodic Hann window, float32 [size]."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)


def frames_of(samples: Floats, size: int, hop: int) -> Floats:
    """Centred frames, float32 [1 + n // hop, size]: frame t is centred on sample t * hop, zeros beyond both ends."""
    padded = np.pad(samples, size // 2)
    count = 1 + len(samples) // hop
    return np.lib.stride_tricks.sliding_window_view(padded, size)[::hop][:count]


def stft(samples: Floats, size: int, hop: int) -> Complexes:
    """Centred short-time Fourier transform with a Hann window, complex64 [1 + n // hop, size // 2 + 1]."""
    return np.fft.rfft(frames_of(samples, size, hop) * hann(size)).astype(np.complex64)


def istft(spectrum: Complexes, hop: int, length: int) -> Floats:
    """Inverse of `stft` by weighted overlap-add: float32 [length]."""
    size = 2 * (spectrum.shape[1] - 1)
    window = hann(size)
    frames = np.fft.irfft(spectrum, size).astype(np.float32) * window
    total = np.zeros((len(frames) - 1) * hop + size, dtype=np.float32)
    weight = np.zeros_like(total)
    for place, frame in enumerate(frames):
        total[place * hop : place * hop + size] += frame
        weight[place * hop : place * hop + size] += window * window
    inner = slice(size // 2, size // 2 + length)
    return (total[inner] / np.maximum(weight[inner], 1e-3)).astype(np.float32)


def slaney_mel(rate_hz: int, size: int, bands: int, low_hz: float, high_hz: float) -> Floats:
    """Triangular mel filters of equal area on Slaney's scale, float32 [bands, size // 2 + 1].

    Source: M. Slaney, Auditory Toolbox (1998); the scale and norm that the GE2E encoder was trained on.
    """
    edges = _mel_to_hz(np.linspace(_hz_to_mel(low_hz), _hz_to_mel(high_hz), bands + 2))
    bins = np.fft.rfftfreq(size, 1 / rate_hz)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    filters = np.maximum(0, np.minimum(rising, falling)) * (2 / (edges[2:] - edges[:-2]))[:, None]
    return filters.astype(np.float32)


_LINEAR_HZ_PER_MEL = 200 / 3
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27


def _hz_to_mel(frequency_hz: float) -> float:
    if frequency_hz < _BREAK_HZ:
        return frequency_hz / _LINEAR_HZ_PER_MEL
    return _BREAK_MEL + float(np.log(frequency_hz / _BREAK_HZ) / _LOG_STEP)


def _mel_to_hz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(
        mels < _BREAK_MEL,
        mels * _LINEAR_HZ_PER_MEL,
        _BREAK_HZ * np.exp(_LOG_STEP * (mels - _BREAK_MEL)),
    )
