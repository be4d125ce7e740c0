"""The audio half of Kokoro, resident: in ONNX Runtime, or, on processors with 8-bit dot products, in OpenVINO."""

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import onnxruntime as ort

from services.common.audio.clip import Samples
from services.common.audio.spectra import Floats
from services.common.wire.failures import EngineUnavailable
from services.synth_worker.engines.embedded.rendering import graph
from services.synth_worker.engines.embedded.rendering.normalizations import DEVIATIONS, MEANS
from services.synth_worker.engines.embedded.rendering.prosody import Prosody

# Without these, 8-bit products of OpenVINO overflow in between.
_DOT_PRODUCTS: Final = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
_PROCESSORS: Final = Path("/proc/cpuinfo")


class Body(Protocol):
    """The part of the audio half that has nearly all of the work."""

    def __call__(self, inputs: Mapping[str, Floats]) -> Floats:
        """Return the features [1, 128, 120 * frames + 1] of a window."""
        ...


class OnnxBody:
    """The body in ONNX Runtime."""

    def __init__(self, file: Path, threads: int) -> None:
        """Load the file. Raises EngineUnavailable where it cannot be read."""
        self._session = onnx_session(file, threads)

    def __call__(self, inputs: Mapping[str, Floats]) -> Floats:
        """Return the features [1, 128, 120 * frames + 1] of a window."""
        features: Floats = self._session.run([graph.FEATURES], dict(inputs))[0]
        return features


class OpenVinoBody:
    """The body in OpenVINO."""

    def __init__(self, file: Path, threads: int, precision: str | None = None) -> None:
        """Load and compile the file. Raises EngineUnavailable where it cannot be read.

        `precision` is that of the operators that are not 8-bit, "bf16" or "f32"; none is bf16 where the processor
        computes with it.
        """
        core = import_openvino().Core()
        settings: dict[str, Any] = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            # several workers would be pinned to the same cores
            "ENABLE_CPU_PINNING": False,
            # code made for lengths that were met; without a bound it grows by 4 MiB for every length
            "CPU_RUNTIME_CACHE_CAPACITY": "500",
        }
        if precision is not None:
            settings["INFERENCE_PRECISION_HINT"] = precision
        try:
            compiled = core.compile_model(core.read_model(str(file)), "CPU", settings)
        except RuntimeError as error:
            raise _unreadable(file) from error
        self._request = compiled.create_infer_request()

    def __call__(self, inputs: Mapping[str, Floats]) -> Floats:
        """Return the features [1, 128, 120 * frames + 1] of a window; the next call overwrites them."""
        self._request.infer({name: np.ascontiguousarray(value) for name, value in inputs.items()})
        features: Floats = self._request.get_output_tensor(0).data
        return features


class AudioHalf:
    """The parts of the audio half, resident: all but the body in ONNX Runtime."""

    def __init__(self, files: graph.GraphFiles, body: Body, threads: int) -> None:
        """Load the files. Raises EngineUnavailable where one cannot be read."""
        self._conditions = onnx_session(files.conditions, threads)
        self._source = onnx_session(files.source, threads)
        self._body = body
        self._tail = onnx_session(files.tail, threads)
        self._named = [output.name for output in self._conditions.get_outputs()]

    def conditions(
        self, prosody: Prosody, style: Floats, means: Floats, deviations: Floats
    ) -> dict[str, Floats]:
        """Return what every window of a sentence needs of its whole prosody, its style and its statistics."""
        given = {"style": style[None], MEANS: means, DEVIATIONS: deviations}
        found = self._conditions.run(self._named, graph.audio_inputs(prosody) | given)
        return dict(zip(self._named, found, strict=True))

    def harmonics(self, pitch_hz: Floats) -> Floats:
        """Return the voice source of a pitch [1, 2 * frames] from phase zero: [1, 22, 120 * frames + 1]."""
        found: Floats = self._source.run([graph.HARMONICS], {graph.PITCH: pitch_hz})[0]
        return found

    def samples(
        self, prosody: Prosody, harmonics: Floats, conditions: Mapping[str, Floats]
    ) -> Samples:
        """Render a window of a sentence: samples at 24 kHz, 600 a frame."""
        inputs = {**graph.audio_inputs(prosody), graph.HARMONICS: harmonics, **conditions}
        features = self._body(inputs)
        samples: Samples = self._tail.run(["audio"], {graph.FEATURES: features})[0]
        return samples


def import_openvino() -> Any:
    """Import OpenVINO without its telemetry, which reports every import to its authors."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return importlib.import_module("openvino")


def best_runtime() -> graph.Runtime:
    """Return the faster runtime of those that compute correctly on this processor."""
    try:
        lines = _PROCESSORS.read_text(encoding="utf-8").split("\n")
    except OSError:  # not Linux
        return "onnxruntime"
    flags = {flag for line in lines if line.startswith("flags") for flag in line.split()}
    return "openvino" if flags & _DOT_PRODUCTS else "onnxruntime"


def onnx_session(path: Path, threads: int) -> ort.InferenceSession:
    """Load a model into ONNX Runtime. Raises EngineUnavailable where its file cannot be read."""
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
        raise _unreadable(path) from error


def _unreadable(path: Path) -> EngineUnavailable:
    return EngineUnavailable(f"the model file {path} cannot be read; delete it and start again")
