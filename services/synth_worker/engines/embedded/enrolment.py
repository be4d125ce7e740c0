"""From reference clips to a voice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.common.audio.clip import Clip, Samples
from services.common.audio.resample import resample
from services.common.wire.failures import UnusableReference
from services.synth_worker.engines.embedded import envelope, speaker_encoder
from services.synth_worker.engines.embedded.activity import without_pauses
from services.synth_worker.engines.embedded.pitch import track_pitch
from services.synth_worker.engines.embedded.speaker_encoder import SpeakerEncoder
from services.synth_worker.engines.embedded.spectra import Floats
from services.synth_worker.engines.embedded.tuner import Tuner, tuner_inputs
from services.synth_worker.engines.embedded.voice import ClonedVoice

_RATE_HZ: Final = envelope.RATE_HZ
_LEAST_VOICED_SECONDS: Final = 0.8
_MOST_SECONDS: Final = 30.0
_ADVICE: Final = "Send at least 6 s of one person speaking, without music."

_STARTS: Final = 4
_STEPS: Final = 120
_LEARNING_RATE: Final = 0.05
_DISTANCE_PENALTY: Final = 0.05  # far from the stock voices Kokoro speaks badly
_ADAM: Final = (0.9, 0.999)


@dataclass(frozen=True, eq=False)
class Enrolment:
    """Listens to references. `space` is the asset of the style space."""

    encoder: SpeakerEncoder
    tuner: Tuner
    space: Mapping[str, Floats]

    def enrol(self, clips: Sequence[Clip]) -> ClonedVoice:
        """Compute a voice from clips of one speaker. Raises UnusableReference where they hold no voice."""
        speech = _speech(clips)
        pitch = track_pitch(Clip(speech, _RATE_HZ))
        if pitch.voiced_seconds < _LEAST_VOICED_SECONDS:
            raise UnusableReference(f"There is no voice in the reference audio. {_ADVICE}")
        low = resample(Clip(speech, _RATE_HZ), speaker_encoder.SAMPLE_RATE_HZ).samples
        bands = envelope.bands_within(envelope.bandwidth_hz(speech))
        return ClonedVoice(
            timbre=self.timbre(self.encoder.embed(low), pitch.median_hz),
            pitch_hz=pitch.median_hz,
            bands=bands,
            cepstra=envelope.cepstra_of(envelope.power_of(speech), bands),
        )

    def timbre(self, embedding: Floats, pitch_hz: float) -> Floats:
        """Search the timbre [128] whose predicted embedding is nearest to `embedding` [256], near the stock voices.

        Adam (Kingma & Ba, 2015) from the four best stock voices at once.
        """
        prosody = self._prosody(embedding, pitch_hz)
        cosine, _ = self.tuner.similarity(tuner_inputs(self.space["timbre_stock"], prosody, pitch_hz), embedding)
        points = self.space["timbre_stock"][np.argsort(-cosine)[:_STARTS]].copy()
        first, second = np.zeros_like(points), np.zeros_like(points)
        for step in range(1, _STEPS + 1):
            _, slope = self._loss(points, prosody, pitch_hz, embedding)
            first = _ADAM[0] * first + (1 - _ADAM[0]) * slope
            second = _ADAM[1] * second + (1 - _ADAM[1]) * slope**2
            points -= (
                _LEARNING_RATE * (first / (1 - _ADAM[0] ** step)) / (np.sqrt(second / (1 - _ADAM[1] ** step)) + 1e-8)
            )
        losses, _ = self._loss(points, prosody, pitch_hz, embedding)
        best: Floats = self.space["timbre_mean"] + points[losses.argmin()] @ self.space["timbre_axes"]
        return best.astype(np.float32)

    def _loss(self, points: Floats, prosody: Floats, pitch_hz: float, target: Floats) -> tuple[Floats, Floats]:
        cosine, slope = self.tuner.similarity(tuner_inputs(points, prosody, pitch_hz), target)
        count = points.shape[1]
        loss = -cosine + _DISTANCE_PENALTY * (points**2).mean(axis=1)
        return loss, -slope[:, :count] + 2 * _DISTANCE_PENALTY / count * points

    def _prosody(self, embedding: Floats, pitch_hz: float) -> Floats:
        """The prosody coordinates of the stock voices of the speaker's register, on average."""
        cosine, _ = self.tuner.similarity(
            np.concatenate(
                [
                    tuner_inputs(timbre[None], prosody, pitch_hz)
                    for timbre, prosody in zip(self.space["timbre_stock"], self.space["prosody_stock"], strict=True)
                ]
            ),
            embedding,
        )
        best: Floats = self.space["prosody_stock"][np.argsort(-cosine)[:8]].mean(axis=0)
        return best


def _speech(clips: Sequence[Clip]) -> Samples:
    """All the speech in `clips`, without pauses, 24 kHz, at most 30 s."""
    parts = [without_pauses(resample(clip, _RATE_HZ).samples, _RATE_HZ) for clip in clips]
    speech = np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)
    return speech[: int(_MOST_SECONDS * _RATE_HZ)]
