"""Lets the guard of the XTTS engine watch a recording as if the engine had synthesized it."""

from typing import Final

import numpy as np

from benchmarks.guard_recordings import Recording
from benchmarks.quality.references import RATE_HZ
from services.synth_worker.engines.xtts.decoder.guard import (
    CODES_PER_SECOND,
    LengthLimits,
    RunawayGuard,
)

_STEP_S: Final = 0.1  # between two looks of the guard; the engine's are longer
_MOST_CODES: Final = 602
_VARIED: Final = [
    (7 * index * index + index) % 1000 for index in range(10 * _MOST_CODES)
]  # no loop


def watched(recording: Recording, speed: float, limits: LengthLimits | None = None) -> str | None:
    """Return the fault that the guard finds in a recording that is played at this speed; None if it finds none."""
    characters = len(recording.text) or 10 * _MOST_CODES  # without a text no length is judged
    guard = RunawayGuard(
        characters, recording.language, RATE_HZ, 10 * _MOST_CODES, speed=speed, limits=limits
    )
    slow = np.repeat(recording.samples, round(1 / speed))
    step = round(_STEP_S * RATE_HZ)
    codes: list[int] = []
    for begin in range(0, len(slow), step):
        guard.add_audio(slow[begin : begin + step])
        # the codes are those of the speech before it is slowed down
        codes = _VARIED[: round((begin + step) / RATE_HZ * speed * CODES_PER_SECOND)]
        fault = guard.fault(codes, stopped=False)
        if fault:
            return fault
    return guard.fault(codes, stopped=True) if recording.text else None


def expected_s(recording: Recording) -> float:
    """Return how long the guard expects the text to be."""
    one = RunawayGuard(1_000, recording.language, RATE_HZ, 10**9)
    return len(recording.text) / 1_000 * one.expected_s
