"""Latents to the vocoder's frames: linear interpolation in time, as they come.

Stock coqui-tts stretches all latents of a sentence at once: by 1 / speed, to four times as many, then by 24000 / 22050.
Here each stretch gives out a row as soon as it is determined, with torch's arithmetic, so that the rows are the same.

One trait of torch is not of interpolation: where a factor above 1 does not change the number of rows (speed 0.95 and
10 latents, say), it copies them, so that no row is determined before there are rows enough. That is waited for as long
as eight latents last, which costs nothing: sound begins with as many. A sentence that is slowed by less than an eighth,
is so short, and comes in pieces is stretched like every longer one, and its rows lie within one row of stock's.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_PATIENCE: Final = 8  # latents


class Stretch:
    """One linear interpolation of rows in time, by a factor, as torch's `interpolate` with `scale_factor` makes it."""

    def __init__(self, factor: float, patience: int) -> None:
        """`patience`: as many rows are waited for at most, until it is known that their number changes."""
        self._factor = factor
        self._patience = patience
        self._taken = 0  # rows in
        self._given = 0  # rows out
        self._kept: Tensor | None = None  # the last rows in, from which later rows are made
        self._first_kept = 0

    def feed(self, rows: Tensor, *, last: bool) -> Tensor:
        """Return the rows determined now, float32 [m, width], given the next rows [n, width]; `last`: none follow."""
        kept = rows if self._kept is None else torch.cat([self._kept, rows])
        self._taken += len(rows)
        if last and not self._given and int(self._taken * self._factor) == self._taken:
            return kept
        places, before, weight = self._sources(last=last)
        mixed = self._mix(kept, before, weight)
        self._given += len(places)
        needed = int(self._source(np.array([self._given]))[0][0])
        drop = max(0, min(needed, self._taken) - self._first_kept)
        self._kept, self._first_kept = kept[drop:].clone(), self._first_kept + drop
        return mixed

    def _sources(self, *, last: bool) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Return the places of the rows to give out, the row in before each, and the weight of the row after that."""
        end = int(self._taken * self._factor)
        places = np.arange(self._given, max(end, self._given))
        before, weight = self._source(places)
        determined = len(places) if last else int(np.searchsorted(before, self._taken - 1))
        if not last and end == self._taken < self._patience:
            determined = 0  # they may yet be copied
        return places[:determined], before[:determined], weight[:determined]

    def _source(self, places: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Where rows out lie among the rows in; rounded as torch rounds it, which is part of the result."""
        ratio = np.float64(np.float32(1 / self._factor))
        source = np.maximum((ratio * (places + 0.5) - 0.5).astype(np.float32), np.float32(0))  # fused: rounded once
        before = source.astype(np.int64)
        return before, source - before.astype(np.float32)

    def _mix(self, kept: Tensor, before: NDArray[Any], weight: NDArray[Any]) -> Tensor:
        after = np.minimum(before + 1, self._taken - 1)
        places = torch.from_numpy(np.stack([before, after]) - self._first_kept).to(kept.device)
        share = torch.from_numpy(np.stack([1 - weight, weight])).to(kept.device).unsqueeze(2)
        return (kept[places[0]] * share[0]).addcmul_(kept[places[1]], share[1])


class Frames:
    """The chain of stretches of one sentence."""

    def __init__(self, factors: Sequence[float]) -> None:
        """`factors` are applied one after another; a factor of 1 is left out."""
        self._stretches: list[Stretch] = []
        rows = float(_PATIENCE)
        for factor in factors:
            if factor != 1:
                self._stretches.append(Stretch(factor, math.floor(rows)))
            rows *= factor

    def feed(self, latents: Tensor, *, last: bool) -> Tensor:
        """Return the frames float32 [m, width] that are determined now, given the next latents [n, width]."""
        for stretch in self._stretches:
            latents = stretch.feed(latents, last=last)
        return latents
