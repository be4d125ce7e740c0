"""Kokoro cut in two: text to prosody, and prosody to audio.

The export is one graph from tokens to samples. Cut where the predicted pitch leaves the text encoder, it becomes two
graphs with plain arrays between them, so that pitch is moved by arithmetic on an array, the median pitch of a language
is known without rendering a sample, and audio can be rendered window by window. Cut there, the two halves give
the very samples of the whole (tests hold that), and neither has a random node: equal inputs give equal bytes. The half
that makes audio is then rewritten for its runtime: into faster operators of ONNX Runtime, or, for OpenVINO, into three
graphs of which the middle one has nearly all of the work.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal, get_args

import onnx
import structlog
from onnx import TensorProto, helper

from services.synth_worker.engines.embedded import assets
from services.synth_worker.engines.embedded.rendering.fixed_ranges import (
    Ranges,
    with_fixed_ranges,
)
from services.synth_worker.engines.embedded.rendering.speedups import sped_up
from services.synth_worker.engines.embedded.weights import (
    SHA256,
    joined_weights,
    sha256_of,
    write_atomically,
)

log = structlog.get_logger()

VERSION: Final = "3"  # part of the cached files' names: raise it with every change here in `speedups` or `fixed_ranges`

CONTENT: Final = "/encoder/MatMul_1_output_0"  # float32 [1, 512, frames], one frame = 25 ms
PITCH: Final = "/encoder/Reshape_output_0"  # float32 [1, 2 * frames], Hz
ENERGY: Final = "/encoder/Reshape_1_output_0"  # float32 [1, 2 * frames]

# what OpenVINO takes and gives, besides the above and the numbers that the style gives every normalization
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
    HARMONICS: (1, 22, "steps"),
    FEATURES: (1, 128, "steps"),
}


@dataclass(frozen=True)
class GraphFiles:
    """The files of the two halves; that of the audio is one file for ONNX Runtime, and for OpenVINO three."""

    prosody: Path
    audio: tuple[Path, ...]


def cut_graphs(cache: Path, runtime: Runtime) -> GraphFiles:
    """Return the two halves in `cache`; they are cut at the first time, and where they are damaged.

    Raises EngineUnavailable where the weights cannot be had, or the cache cannot be written.
    """
    stem = f"kokoro-{SHA256[:16]}-cut-{VERSION}"
    names: tuple[str, ...] = ("sound",)
    if runtime == "openvino":
        ranges = assets.checksums()[assets.ACTIVATION_RANGES][:8]
        names = (f"source-{ranges}", f"body-{ranges}", f"tail-{ranges}")
    files = GraphFiles(
        prosody=cache / f"{stem}-prosody.onnx",
        audio=tuple(cache / f"{stem}-{name}.onnx" for name in names),
    )
    sums = cache / f"{stem}-{runtime}.sha256"
    if not _are_whole(files, sums):
        whole = onnx.load(joined_weights(cache))
        prosody = part(whole, (_TOKENS, _STYLE, _SPEED), (CONTENT, PITCH, ENERGY))
        audio = part(whole, (CONTENT, PITCH, ENERGY, _STYLE), (_AUDIO,))
        halves: tuple[onnx.ModelProto, ...] = (
            in_three(audio, assets.load_activation_ranges())
            if runtime == "openvino"
            else (sped_up(audio),)
        )
        written = [
            (path, model.SerializeToString())
            for path, model in zip((files.prosody, *files.audio), (prosody, *halves), strict=True)
        ]
        for path, content in written:
            write_atomically(path, (content,))
        write_atomically(
            sums,
            (f"{sha256(content).hexdigest()}  {path.name}\n".encode() for path, content in written),
        )
    return files


def in_three(
    audio: onnx.ModelProto, ranges: Ranges
) -> tuple[onnx.ModelProto, onnx.ModelProto, onnx.ModelProto]:
    """Cut the audio half in three: what needs all of float32's digits, the body, and the last layer.

    The first makes the voice source, whose phase is a long sum, and what the style gives the normalizations; the
    last makes the spectrum, whose quiet parts are audible, and the samples.
    """
    model = with_fixed_ranges(audio, ranges)
    styled = _of_style_alone(model)
    shapes = {**_SHAPES, **styled}
    source = part(model, (PITCH, _STYLE), (HARMONICS, *styled), shapes)
    body = part(model, (CONTENT, PITCH, ENERGY, HARMONICS, *styled), (FEATURES,), shapes)
    tail = part(model, (FEATURES,), (_AUDIO,), shapes)
    return source, body, tail


def _of_style_alone(model: onnx.ModelProto) -> dict[str, Sequence[int]]:
    """Names and shapes of the values that depend on nothing but the style, and are read together with other values."""
    constants = {tensor.name for tensor in model.graph.initializer}
    styled = {_STYLE}
    others: set[str] = set()
    for node in model.graph.node:
        read = [name for name in node.input if name and name not in constants]
        if read and styled.issuperset(read):
            styled.update(node.output)
        else:
            others.update(read)
    shapes = onnx.shape_inference.infer_shapes(model).graph.value_info
    return {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in shapes
        if value.name in styled & others
    }


def _are_whole(files: GraphFiles, sums: Path) -> bool:
    """Return whether both halves are what was written. Nothing notices a wrong weight later on but the ear."""
    try:
        recorded = sums.read_text(encoding="ascii")
        found = [f"{sha256_of(path)}  {path.name}\n" for path in (files.prosody, *files.audio)]
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
