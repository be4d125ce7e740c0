"""The fingerprint of a sentence: one 32-bit word for every 23 ms. Pure.

How it works. The samples are reduced to 5 kHz and cut into frames of 0.41 s. The spectrum of a frame between 300 Hz and
2 kHz is divided into 33 bands of equal width on a logarithmic scale. Bit m of a word is set if the difference of the
energies of bands m and m + 1 has grown since the frame before. Codecs, noise and filters change the energies and hardly
their order, so most bits stay. Frames overlap so much that it makes little difference where a recording was cut.

A word of 0 stands for a quiet frame, which is not compared.

Source: Haitsma and Kalker, "A Highly Robust Audio Fingerprinting System", ISMIR 2002. Theirs has a word for every
11.6 ms; here it is half as many, and the recording that is looked up has them all.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.common.audio.clip import Clip, Samples
from services.common.audio.resample import Resampler, resample
from services.common.audio.spectra import Floats, hann

RATE_HZ: Final = 5_000
HOP: Final = 116  # samples at RATE_HZ between the words of a sentence
FRAME: Final = 2_048
BITS: Final = 32
MOST_WORDS: Final = 16_384  # of a sentence: 380 s
_QUIET_DB: Final = 45.0  # so far under the loudest frame, a frame is quiet
_EDGES_HZ: Final = 300.0 * (2_000.0 / 300.0) ** (np.arange(BITS + 2) / (BITS + 1))
_BLOCK: Final = 512  # frames that are transformed at a time
_NOTHING: Final = np.zeros(0, dtype=np.float32)

Words = NDArray[np.uint32]


def fingerprint(clip: Clip) -> Words:
    """Return the words of a sentence, uint32 [n]; empty if it is shorter than 0.44 s."""
    stream = SentenceFingerprint(clip.sample_rate_hz)
    stream.push(clip.samples)
    return words_of(stream.finish())


class SentenceFingerprint:
    """The fingerprint of a sentence whose samples arrive one after the other."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._resampler = Resampler(sample_rate_hz, RATE_HZ)
        self._samples: list[Samples] = []
        self._left = FRAME + HOP * MOST_WORDS

    def push(self, samples: Samples) -> None:
        """Add the next samples, float32 [n]. What follows the longest fingerprint is left out."""
        if self._left > 0:
            self._add(self._resampler.push(samples))

    def finish(self) -> bytes:
        """Return the words, little-endian. Nothing may be pushed afterwards."""
        if self._left > 0:
            self._add(self._resampler.finish())
        words = _words(_energies(np.concatenate([*self._samples, _NOTHING]), HOP), 1)
        return words[:MOST_WORDS].astype("<u4").tobytes()

    def _add(self, samples: Samples) -> None:
        self._samples.append(samples[: self._left])
        self._left -= len(samples)


def words_of(fingerprint: bytes) -> Words:
    """Return the words of a stored fingerprint; a number of bytes that is no multiple of 4 loses its end."""
    return np.frombuffer(fingerprint[: len(fingerprint) // 4 * 4], dtype="<u4").astype(np.uint32)


def lookup_words(clip: Clip) -> tuple[Words, NDArray[np.float32]]:
    """Return the words of a recording, uint32 [n], one for every half HOP, and how clear each bit is, float32 [n, 32].

    Word j starts at sample j * HOP / 2, at RATE_HZ.
    """
    energies = _energies(resample(clip, RATE_HZ).samples, HOP // 2)
    return _words(energies, 2), np.abs(_changes(energies, 2)[0])


def _words(energies: Floats, apart: int) -> Words:
    """Return the word of each frame, compared with the one `apart` frames before."""
    changes, quiet = _changes(energies, apart)
    bits = np.packbits(changes > 0, axis=1, bitorder="little")
    words = np.ascontiguousarray(bits).view("<u4").reshape(-1)
    return np.where(quiet, 0, words).astype(np.uint32)


def _changes(energies: Floats, apart: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the second differences of each frame, float32 [n, 32], and whether it is quiet, bool [n]."""
    if len(energies) <= apart:
        return np.zeros((0, BITS), dtype=np.float32), np.zeros(0, dtype=bool)
    slopes = energies[:, :-1] - energies[:, 1:]
    totals = energies.sum(axis=1)
    quiet = totals < max(float(totals.max()) * 10 ** (-_QUIET_DB / 10), 1e-9)
    return slopes[apart:] - slopes[:-apart], quiet[apart:] | quiet[:-apart]


def _energies(samples: Floats, hop: int) -> Floats:
    """Return the energies of the bands of each frame, float32 [n, 33]."""
    if len(samples) < FRAME:
        return np.zeros((0, BITS + 1), dtype=np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::hop]
    starts = np.searchsorted(np.fft.rfftfreq(FRAME, 1 / RATE_HZ), _EDGES_HZ)
    window = hann(FRAME)
    energies = []
    for begin in range(0, len(frames), _BLOCK):
        power = np.abs(np.fft.rfft(frames[begin : begin + _BLOCK] * window)) ** 2
        energies.append(np.add.reduceat(power[:, : starts[-1]], starts[:-1], axis=1))
    return np.concatenate(energies).astype(np.float32)
