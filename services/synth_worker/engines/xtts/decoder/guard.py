"""Detects a sentence that goes wrong while it is being decoded. Pure.

An autoregressive model sometimes fails to stop, falls into a loop, trails off into silence or stops in
the middle. A guard inspects the codes so far and reports the fault. It depends only on the sentence, its
codes and its audio, so a redelivered sentence gets the same verdict and the same repair.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from services.common.audio.clip import Samples
from services.common.wire.estimate import characters_per_second
from services.common.wire.languages import LANGUAGES

Fault = Literal["runaway", "loop", "silence", "short"]

CODES_PER_SECOND: Final = 22_050 / 1024
# The rates of the common estimate, with the figures of `python -m benchmarks.speaking_rates` (which
# measures them with the embedded engine) where that estimate rounds several languages to one rate.
_CHARACTERS_PER_SECOND: Final = {language: characters_per_second(language) for language in LANGUAGES} | {
    "fr": 15, "en": 15, "es": 15, "tr": 13, "ru": 13, "cs": 13, "hu": 13, "ko": 6,
}  # fmt: skip
_CHARACTERS_PER_SECOND_ELSEWHERE: Final = 13
# Languages whose rates no recording has confirmed, so their limits are wider.
_UNCONFIRMED: Final = ("ar", "hi", "ja", "ko", "zh")
_JUDGED_S: Final = 1.0
_LOOP_CODES: Final = 32  # this many repeating codes are a loop
_LOOP_PERIODS: Final = (1, 2, 3, 4)
_SILENCE_S: Final = 1.5  # longer than any natural pause within a sentence
_QUIET: Final = 10 ** (-50 / 20)


@dataclass(frozen=True)
class LengthLimits:
    """Lengths of a sentence that are no fault, for the expected length of its text.

    `python -m benchmarks.guard_limits` compares them with human recordings.
    """

    longest: float = 1.75  # times the expected length
    slack_s: float = 2.0  # in addition, for a drawn-out word and the pauses of a short sentence
    shortest: float = 0.35  # times the expected length; for sentences of a second or more


_WIDER: Final = LengthLimits(longest=2.5, shortest=0.25)


class RunawayGuard:
    """Watches the decoding of one sentence."""

    def __init__(
        self,
        characters: int,
        language: str,
        sample_rate_hz: int,
        most_codes: int,
        *,
        speed: float = 1.0,
        limits: LengthLimits | None = None,
    ) -> None:
        """Watch a sentence of so many spoken characters and at most `most_codes` codes.

        `speed` stretches the audio that `add_audio` receives, and the natural pauses in it, but not the codes. `limits`
        are for other lengths than those of the language.
        """
        usual = _WIDER if language in _UNCONFIRMED else LengthLimits()
        self._limits = limits or usual
        rate = _CHARACTERS_PER_SECOND.get(language, _CHARACTERS_PER_SECOND_ELSEWHERE)
        self.expected_s = characters / rate
        self._most_quiet_samples = _SILENCE_S / min(speed, 1.0) * sample_rate_hz
        self._quiet_samples = 0
        longest_s = self.expected_s * self._limits.longest + self._limits.slack_s
        self._most_codes = min(most_codes, int(longest_s * CODES_PER_SECOND))

    def add_audio(self, samples: Samples) -> None:
        """Record vocoded audio, float32 [n]."""
        loud = np.flatnonzero(np.abs(samples) > _QUIET)
        self._quiet_samples = (
            len(samples) - 1 - int(loud[-1]) if len(loud) else self._quiet_samples + len(samples)
        )

    def fault(self, codes: Sequence[int], *, stopped: bool) -> Fault | None:
        """Return the fault in the codes so far, if any; `stopped`: the model ended the sentence."""
        if stopped:
            too_short = len(codes) < self.expected_s * self._limits.shortest * CODES_PER_SECOND
            return "short" if too_short and self.expected_s >= _JUDGED_S else None
        if len(codes) >= self._most_codes:
            return "runaway"
        if _repeats(codes[-_LOOP_CODES:]):
            return "loop"
        return "silence" if self._quiet_samples > self._most_quiet_samples else None

    def start_again(self) -> None:
        """Reset the trailing silence: the audio that follows is generated again."""
        self._quiet_samples = 0


def _repeats(codes: Sequence[int]) -> bool:
    return len(codes) == _LOOP_CODES and any(
        codes[period:] == codes[:-period] for period in _LOOP_PERIODS
    )
