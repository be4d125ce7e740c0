"""Resamples latents to the vocoder's frames: linear interpolation in time, as they arrive.

Stock coqui-tts stretches all latents of a sentence at once: by 1 / speed, to four times as many, then by
24000 / 22050. Here each resampler emits a row as soon as it is determined, with torch's arithmetic, so the
rows are the same.

One behaviour of torch is not interpolation: if a factor above 1 does not change the number of rows (speed
0.95 and 10 latents, say), torch copies them, so no row is determined before enough rows have arrived. The
wait is limited to eight latents, which costs nothing: audio starts with that many. A sentence that is
slowed by less than an eighth, is that short, and arrives in chunks is stretched like every longer one, and
its rows lie within one row of stock's.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from services.synth_worker.engines.xtts.decoder.slots import to_device

_PATIENCE: Final = 8  # latents


class LinearResampler:
    """One linear interpolation of rows in time, by a factor, as torch's `interpolate` with `scale_factor` makes it."""

    def __init__(self, factor: float, patience: int) -> None:
        """Wait for at most `patience` rows until it is known that their number changes."""
        self._factor = factor
        self._patience = patience
        self._taken = 0  # rows in
        self._given = 0  # rows out
        self._kept: Tensor | None = None  # the last input rows, which later output rows depend on
        self._first_kept = 0

    def feed(self, rows: Tensor, *, last: bool) -> Tensor:
        """Return the rows determined now, float32 [m, width], given the next rows [n, width]; `last`: none follow."""
        kept = rows if self._kept is None else torch.cat([self._kept, rows])
        self._taken += len(rows)
        if last and not self._given and int(self._taken * self._factor) == self._taken:
            return kept
        indices, before, weight = self._sources(last=last)
        mixed = self._mix(kept, before, weight)
        self._given += len(indices)
        needed = int(self._source(np.array([self._given]))[0][0])
        drop = max(0, min(needed, self._taken) - self._first_kept)
        self._kept, self._first_kept = kept[drop:].clone(), self._first_kept + drop
        return mixed

    def _sources(self, *, last: bool) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Return the indices of the next output rows, the input row before each, and the next row's weight."""
        end = int(self._taken * self._factor)
        indices = np.arange(self._given, max(end, self._given))
        before, weight = self._source(indices)
        determined = len(indices) if last else int(np.searchsorted(before, self._taken - 1))
        if not last and end == self._taken < self._patience:
            determined = 0  # they might still be copied
        return indices[:determined], before[:determined], weight[:determined]

    def _source(self, indices: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return where output rows lie among the input rows; rounded like torch, which affects the result."""
        ratio = np.float64(np.float32(1 / self._factor))
        # fused: rounded once
        source = np.maximum((ratio * (indices + 0.5) - 0.5).astype(np.float32), np.float32(0))
        before = source.astype(np.int64)
        return before, source - before.astype(np.float32)

    def _mix(self, kept: Tensor, before: NDArray[Any], weight: NDArray[Any]) -> Tensor:
        after = np.minimum(before + 1, self._taken - 1)
        indices = to_device(
            torch.from_numpy(np.stack([before, after]) - self._first_kept), kept.device
        )
        share = to_device(torch.from_numpy(np.stack([1 - weight, weight])), kept.device).unsqueeze(
            2
        )
        rows = kept.index_select(0, indices[0]) * share[0]
        return rows.addcmul_(kept.index_select(0, indices[1]), share[1])


class FrameResampler:
    """The chain of resamplers of one sentence."""

    def __init__(self, factors: Sequence[float]) -> None:
        """Apply `factors` one after another; a factor of 1 is left out."""
        self._resamplers: list[LinearResampler] = []
        rows = float(_PATIENCE)
        for factor in factors:
            if factor != 1:
                self._resamplers.append(LinearResampler(factor, math.floor(rows)))
            rows *= factor

    def feed(self, latents: Tensor, *, last: bool) -> Tensor:
        """Return the frames float32 [m, width] that are determined now, given the next latents [n, width]."""
        for resampler in self._resamplers:
            latents = resampler.feed(latents, last=last)
        return latents
