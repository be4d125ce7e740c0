"""Another sample rate than the engine's: a streaming resampler (soxr) before an encoder."""

from math import ceil

import numpy as np
import soxr

from services.http_edge.encoders.protocol import Encoder


class ResampledEncoder:
    """Encodes at `sample_rate_hz`. The number of samples is exact: n samples become ceil(n * to / from)."""

    # a resampled sample depends on those around it
    header_bytes: int | None = None
    trailer_bytes: int = 0
    in_thread: bool = True

    def __init__(self, encoder: Encoder, sample_rate_hz: int) -> None:
        self.content_type = encoder.content_type
        self._encoder = encoder
        self._to_hz = sample_rate_hz
        self._from_hz = 0
        self._resampler: soxr.ResampleStream | None = None
        self._odd = b""
        self._received = 0  # samples
        self._returned = 0

    @property
    def tagged(self) -> bool:
        """Return whether the encoder's body has the tags."""
        return self._encoder.tagged

    def header(self, sample_rate_hz: int, data_bytes: int | None) -> bytes:
        """Return the encoder's header for the resampled audio."""
        self._from_hz = sample_rate_hz
        self._resampler = soxr.ResampleStream(
            sample_rate_hz, self._to_hz, num_channels=1, dtype="float32", quality="HQ"
        )
        size = None if data_bytes is None else 2 * self._resampled(data_bytes // 2)
        return self._encoder.header(self._to_hz, size)

    def encode(self, pcm: bytes) -> bytes:
        """Return the encoded bytes that are ready."""
        pcm = self._odd + pcm
        whole = len(pcm) // 2 * 2
        self._odd = pcm[whole:]
        return self._resample(np.frombuffer(pcm[:whole], "<i2"), last=False)

    def end(self) -> bytes:
        """Return the encoded bytes of what the resampler holds, and the encoder's end."""
        return self._resample(np.zeros(0, "<i2"), last=True) + self._encoder.end()

    def _resample(
        self, samples: np.ndarray[tuple[int], np.dtype[np.int16]], *, last: bool
    ) -> bytes:
        if self._resampler is None:
            raise RuntimeError("header() was not called")
        self._received += len(samples)
        # in float: for integers soxr adds dither, which depends on how the audio is cut
        found = self._resampler.resample_chunk(samples.astype(np.float32), last=last)
        if last:
            left = self._resampled(self._received) - self._returned
            found = np.concatenate([found, np.zeros(max(0, left - len(found)), np.float32)])[:left]
        self._returned += len(found)
        pcm = np.clip(np.rint(found), -32768, 32767).astype("<i2")
        return self._encoder.encode(pcm.tobytes())

    def _resampled(self, samples: int) -> int:
        return ceil(samples * self._to_hz / self._from_hz)
