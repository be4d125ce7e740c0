"""From reference clips to a voice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.common.audio import speaker_encoder
from services.common.audio.clip import Clip, Samples
from services.common.audio.resample import resample
from services.common.audio.speaker_encoder import SpeakerEncoder
from services.common.audio.spectra import Floats
from services.common.wire.failures import UnusableReference
from services.synth_worker.engines.embedded.rendering import envelope
from services.synth_worker.engines.embedded.rendering.prosody import pitch_scale
from services.synth_worker.engines.embedded.voices.activity import without_pauses
from services.synth_worker.engines.embedded.voices.pitch import track_pitch
from services.synth_worker.engines.embedded.voices.search import Start, coordinates, descend
from services.synth_worker.engines.embedded.voices.styles import HOLD, StockStyles, is_low_voice
from services.synth_worker.engines.embedded.voices.tuner import (
    TIMBRE_COORDINATES,
    Tuner,
    tuner_inputs,
)
from services.synth_worker.engines.embedded.voices.voice import ClonedVoice

_RATE_HZ: Final = envelope.RATE_HZ
_LEAST_VOICED_SECONDS: Final = 0.8
_MOST_SECONDS: Final = 30.0
_ADVICE: Final = "send at least 6 s of one person speaking, without music"

_STARTS: Final = 4
_FREE_HOLD: Final = 0.05  # far from the stock voices Kokoro speaks badly
_PROSODIES: Final = 8


@dataclass(frozen=True, eq=False)
class Enrolment:
    """Listens to references.

    `space` is the asset of the style space, `stock_pitch` has the pitch in Hz of the stock voices in each language.
    """

    encoder: SpeakerEncoder
    tuner: Tuner
    space: Mapping[str, Floats]
    styles: StockStyles
    stock_pitch: Mapping[str, Mapping[str, float]]

    def enrol(self, clips: Sequence[Clip]) -> ClonedVoice:
        """Compute a voice from clips of one speaker. Raises UnusableReference where they hold no voice."""
        speech = _speech(clips)
        pitch = track_pitch(Clip(speech, _RATE_HZ))
        if pitch.voiced_seconds < _LEAST_VOICED_SECONDS:
            raise UnusableReference(f"there is no voice in the reference audio; {_ADVICE}")
        low_rate = resample(Clip(speech, _RATE_HZ), speaker_encoder.SAMPLE_RATE_HZ).samples
        bands = envelope.bands_within(envelope.bandwidth_hz(speech))
        embedding = self.encoder.embed(low_rate)
        likeness = self._likeness(embedding, pitch.median_hz)
        low = is_low_voice(likeness, pitch.median_hz)
        timbre, shifts = self._search(embedding, pitch.median_hz, likeness, low)
        return ClonedVoice(
            timbre=timbre,
            shifts=shifts,
            low=low,
            pitch_hz=pitch.median_hz,
            bands=bands,
            cepstra=envelope.cepstra_of(envelope.power_of(speech), bands),
        )

    def timbre(self, embedding: Floats, pitch_hz: float) -> Floats:
        """Search the timbre [128] whose predicted embedding is nearest to `embedding` [256], near the stock voices."""
        likeness = self._likeness(embedding, pitch_hz)
        return self._search(embedding, pitch_hz, likeness, is_low_voice(likeness, pitch_hz))[0]

    def _search(
        self, embedding: Floats, pitch_hz: float, likeness: Floats, low: bool
    ) -> tuple[Floats, dict[str, Floats]]:
        """The timbre from anywhere, [128], and for some languages the shift from their own stock timbre, [128]."""
        free = self._free_starts(embedding, pitch_hz, likeness)
        held = [self._held_start(language, pitch_hz, low) for language in HOLD]
        points, losses = descend(self.tuner, [*free, *held], embedding)
        axes = self.space["timbre_axes"]
        best = self.space["timbre_mean"] + points[losses[:_STARTS].argmin()] @ axes
        found = zip(HOLD, held, points[_STARTS:], strict=True)
        return best, {language: (point - start.home) @ axes for language, start, point in found}

    def _free_starts(self, embedding: Floats, pitch_hz: float, likeness: Floats) -> list[Start]:
        """The four stock timbres that come nearest with the prosody of the speaker's register."""
        prosody = self.space["prosody_stock"][np.argsort(-likeness)[:_PROSODIES]].mean(axis=0)
        inputs = tuner_inputs(self.space["timbre_stock"], prosody, pitch_hz)
        cosine, _ = self.tuner.similarity(inputs, embedding)
        middle = np.zeros(TIMBRE_COORDINATES, dtype=np.float32)
        return [Start(inputs[index], middle, _FREE_HOLD) for index in np.argsort(-cosine)[:_STARTS]]

    def _held_start(self, language: str, pitch_hz: float, low: bool) -> Start:
        """The language's own stock voice, at the pitch at which it will speak."""
        name = self.styles.name_for(language, low=low)
        timbre, prosody = coordinates(self.styles.typical(name), self.space)
        stock_hz = self.stock_pitch[language][name]
        spoken_hz = float(pitch_scale(pitch_hz, stock_hz)) * stock_hz
        return Start(tuner_inputs(timbre[None], prosody, spoken_hz)[0], timbre, HOLD[language])

    def _likeness(self, embedding: Floats, pitch_hz: float) -> Floats:
        """Cosines [54] with the stock voices of the style space, each speaking at the speaker's pitch."""
        voices = zip(self.space["timbre_stock"], self.space["prosody_stock"], strict=True)
        inputs = [tuner_inputs(timbre[None], prosody, pitch_hz) for timbre, prosody in voices]
        return self.tuner.similarity(np.concatenate(inputs), embedding)[0]


def _speech(clips: Sequence[Clip]) -> Samples:
    """All the speech in `clips`, without pauses, 24 kHz, at most 30 s: of several long ones the beginnings of all."""
    parts = [without_pauses(resample(clip, _RATE_HZ).samples, _RATE_HZ) for clip in clips]
    shares = fair_shares([len(part) for part in parts], int(_MOST_SECONDS * _RATE_HZ))
    speech = [part[:share] for part, share in zip(parts, shares, strict=True)]
    return np.concatenate(speech) if speech else np.zeros(0, dtype=np.float32)


def fair_shares(lengths: Sequence[int], most: int) -> list[int]:
    """Divide `most` among parts of these lengths: none gets more than it has, what it leaves goes to the longer."""
    shares = list(lengths)
    left = most
    for waiting, index in zip(
        range(len(lengths), 0, -1), np.argsort(lengths, kind="stable"), strict=True
    ):
        shares[index] = min(lengths[index], left // waiting)
        left -= shares[index]
    return shares
