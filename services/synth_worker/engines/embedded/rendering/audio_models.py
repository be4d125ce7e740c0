"""The audio half of Kokoro, resident: in ONNX Runtime, or, on processors with 8-bit dot products, in OpenVINO."""

import importlib
import sys
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import onnxruntime as ort

from services.common.audio.clip import Samples
from services.common.audio.spectra import Floats
from services.common.wire.failures import EngineUnavailable
from services.synth_worker.engines.embedded.rendering import graph
from services.synth_worker.engines.embedded.rendering.prosody import Prosody

# Without these, 8-bit products of OpenVINO overflow in between.
_DOT_PRODUCTS: Final = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
_PROCESSORS: Final = Path("/proc/cpuinfo")


class AudioHalf(Protocol):
    """Renders a prosody in a timbre."""

    def __call__(self, prosody: Prosody, style: Floats) -> Samples:
        """Return samples at 24 kHz, 600 a frame; `style` is float32 [256]."""
        ...


class OnnxAudio:
    """One session of ONNX Runtime."""

    def __init__(self, file: Path, threads: int) -> None:
        """Load the file. Raises EngineUnavailable where it cannot be read."""
        self._session = onnx_session(file, threads)

    def __call__(self, prosody: Prosody, style: Floats) -> Samples:
        """Return samples at 24 kHz, 600 a frame; `style` is float32 [256]."""
        inputs = {
            graph.CONTENT: prosody.content,
            graph.PITCH: prosody.pitch_hz,
            graph.ENERGY: prosody.energy,
            "style": style[None],
        }
        samples: Samples = self._session.run(["audio"], inputs)[0]
        return samples


class OpenVinoAudio:
    """OpenVINO for the body, ONNX Runtime for the parts before and after it, which need float32."""

    def __init__(self, files: tuple[Path, ...], threads: int, precision: str | None = None) -> None:
        """Load and compile the files (source, body, tail). Raises EngineUnavailable where they cannot be read.

        `precision` is that of the operators that are not 8-bit, "bf16" or "f32"; none is bf16 where the processor
        computes with it.
        """
        source, body, tail = files
        self._source = onnx_session(source, threads)
        self._tail = onnx_session(tail, threads)
        self._made = [output.name for output in self._source.get_outputs()]
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
            compiled = core.compile_model(core.read_model(str(body)), "CPU", settings)
        except RuntimeError as error:
            raise _unreadable(body) from error
        self._body = compiled.create_infer_request()

    def __call__(self, prosody: Prosody, style: Floats) -> Samples:
        """Return samples at 24 kHz, 600 a frame; `style` is float32 [256]."""
        made = self._source.run(self._made, {graph.PITCH: prosody.pitch_hz, "style": style[None]})
        inputs = dict(zip(self._made, made, strict=True)) | {
            graph.CONTENT: prosody.content,
            graph.PITCH: prosody.pitch_hz,
            graph.ENERGY: prosody.energy,
        }
        self._body.infer({name: np.ascontiguousarray(value) for name, value in inputs.items()})
        features = self._body.get_output_tensor(0).data
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
