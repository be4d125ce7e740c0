"""The tuner's training set: random voices, and the speaker encoder's embeddings of their speech."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from services.common.audio import speaker_encoder
from services.common.audio.clip import Clip
from services.common.audio.resample import resample
from services.common.audio.speaker_encoder import SpeakerEncoder
from services.common.audio.spectra import Floats
from services.synth_worker.engines.embedded.rebuild.sentences import SENTENCES
from services.synth_worker.engines.embedded.rebuild.training import Pairs
from services.synth_worker.engines.embedded.rendering.kokoro import SAMPLE_RATE_HZ, Kokoro
from services.synth_worker.engines.embedded.rendering.prosody import moved_pitch, voiced_pitch
from services.synth_worker.engines.embedded.voices.activity import without_pauses
from services.synth_worker.engines.embedded.voices.tuner import tuner_inputs

CLIPS: Final = 800
_SEED: Final = 20_240_817
_PITCH_SPREAD: Final = 0.18  # standard deviation of ln(scale)
_PITCH_SCALE: Final = (0.6, 1.6)


@dataclass(frozen=True, eq=False)
class SyntheticVoice:
    """One random voice: where it lies in style space, and how much its pitch is moved."""

    timbre: Floats  # [40]
    prosody: Floats  # [16]
    pitch_scale: float


@dataclass(frozen=True, eq=False)
class Speakers:
    """The models that turn a random voice into a training pair."""

    kokoro: Kokoro
    encoder: SpeakerEncoder
    space: Mapping[str, Floats]

    def pair(self, voice: SyntheticVoice, tokens: list[int]) -> tuple[float, Floats]:
        """Speak `tokens` in `voice`: the median pitch in Hz, and the embedding [256] of the audio."""
        style = style_of(voice, self.space)
        prosody = moved_pitch(self.kokoro.prosody(tokens, style), np.float32(voice.pitch_scale))
        samples = self.kokoro.audio(prosody, style)
        low = resample(Clip(samples, SAMPLE_RATE_HZ), speaker_encoder.SAMPLE_RATE_HZ).samples
        speech = without_pauses(low, speaker_encoder.SAMPLE_RATE_HZ)
        return float(np.median(voiced_pitch(prosody))), self.encoder.embed(speech)


def style_of(voice: SyntheticVoice, space: Mapping[str, Floats]) -> Floats:
    """Return the style of a random voice, float32 [256]."""
    halves = (("timbre", voice.timbre), ("prosody", voice.prosody))
    return np.concatenate(
        [
            space[f"{name}_mean"] + coordinates @ space[f"{name}_axes"]
            for name, coordinates in halves
        ]
    )


def random_voice(index: int, space: Mapping[str, Floats]) -> SyntheticVoice:
    """Draw voice number `index`: a stock voice with noise, a mix of two or three, or a point anywhere."""
    generator = np.random.default_rng([_SEED, index])
    stock, prosody = space["timbre_stock"], space["prosody_stock"]
    weights = generator.dirichlet(np.ones(int(generator.integers(1, 4))))
    chosen = generator.choice(len(stock), len(weights), replace=False)
    spread = generator.uniform(0.1, 0.7)
    timbre = np.asarray(weights @ stock[chosen] + generator.normal(0, spread, stock.shape[1]))
    if index % 3 == 2:  # a point anywhere
        timbre = np.asarray(generator.normal(0, generator.uniform(0.6, 1.1), stock.shape[1]))
    other = (
        prosody[generator.choice(len(prosody), 2)].mean(axis=0) if index % 2 else prosody[chosen[0]]
    )
    scale = float(np.clip(np.exp(generator.normal(0, _PITCH_SPREAD)), *_PITCH_SCALE))
    return SyntheticVoice(timbre.astype(np.float32), other.astype(np.float32), scale)


def training_pairs(speakers: Speakers, vocabulary: Mapping[str, int], kept: Path) -> Pairs:
    """Speak all training clips, or find those of an earlier run in the folder `kept`."""
    kept.mkdir(parents=True, exist_ok=True)
    pairs = [
        _kept_pair(speakers, vocabulary, kept / f"{index:05}.npz", index) for index in range(CLIPS)
    ]
    return Pairs(np.stack([one for one, _ in pairs]), np.stack([other for _, other in pairs]))


def _kept_pair(
    speakers: Speakers, vocabulary: Mapping[str, int], path: Path, index: int
) -> tuple[Floats, Floats]:
    voice = random_voice(index, speakers.space)
    if not path.exists():
        tokens = [vocabulary[symbol] for symbol in SENTENCES[index % len(SENTENCES)]]
        hz, embedding = speakers.pair(voice, tokens)
        np.savez(path, hz=hz, embedding=embedding)
    with np.load(path) as found:
        inputs = tuner_inputs(voice.timbre[None], voice.prosody, float(found["hz"]))[0]
        return inputs, found["embedding"]
