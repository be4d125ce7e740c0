"""Puts the watermark into a sentence, sample by sample as it is synthesized. Pure.

How it works. The samples are cut into frames of 40 ms that overlap by half. In the spectrum of each frame, the bands
are raised or lowered by a fixed number of decibels, as the pattern gives; the frames are then added up again, with
windows whose squares add up to 1. The change follows the level of the speech, so silence stays silence and speech
covers it. It is smallest under 1 kHz: there DNSMOS notices it most, and over 2 kHz hardly at all.

A frame starts at a fixed offset from the start of the sentence and is transformed alone. The output therefore depends
only on the samples of the sentence, not on how they were cut, on the process or on other sentences: a sentence that is
synthesized again is marked again with the same samples.

Source: Kirovski and Malvar, "Spread-spectrum watermarking of audio signals", IEEE Transactions on Signal Processing 51
(2003).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.common.audio.clip import Samples
from services.common.audio.watermark.pattern import EDGES_HZ, SLOT_S, SLOTS, band_of, signs

Floats = NDArray[np.float64]

LATENCY_MS: Final = 2 * round(SLOT_S * 1000)
# frequency in Hz, and the change of the bands from there on
_DEPTHS_DB: Final = ((300, 1.0), (1000, 1.5), (2000, 2.2))
_NOTHING: Final = np.zeros(0, dtype=np.float32)


class Marking:
    """Marks the samples of one sentence. Holds back at most `LATENCY_MS` of them."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._slot = round(SLOT_S * sample_rate_hz)
        size = 2 * self._slot
        self._window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size))
        self._gains = _gains(np.fft.rfftfreq(size, 1 / sample_rate_hz).astype(np.float64))
        # the stream, from the start of the next frame; the first frame begins a slot before the sentence
        self._waiting = np.zeros(self._slot, dtype=np.float32)
        self._tail = np.zeros(self._slot)  # second half of the last frame
        self._frames = 0
        self._received = 0
        self._sent = 0

    def push(self, samples: Samples) -> Samples:
        """Add the next samples, float32 [n]; return those that are marked, float32 [m]."""
        self._received += len(samples)
        self._waiting = np.concatenate([self._waiting, samples])
        marked: list[Samples] = []
        while len(self._waiting) >= 2 * self._slot:
            marked.append(self._marked(self._waiting[: 2 * self._slot]))
            self._waiting = self._waiting[self._slot :]
        ready = np.concatenate([*marked, _NOTHING])
        self._sent += len(ready)
        return ready

    def finish(self) -> Samples:
        """Return the rest of the sentence, float32 [m]; nothing can be pushed afterwards."""
        left = self._received - self._sent
        if not left:
            return _NOTHING
        slots = -(-left // self._slot) + 1
        padding = (slots + 1) * self._slot - len(self._waiting)
        rest = self.push(np.zeros(padding, dtype=np.float32))
        return rest[:left]

    def _marked(self, frame: Samples) -> Samples:
        """Return the slot that this frame completes; the first frame completes none."""
        spectrum = np.fft.rfft(frame * self._window)
        spectrum *= self._gains[self._frames % SLOTS]
        marked = np.fft.irfft(spectrum, len(frame)) * self._window
        done = self._tail + marked[: self._slot]
        self._tail = marked[self._slot :]
        self._frames += 1
        return _NOTHING if self._frames == 1 else done.astype(np.float32)


def mark(samples: Samples, sample_rate_hz: int) -> Samples:
    """Return a whole sentence with the watermark, float32 [n]."""
    marking = Marking(sample_rate_hz)
    return np.concatenate([marking.push(samples), marking.finish()])


def _gains(frequencies_hz: Floats) -> Floats:
    """Return the factor of each slot and frequency, float64 [slots, frequencies]."""
    bands = band_of(frequencies_hz)
    lowest_hz, depths_db = np.array(_DEPTHS_DB).T
    depth_db = depths_db[np.searchsorted(lowest_hz, EDGES_HZ[:-1], side="right") - 1]
    decibels = np.where(bands >= 0, (signs() * depth_db)[:, bands], 0.0)
    gains: Floats = 10 ** (decibels / 20)
    return gains
