"""Rendering of one sentence, window by window."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from services.common.audio.clip import Samples
from services.common.audio.spectra import Floats
from services.synth_worker.engines.embedded.rendering import envelope
from services.synth_worker.engines.embedded.rendering.envelope import EnvelopeFilter, Statistics
from services.synth_worker.engines.embedded.rendering.kokoro import Kokoro
from services.synth_worker.engines.embedded.rendering.levels import limited, sentence_gain
from services.synth_worker.engines.embedded.rendering.prosody import (
    Prosody,
    cut_prosody,
    moved_pitch,
    voiced_at,
)
from services.synth_worker.engines.embedded.rendering.seams import Seams
from services.synth_worker.engines.embedded.rendering.timing import SentenceTiming
from services.synth_worker.engines.embedded.rendering.windows import Window, plan_windows
from services.synth_worker.engines.embedded.voices.styles import Recolouring, StockStyles


@dataclass(frozen=True, eq=False)
class RenderOptions:
    """The voice and parameters of a sentence."""

    language: str
    stock_name: str
    pitch_scale: np.float32
    recolouring: Recolouring | None  # none leaves the stock voice's timbre
    filter: EnvelopeFilter | None
    speed: float = 1.0  # 2 makes the audio about half as long


def render(
    kokoro: Kokoro,
    styles: StockStyles,
    options: RenderOptions,
    parts: Sequence[Sequence[int]],
    timing: SentenceTiming,
) -> Iterator[Samples]:
    """Speak the token parts of one sentence: yields 24 kHz samples as they are made, and notes their times.

    Depends on nothing but its arguments: equal ones give equal bytes.
    """
    for tokens in parts:
        stock = styles.style(options.stock_name, len(tokens))
        prosody = moved_pitch(
            kokoro.prosody(list(tokens), stock, options.speed), options.pitch_scale
        )
        style = stock if options.recolouring is None else options.recolouring.of(stock)
        yield from _PartRenderer(kokoro, prosody, style, options).windows(timing)
        timing.end_part(prosody)


class _PartRenderer:
    """A stretch whose prosody was predicted as a whole."""

    def __init__(
        self, kokoro: Kokoro, prosody: Prosody, style: Floats, options: RenderOptions
    ) -> None:
        self._prosody = prosody
        self._speech = kokoro.speech(prosody, style)
        self._predicted_lufs = kokoro.predicted_lufs(self._speech)
        self._filter = options.filter
        self._shares = envelope.shares_for(options.language)
        self._seams = Seams()
        self._statistics: Statistics | None = None
        self._gain: float | None = None

    def windows(self, timing: SentenceTiming) -> Iterator[Samples]:
        plan = plan_windows(self._prosody)
        for window in plan:
            timing.begin_window(window)
            raw = self._speech.samples(*window.rendered)
            samples = self._window(window, raw, last=window is plan[-1])
            timing.samples += len(samples)
            yield samples

    def _window(self, window: Window, raw: Samples, last: bool) -> Samples:
        part = cut_prosody(self._prosody, *window.rendered)
        filtered = self._filtered(raw, part)
        begin, end = window.output_samples
        if self._gain is None:
            whole = self._speech.spoken.energy[0]
            self._gain = sentence_gain(filtered, part.energy[0], whole, self._predicted_lufs)
        return limited(self._seams.join(filtered, begin, end, last) * np.float32(self._gain))

    def _filtered(self, raw: Samples, part: Prosody) -> Samples:
        if self._filter is None:
            return raw
        filtered, self._statistics = self._filter.apply(
            raw, voiced_at(part, envelope.HOP), self._statistics, self._shares
        )
        return filtered
