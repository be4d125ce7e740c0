"""Kokoro cut into parts: text to prosody, and prosody to audio.

The export is one graph from tokens to samples. Cut where the predicted pitch leaves the text encoder, it becomes two
halves with plain arrays between them, so that pitch is moved by arithmetic on an array, the median pitch of a language
is known without rendering a sample, and audio can be rendered window by window. Cut there, the two halves give
the very samples of the whole (tests hold that), and neither has a random node: equal inputs give equal bytes.

The half that makes audio is rewritten (its normalizations, and its slow operators for one of two runtimes), and cut
into four: the conditions, which a sentence has once; the voice source; the body, which has nearly all of the work; and
the tail, which makes samples. Source and tail need all digits of float32: a phase is a long sum, and the quiet parts of
a spectrum are audible.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
import onnx
import structlog
from onnx import TensorProto, helper

from services.common.audio.spectra import Floats
from services.synth_worker.engines.embedded import assets
from services.synth_worker.engines.embedded.rendering.fixed_ranges import with_fixed_ranges
from services.synth_worker.engines.embedded.rendering.normalizations import (
    DEVIATIONS,
    MEANS,
    with_given_statistics,
)
from services.synth_worker.engines.embedded.rendering.prosody import Prosody
from services.synth_worker.engines.embedded.rendering.speedups import sped_up
from services.synth_worker.engines.embedded.weights import (
    SHA256,
    joined_weights,
    sha256_of,
    write_atomically,
)

log = structlog.get_logger()

# part of the cached files' names: raise it with every change here, in `speedups`, `fixed_ranges` or `normalizations`
VERSION: Final = "4"

CONTENT: Final = "/encoder/MatMul_1_output_0"  # float32 [1, 512, frames], one frame = 25 ms
PITCH: Final = "/encoder/Reshape_output_0"  # float32 [1, 2 * frames], Hz
ENERGY: Final = "/encoder/Reshape_1_output_0"  # float32 [1, 2 * frames]

# what the body takes and gives, besides the above and the conditions
HARMONICS: Final = "/decoder/decoder/generator/Concat_3_output_0"  # [1, 22, 120 * frames + 1]
FEATURES: Final = "/decoder/decoder/generator/LeakyRelu_2_output_0"  # [1, 128, 120 * frames + 1]

Runtime = Literal["onnxruntime", "openvino"]
RUNTIMES: Final[tuple[Runtime, ...]] = get_args(Runtime)

_TOKENS: Final = "tokens"
_STYLE: Final = "style"
_SPEED: Final = "speed"
_AUDIO: Final = "audio"
_SHAPES: Final[Mapping[str, Sequence[int | str]]] = {
    _TOKENS: (1, "tokens"),
    _STYLE: (1, 256),
    _SPEED: (1,),
    CONTENT: (1, 512, "frames"),
    PITCH: (1, "pitch_frames"),
    ENERGY: (1, "pitch_frames"),
    MEANS: (1, "channels", 1),
    DEVIATIONS: (1, "channels", 1),
    HARMONICS: (1, 22, "steps"),
    FEATURES: (1, 128, "steps"),
}


@dataclass(frozen=True)
class GraphFiles:
    """The files of the parts."""

    prosody: Path
    conditions: Path
    source: Path
    body: Path
    tail: Path

    def paths(self) -> tuple[Path, ...]:
        """Return all of them."""
        return self.prosody, self.conditions, self.source, self.body, self.tail


def text_inputs(tokens: Sequence[int], style: Floats, speed: float) -> dict[str, Any]:
    """Return `tokens`, a style (float32 [256]) and a speed as inputs of the export or of its half for the prosody."""
    return {
        _TOKENS: np.array([[0, *tokens, 0]], dtype=np.int64),
        _STYLE: style[None],
        _SPEED: np.array([speed], dtype=np.float32),
    }


def audio_inputs(prosody: Prosody) -> dict[str, Floats]:
    """Return a prosody as inputs of the audio half or of its body."""
    return {CONTENT: prosody.content, PITCH: prosody.pitch_hz, ENERGY: prosody.energy}


def cut_graphs(cache: Path, runtime: Runtime) -> GraphFiles:
    """Return the parts in `cache`; they are cut at the first time, and where they are damaged.

    Raises EngineUnavailable where the weights cannot be had, or the cache cannot be written.
    """
    stem = f"kokoro-{SHA256[:16]}-cut-{VERSION}"
    ranges = assets.checksums()[assets.ACTIVATION_RANGES][:8]
    form = f"openvino-{ranges}" if runtime == "openvino" else runtime
    files = GraphFiles(
        prosody=cache / f"{stem}-prosody.onnx",
        conditions=cache / f"{stem}-{form}-conditions.onnx",
        source=cache / f"{stem}-{form}-source.onnx",
        body=cache / f"{stem}-{form}-body.onnx",
        tail=cache / f"{stem}-{form}-tail.onnx",
    )
    sums = cache / f"{stem}-{runtime}.sha256"
    if not _are_whole(files, sums):
        whole = onnx.load(joined_weights(cache))
        prosody = part(whole, (_TOKENS, _STYLE, _SPEED), (CONTENT, PITCH, ENERGY))
        rewrite = sped_up
        if runtime == "openvino":
            rewrite = partial(with_fixed_ranges, ranges=assets.load_activation_ranges())
        written = [
            (path, model.SerializeToString())
            for path, model in zip(
                files.paths(), (prosody, *in_four(audio_half(whole), rewrite)), strict=True
            )
        ]
        for path, content in written:
            write_atomically(path, (content,))
        write_atomically(
            sums,
            (f"{sha256(content).hexdigest()}  {path.name}\n".encode() for path, content in written),
        )
    return files


def audio_half(whole: onnx.ModelProto) -> onnx.ModelProto:
    """Take the half that makes audio of a prosody and a style from the export."""
    return part(whole, (CONTENT, PITCH, ENERGY, _STYLE), (_AUDIO,))


def in_four(
    audio: onnx.ModelProto, rewrite: Callable[[onnx.ModelProto], onnx.ModelProto]
) -> tuple[onnx.ModelProto, onnx.ModelProto, onnx.ModelProto, onnx.ModelProto]:
    """Cut the audio half into conditions, source, body and tail; `rewrite` gives it faster operators."""
    given, conditions = with_given_statistics(audio)
    model = rewrite(given)
    shapes = {**_SHAPES, **conditions}
    sentence = (CONTENT, PITCH, ENERGY, _STYLE, MEANS, DEVIATIONS)
    return (
        part(model, sentence, tuple(conditions), shapes),
        part(model, (PITCH,), (HARMONICS,), shapes),
        part(model, (CONTENT, PITCH, ENERGY, HARMONICS, *conditions), (FEATURES,), shapes),
        part(model, (FEATURES,), (_AUDIO,), shapes),
    )


def _are_whole(files: GraphFiles, sums: Path) -> bool:
    """Return whether all parts are what was written. Nothing notices a wrong weight later on but the ear."""
    try:
        recorded = sums.read_text(encoding="ascii")
        found = [f"{sha256_of(path)}  {path.name}\n" for path in files.paths()]
    except (OSError, UnicodeDecodeError):
        return False
    if "".join(found) == recorded:
        return True
    log.warning("model_files_damaged", folder=str(sums.parent), action="cutting the weights again")
    return False


def part(
    whole: onnx.ModelProto,
    inputs: Sequence[str],
    outputs: Sequence[str],
    shapes: Mapping[str, Sequence[int | str]] = _SHAPES,
) -> onnx.ModelProto:
    """Take the nodes between `inputs`, whose shapes are given, and `outputs` as a separate model."""
    nodes, constants = _ancestors(whole.graph, set(inputs), outputs)
    graph = helper.make_graph(
        nodes,
        whole.graph.name,
        [_value(name, shapes[name]) for name in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [tensor for tensor in whole.graph.initializer if tensor.name in constants],
    )
    return helper.make_model(graph, opset_imports=whole.opset_import, ir_version=whole.ir_version)


def _value(name: str, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    kind = TensorProto.INT64 if name == _TOKENS else TensorProto.FLOAT
    return helper.make_tensor_value_info(name, kind, list(shape))


def _ancestors(
    graph: onnx.GraphProto, inputs: set[str], outputs: Iterable[str]
) -> tuple[list[onnx.NodeProto], set[str]]:
    """Walk back from `outputs` to `inputs`: the nodes on the way, in the graph's order, and the constants they read."""
    makers = {output: index for index, node in enumerate(graph.node) for output in node.output}
    indices: set[int] = set()
    constants: set[str] = set()
    waiting = list(outputs)
    while waiting:
        name = waiting.pop()
        if name in inputs or not name:
            continue
        index = makers.get(name)
        if index is None:
            constants.add(name)
        elif index not in indices:
            indices.add(index)
            waiting.extend(graph.node[index].input)
    return [graph.node[index] for index in sorted(indices)], constants
