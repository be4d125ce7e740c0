"""The resident model: prosody from text, and audio from prosody."""

from pathlib import Path
from typing import Final

import numpy as np

from services.common.audio.clip import Samples
from services.common.audio.spectra import Floats
from services.synth_worker.engines.embedded.rendering import graph
from services.synth_worker.engines.embedded.rendering.audio_models import (
    AudioHalf,
    OnnxAudio,
    OpenVinoAudio,
    best_runtime,
    onnx_session,
)
from services.synth_worker.engines.embedded.rendering.prosody import Prosody

SAMPLE_RATE_HZ: Final = 24_000


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
        self._audio: AudioHalf = (
            OnnxAudio(files.audio[0], threads)
            if runtime == "onnxruntime"
            else OpenVinoAudio(files.audio, threads)
        )

    def prosody(self, tokens: list[int], style: Floats, speed: float = 1.0) -> Prosody:
        """Predict durations, pitch and energy for at most 510 `tokens` in a style (float32 [256])."""
        inputs = {
            "tokens": np.array([[0, *tokens, 0]], dtype=np.int64),
            "style": style[None],
            "speed": np.array([speed], dtype=np.float32),
        }
        content, pitch, energy = self._prosody.run(
            [graph.CONTENT, graph.PITCH, graph.ENERGY], inputs
        )
        return Prosody(content=content, pitch_hz=pitch, energy=energy)

    def audio(self, prosody: Prosody, style: Floats) -> Samples:
        """Render `prosody` in the timbre of a style (float32 [256]): samples at 24 kHz, 600 a frame."""
        return self._audio(prosody, style)
