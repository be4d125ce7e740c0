"""Loudness and true peak as ITU-R BS.1770-5 measures them; EBU R 128 uses the same meter. Pure.

How it works. The samples go through the K-weighting filter: a shelf that models the head, then a high-pass. The
standard prints both for 48 kHz; here they are derived from their analogue prototypes, so that the meter reads the same
at any rate. The energy of blocks of 400 ms, a new one every 100 ms, is averaged in two passes: blocks under -70 LUFS do
not count, nor do those more than 10 LU under the average of the rest, so pauses do not make speech quieter.

The recursive filters run in frames of 10 ms: the response to a frame alone is a convolution, and four numbers carry
what the frames before it left behind. Frames begin at fixed samples and each is computed separately, so a meter that is
fed in chunks gives the same numbers, to the last bit, however the chunks were cut.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.common.audio.clip import Samples

Floats = NDArray[np.float64]

SILENT_LUFS: Final = -math.inf
FRAME_S: Final = 0.01
_FRAMES_IN_BLOCK: Final = 40  # 400 ms
_FRAMES_BETWEEN_BLOCKS: Final = 10  # 75 % overlap
_ABSOLUTE_GATE_LUFS: Final = -70.0
_RELATIVE_GATE_LU: Final = 10.0
_OFFSET_LUFS: Final = -0.691  # so that the filter's gain at 997 Hz is none

# Annex 2: the four phases of an interpolator by 4, the second half of them the first half reversed.
_PHASE_0: Final = (
    *(
        0.0017089843750,
        0.0109863281250,
        -0.0196533203125,
        0.0332031250000,
        -0.0594482421875,
        0.1373291015625,
    ),
    *(
        0.9721679687500,
        -0.1022949218750,
        0.0476074218750,
        -0.0266113281250,
        0.0148925781250,
        -0.0083007812500,
    ),
)
_PHASE_1: Final = (
    *(
        -0.0291748046875,
        0.0292968750000,
        -0.0517578125000,
        0.0891113281250,
        -0.1665039062500,
        0.4650878906250,
    ),
    *(
        0.7797851562500,
        -0.2003173828125,
        0.1015625000000,
        -0.0582275390625,
        0.0330810546875,
        -0.0189208984375,
    ),
)
PHASES: Final = np.array([_PHASE_0, _PHASE_1, _PHASE_1[::-1], _PHASE_0[::-1]])
PHASE_TAPS: Final = 12


@dataclass(frozen=True)
class Biquad:
    """A second-order filter: b[0] + b[1] z^-1 + b[2] z^-2 over 1 + a[1] z^-1 + a[2] z^-2."""

    b: tuple[float, float, float]
    a: tuple[float, float, float]


def k_weighting(sample_rate_hz: int) -> tuple[Biquad, Biquad]:
    """Return the shelf and the high-pass of K-weighting at this rate; at 48 kHz the standard's own coefficients.

    The prototypes' frequencies, gains and qualities are those that give the standard's table back (B. De Man,
    "Evaluation of implementations of the EBU R128 loudness measurement", AES 145, 2018).
    """
    return _shelf(sample_rate_hz), _high_pass(sample_rate_hz)


def _shelf(sample_rate_hz: int) -> Biquad:
    frequency_hz, gain_db, quality = 1681.974450955533, 3.999843853973347, 0.7071752369554196
    k = math.tan(math.pi * frequency_hz / sample_rate_hz)
    high = 10 ** (gain_db / 20)
    middle = high**0.4996667741545416
    a0 = 1 + k / quality + k * k
    b = (
        high + middle * k / quality + k * k,
        2 * (k * k - high),
        high - middle * k / quality + k * k,
    )
    return Biquad(
        (b[0] / a0, b[1] / a0, b[2] / a0),
        (1.0, 2 * (k * k - 1) / a0, (1 - k / quality + k * k) / a0),
    )


def _high_pass(sample_rate_hz: int) -> Biquad:
    frequency_hz, quality = 38.13547087602444, 0.5003270373238773
    k = math.tan(math.pi * frequency_hz / sample_rate_hz)
    a0 = 1 + k / quality + k * k
    return Biquad((1.0, -2.0, 1.0), (1.0, 2 * (k * k - 1) / a0, (1 - k / quality + k * k) / a0))


def weighted_power(sample_rate_hz: int, points: int) -> Floats:
    """Return the power response of K-weighting at the bins of a Fourier transform: [points // 2 + 1]."""
    unit = np.exp(-2j * np.pi * np.arange(points // 2 + 1) / points)
    found = [
        np.polyval(one.b[::-1], unit) / np.polyval(one.a[::-1], unit)
        for one in k_weighting(sample_rate_hz)
    ]
    response: Floats = np.abs(found[0] * found[1]) ** 2
    return response


@dataclass(frozen=True, eq=False)
class _FrameFilter:
    """A fourth-order filter, prepared for frames of one length."""

    points: int  # of a Fourier transform that holds a frame and the response to it
    response: NDArray[np.complex128]  # to an impulse at a frame's first sample, transformed
    left: Floats  # [4, frame]: what an impulse at each sample leaves in the state after the frame
    ringing: Floats  # [4, frame]: the output that each of the four numbers of the state causes
    carried: tuple[
        tuple[float, ...], ...
    ]  # 4 of 4: what each of them leaves in the state after the frame


@lru_cache(maxsize=8)
def _frame_filter(sample_rate_hz: int) -> _FrameFilter:
    frame = frame_samples(sample_rate_hz)
    shelf, high_pass = k_weighting(sample_rate_hz)
    b, a = np.convolve(shelf.b, high_pass.b), np.convolve(shelf.a, high_pass.a)
    silence = np.zeros(frame)
    impulse, after = _run(b, a, np.concatenate([[1.0], silence[1:]]), np.zeros(4))
    responses = [_run(b, a, silence, unit) for unit in np.eye(4)]
    points = 1 << (2 * frame - 1).bit_length()
    carried = np.stack([states[-1] for _, states in responses], axis=1)
    return _FrameFilter(
        points=points,
        response=np.fft.rfft(impulse, points),
        left=after[::-1].T.copy(),
        ringing=np.stack([output for output, _ in responses]),
        carried=tuple(map(tuple, carried.tolist())),
    )


def _run(b: Floats, a: Floats, samples: Floats, state: Floats) -> tuple[Floats, Floats]:
    """Filter sample by sample, transposed direct form II: the output [n], and the state after each sample [n, 4]."""
    output, states = np.zeros(len(samples)), np.zeros((len(samples), 4))
    for index, sample in enumerate(samples):
        output[index] = b[0] * sample + state[0]
        state = np.append(state[1:], 0.0) + b[1:] * sample - a[1:] * output[index]
        states[index] = state
    return output, states


def frame_samples(sample_rate_hz: int) -> int:
    """Return how many samples a frame of 10 ms has."""
    return round(sample_rate_hz * FRAME_S)


class FrameEnergies:
    """The mean K-weighted energies of the frames of 10 ms of one channel, which come in order."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._filter = _frame_filter(sample_rate_hz)
        self._state = [0.0] * 4

    def of(self, frames: Samples | Floats) -> Floats:
        """Return the energies [n] of the next frames, float [n, samples of a frame]."""
        samples = frames.astype(np.float64)
        size = samples.shape[1]
        spectra = np.fft.rfft(samples, self._filter.points, axis=1) * self._filter.response
        alone = np.fft.irfft(spectra, self._filter.points, axis=1)[:, :size]
        states = self._states(np.sum(samples[:, None, :] * self._filter.left, axis=2))
        weighted = alone + np.sum(states[:, :, None] * self._filter.ringing, axis=1)
        energies: Floats = np.mean(weighted * weighted, axis=1)
        return energies

    def _states(self, left: Floats) -> Floats:
        """Return the state [n, 4] before each frame, from what each frame alone leaves behind, [n, 4]."""
        states = np.zeros((len(left), 4))
        for index, own in enumerate(left.tolist()):
            states[index] = self._state
            self._state = [
                row[0] * self._state[0]
                + row[1] * self._state[1]
                + row[2] * self._state[2]
                + row[3] * self._state[3]
                + new
                for row, new in zip(self._filter.carried, own, strict=True)
            ]
        return states


def frame_energies(samples: Samples | Floats, sample_rate_hz: int) -> Floats:
    """Return the energies [frames] of all whole frames of float [n]."""
    size = frame_samples(sample_rate_hz)
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    return FrameEnergies(sample_rate_hz).of(frames)


def integrated_lufs(channels: Sequence[Samples | Floats], sample_rate_hz: int) -> float:
    """Return the gated loudness of one channel, or of left and right; -inf where there is nothing but silence."""
    return gated_lufs(
        np.sum([frame_energies(samples, sample_rate_hz) for samples in channels], axis=0)
    )


def gated_lufs(energies: Floats) -> float:
    """Return the gated loudness of frames of 10 ms, their energies [frames] summed over the channels.

    The standard does not define audio under 400 ms: it is padded with silence to one block.
    """
    if len(energies) < _FRAMES_IN_BLOCK:
        energies = np.pad(energies, (0, _FRAMES_IN_BLOCK - len(energies)))
    sums = np.concatenate([[0.0], np.cumsum(energies)])
    blocks = (sums[_FRAMES_IN_BLOCK:] - sums[:-_FRAMES_IN_BLOCK])[
        ::_FRAMES_BETWEEN_BLOCKS
    ] / _FRAMES_IN_BLOCK
    counted = blocks[blocks > energy_of(_ABSOLUTE_GATE_LUFS)]
    if not len(counted):
        return SILENT_LUFS
    return lufs_of(
        float(counted[counted > counted.mean() * 10 ** (-_RELATIVE_GATE_LU / 10)].mean())
    )


def lufs_of(energy: float) -> float:
    """Return the loudness of a mean K-weighted energy."""
    return _OFFSET_LUFS + 10 * math.log10(energy) if energy > 0 else SILENT_LUFS


def energy_of(lufs: float) -> float:
    """Return the mean K-weighted energy of a loudness."""
    return float(10 ** ((lufs - _OFFSET_LUFS) / 10))


def interpolated_peaks(samples: Samples | Floats) -> Floats:
    """Return the largest amplitude of the four interpolated values at each position of float [n]: [n - 11].

    Value i is of the curve between samples i + 5 and i + 6, to a quarter of the distance.
    """
    found = [np.abs(np.convolve(samples, phase, mode="valid")) for phase in PHASES]
    peaks: Floats = np.max(found, axis=0)
    return peaks


def true_peak_db(samples: Samples | Floats) -> float:
    """Return the highest peak of the curve through float [n] of one channel, in dBTP (BS.1770-5, Annex 2)."""
    padded = np.pad(samples.astype(np.float64), PHASE_TAPS - 1)
    highest = float(interpolated_peaks(padded).max())
    return 20 * math.log10(highest) if highest > 0 else -math.inf
