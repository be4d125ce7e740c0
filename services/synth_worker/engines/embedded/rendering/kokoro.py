"""The resident model: two ONNX Runtime sessions."""

from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime as ort

from services.common.audio.clip import Samples
from services.common.audio.spectra import Floats
from services.common.wire.failures import EngineUnavailable
from services.synth_worker.engines.embedded.rendering import graph
from services.synth_worker.engines.embedded.rendering.prosody import Prosody

SAMPLE_RATE_HZ: Final = 24_000


class Kokoro:
    """Kokoro-82M, loaded. `threads` is the number of threads inside one operation."""

    def __init__(self, cache: Path, threads: int) -> None:
        """Load the model, preparing its files in `cache` at the first time.

        Raises EngineUnavailable where the weights or the cache cannot be had, saying what to do.
        """
        files = graph.cut_graphs(cache)
        self._prosody = _session(files.prosody, threads)
        self._audio = _session(files.audio, threads)

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
        inputs = {
            graph.CONTENT: prosody.content,
            graph.PITCH: prosody.pitch_hz,
            graph.ENERGY: prosody.energy,
            "style": style[None],
        }
        samples: Samples = self._audio.run(["audio"], inputs)[0]
        return samples


def _session(path: Path, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A spinning thread takes the core from the other workers on the machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # CPUs without 8-bit dot products would saturate in the middle of signed products: use exact ones there.
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except (
        ort.capi.onnxruntime_pybind11_state.Fail,
        ort.capi.onnxruntime_pybind11_state.InvalidProtobuf,
    ) as error:
        raise EngineUnavailable(
            f"the model file {path} cannot be read; delete it and start again"
        ) from error
