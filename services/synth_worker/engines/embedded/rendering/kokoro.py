"""The resident model: prosody from text, and audio from prosody."""

from pathlib import Path
from typing import Final

from services.common.audio.clip import Samples
from services.common.audio.spectra import Floats
from services.synth_worker.engines.embedded import assets
from services.synth_worker.engines.embedded.rendering import graph
from services.synth_worker.engines.embedded.rendering.audio_models import (
    AudioHalf,
    Body,
    OnnxBody,
    OpenVinoBody,
    best_runtime,
    onnx_session,
)
from services.synth_worker.engines.embedded.rendering.levels import LevelPredictor
from services.synth_worker.engines.embedded.rendering.prosody import Prosody, cut_prosody
from services.synth_worker.engines.embedded.rendering.statistics import (
    StatisticsPredictor,
    sentence_features,
)
from services.synth_worker.engines.embedded.rendering.windows import spoken_part

SAMPLE_RATE_HZ: Final = 24_000

_STEPS: Final = 120  # of the voice source, a frame
# The convolutions' padding is far from what their normalizations expect: a stretch begins with a spike.
_SPIKE_SAMPLES: Final = 100


class Kokoro:
    """Kokoro-82M, loaded."""

    def __init__(self, cache: Path, threads: int, runtime: graph.Runtime | None = None) -> None:
        """Load the model, preparing its files in `cache` at the first time.

        `threads` is the number of threads inside one operation; `runtime`, that of the audio, is the best for the
        processor where it is not given. Raises EngineUnavailable where the weights or the cache cannot be had, saying
        what to do.
        """
        runtime = runtime or best_runtime()
        files = graph.cut_graphs(cache, runtime)
        self._prosody = onnx_session(files.prosody, threads)
        body: Body = (
            OnnxBody(files.body, threads)
            if runtime == "onnxruntime"
            else OpenVinoBody(files.body, threads)
        )
        self._audio = AudioHalf(files, body, threads)
        self._statistics = StatisticsPredictor.from_arrays(assets.load_arrays(assets.STATISTICS))
        self._levels = LevelPredictor.from_arrays(assets.load_arrays(assets.LEVELS))

    def prosody(self, tokens: list[int], style: Floats, speed: float = 1.0) -> Prosody:
        """Predict durations, pitch and energy for at most 510 `tokens` in a style (float32 [256])."""
        inputs = graph.text_inputs(tokens, style, speed)
        content, pitch, energy = self._prosody.run(
            [graph.CONTENT, graph.PITCH, graph.ENERGY], inputs
        )
        return Prosody(content=content, pitch_hz=pitch, energy=energy)

    def speech(self, prosody: Prosody, style: Floats) -> "PartAudio":
        """Prepare to render stretches of `prosody` in the timbre of a style (float32 [256])."""
        return PartAudio(self._audio, self._statistics, prosody, style)

    def predicted_lufs(self, speech: "PartAudio") -> float:
        """Predict the loudness of what `speech` renders."""
        return self._levels.predict(speech.features)

    def audio(self, prosody: Prosody, style: Floats) -> Samples:
        """Render `prosody` in the timbre of a style (float32 [256]): samples at 24 kHz, 600 a frame."""
        return self.speech(prosody, style).samples(0, prosody.content.shape[2])


class PartAudio:
    """The audio of a prosody, of which any stretch can be rendered: where stretches meet, they agree.

    `spoken` is the prosody without the silence around it, and `features` [677] is what predictions of it are made of.
    """

    def __init__(
        self,
        half: AudioHalf,
        statistics: StatisticsPredictor,
        prosody: Prosody,
        style: Floats,
    ) -> None:
        self._half = half
        self._prosody = prosody
        self.spoken = spoken_part(prosody)
        self.features = sentence_features(self.spoken, style)
        given = statistics.predict(self.features)
        self._conditions = half.conditions(self.spoken, style, *given)
        self._frames = prosody.content.shape[2]
        self._harmonics: Floats | None = None

    def samples(self, first: int, stop: int) -> Samples:
        """Render the frames `first` to `stop`: samples at 24 kHz, 600 a frame.

        The edges are right only from about 8 frames on, unless they are those of the prosody.
        """
        steps = slice(_STEPS * first, _STEPS * stop + 1)
        harmonics = self._harmonics_until(stop)[:, :, steps]
        part = cut_prosody(self._prosody, first, stop)
        samples = self._half.samples(part, harmonics, self._conditions)
        samples[:_SPIKE_SAMPLES] = 0
        return samples

    def _harmonics_until(self, stop: int) -> Floats:
        """Return the voice source from the beginning to a frame at least: its phase runs through all stretches."""
        if self._harmonics is None or self._harmonics.shape[2] <= _STEPS * stop:
            # for the first stretch only what it needs, which is what comes first
            end = stop if self._harmonics is None else self._frames
            self._harmonics = self._half.harmonics(self._prosody.pitch_hz[:, : 2 * end])
        return self._harmonics
