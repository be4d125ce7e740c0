"""Finds the watermark in a recording, with a bound on the probability of a false alarm. Pure.

How it works. The recording may have been cut anywhere and may hold several sentences, each of which began the pattern
again. A hypothesis gives, for each half second, the offset of the pattern there, or that there is no mark. The
features of all chips that share a sign are added up, and the sums are compared with the signs. Let z be their scalar
product over the length of the sums.

If the recording has no mark, it was made without regard to the signs, which are independent and as likely 1 as -1. By
Hoeffding's inequality the probability that z reaches a value is then at most exp(-z^2 / 2), whatever the recording.
There are many hypotheses, and the best one is sought; so each has a prior, the priors add up to 1, and exp(-z^2 / 2)
is divided by the prior. The probability that any hypothesis of an unmarked recording falls under a limit is then at
most the limit (the union bound). It holds for any way to search, also for the one here: Viterbi's algorithm finds the
path of offsets that is most likely for a few strengths of the mark.

The bound is about the choice of the pattern. It does not cover a person who adds the pattern to a recording.

Source: Hoeffding, "Probability inequalities for sums of bounded random variables" (1963).
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.common.audio.clip import Clip
from services.common.audio.spectra import Floats
from services.common.audio.watermark.features import SHIFTS, features
from services.common.audio.watermark.pattern import BANDS, NARROW_BANDS, SLOT_S, SLOTS, Signs, signs

FALSE_ALARM: Final = 1e-6  # probability, for a recording without the mark
SHORTEST_S: Final = 1.0
_WINDOW_S: Final = 30.0  # longer recordings are searched part by part
_BLOCK_SLOTS: Final = 25
_STAY: Final = 0.9  # prior probability that the next half second belongs to the same sentence
_STRENGTHS: Final = (0.1, 0.2, 0.4)
_STATES: Final = SHIFTS * SLOTS + 1
_UNMARKED: Final = _STATES - 1
_LOG_START: Final = -math.log(_STATES)
_LOG_STAY: Final = math.log(_STAY)
_LOG_LEAVE: Final = math.log((1 - _STAY) / (_STATES - 1))

Path = NDArray[np.int64]  # state of each block


@dataclass(frozen=True)
class Detection:
    """Result for one recording."""

    marked: bool
    log10_false_alarm: float  # bound, at most 0: without the mark this would be as rare
    marked_s: float  # length of the parts that have the mark
    seconds: float


def detect(clip: Clip) -> Detection:
    """Return whether a recording has the watermark."""
    size = round(_WINDOW_S * clip.sample_rate_hz)
    starts = range(0, max(1, len(clip.samples)), size)
    found = [
        _search(Clip(clip.samples[start : start + size], clip.sample_rate_hz)) for start in starts
    ]
    # each part is one more chance for a false alarm
    log_bound = min(0.0, min(log for log, _ in found) + math.log(len(found)))
    limit = math.log(FALSE_ALARM)
    marked_s = sum(part_s for log, part_s in found if log + math.log(len(found)) <= limit)
    return Detection(
        marked=log_bound <= limit,
        log10_false_alarm=log_bound / math.log(10),
        marked_s=round(marked_s, 3),
        seconds=round(clip.seconds, 3),
    )


def _search(clip: Clip) -> tuple[float, float]:
    """Return the logarithm of the bound for the best hypothesis, and the seconds that it marks."""
    if clip.seconds < SHORTEST_S or not clip.samples.any():
        return 0.0, 0.0
    rows = features(clip)
    widths = (NARROW_BANDS, BANDS)
    found = [_search_bands(rows[:, :width], signs()[:, :width]) for width in widths]
    log, blocks = min(found)
    return log + math.log(len(widths)), min(clip.seconds, blocks * _BLOCK_SLOTS * SLOT_S)


def _search_bands(rows: Floats, pattern: Signs) -> tuple[float, int]:
    """Return the logarithm of the bound for the best path, and the number of blocks that it marks."""
    slots = len(rows) // SHIFTS
    shifted = rows[: slots * SHIFTS].reshape(slots, SHIFTS, -1)
    scores = _scores(shifted, pattern)
    energies = _by_block((shifted**2).sum(axis=2).mean(axis=1))
    scale = math.sqrt(max(float(energies.sum()), 1e-12) / (slots * pattern.shape[1]))
    best = (0.0, 0)
    for strength in _STRENGTHS:
        theta = strength / scale
        path = _path(theta * scores - theta**2 / 2 * energies[:, None])
        log = _log_bound(path, shifted, pattern)
        best = min(best, (log, int((path != _UNMARKED).sum())))
    return best


def _scores(shifted: Floats, pattern: Signs) -> Floats:
    """Return the scalar product of each block with the pattern at each offset, [blocks, shifts * slots]."""
    products = np.einsum("ksb,pb->skp", shifted, pattern, optimize=True)
    count = products.shape[1]
    rows = (np.arange(count)[:, None] + np.arange(SLOTS)) % SLOTS
    aligned = np.take_along_axis(products, np.broadcast_to(rows, products.shape), axis=2)
    return _by_block(aligned.transpose(1, 0, 2).reshape(count, -1))


def _by_block(rows: Floats) -> Floats:
    """Return the sums of the rows of each block."""
    sums: Floats = np.add.reduceat(rows, np.arange(0, len(rows), _BLOCK_SLOTS), axis=0)
    return sums


def _path(gains: Floats) -> Path:
    """Return the most likely state of each block for these log-likelihoods of the marked states."""
    gains = np.pad(gains, ((0, 0), (0, 1)))
    total = _LOG_START + gains[0]
    origins = []
    for gain in gains[1:]:
        leaving = int(np.argmax(total))
        moved = total[leaving] + _LOG_LEAVE
        stays = total + _LOG_STAY >= moved
        origins.append(np.where(stays, np.arange(_STATES), leaving))
        total = np.where(stays, total + _LOG_STAY, moved) + gain
    path = [int(np.argmax(total))]
    for origin in reversed(origins):
        path.append(int(origin[path[-1]]))
    return np.array(path[::-1])


def _log_bound(path: Path, shifted: Floats, pattern: Signs) -> float:
    """Return the logarithm of the bound for one path; 0 if it marks nothing."""
    states = np.repeat(path, _BLOCK_SLOTS)[: len(shifted)]
    marked = np.flatnonzero(states != _UNMARKED)
    sums = np.zeros(pattern.shape)
    phases = (marked + states[marked] % SLOTS) % SLOTS
    np.add.at(sums, phases, shifted[marked, states[marked] // SLOTS])
    length = math.sqrt(float((sums**2).sum()))
    product = float((sums * pattern).sum())
    if product <= 0 or length == 0:
        return 0.0
    moves = int((np.diff(path) != 0).sum())
    log_prior = _LOG_START + moves * _LOG_LEAVE + (len(path) - 1 - moves) * _LOG_STAY
    return min(0.0, -((product / length) ** 2) / 2 - log_prior)
