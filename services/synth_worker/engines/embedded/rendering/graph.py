"""Kokoro cut in two: text to prosody, and prosody to audio.

The export is one graph from tokens to samples. Cut where the predicted pitch leaves the text encoder, it becomes two
graphs with plain arrays between them, so that pitch is moved by arithmetic on an array, the median pitch of a language
is known without rendering a sample, and audio can be rendered window by window. Cut there, the two halves give
the very samples of the whole (tests hold that), and neither has a random node: equal inputs give equal bytes. The half
that makes audio is then rewritten into faster operators.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import onnx
import structlog
from onnx import TensorProto, helper

from services.synth_worker.engines.embedded.rendering.speedups import sped_up
from services.synth_worker.engines.embedded.weights import (
    SHA256,
    joined_weights,
    sha256_of,
    write_atomically,
)

log = structlog.get_logger()

VERSION: Final = (
    "2"  # part of the cached files' names: raise it with every change here or in `speedups`
)

CONTENT: Final = "/encoder/MatMul_1_output_0"  # float32 [1, 512, frames], one frame = 25 ms
PITCH: Final = "/encoder/Reshape_output_0"  # float32 [1, 2 * frames], Hz
ENERGY: Final = "/encoder/Reshape_1_output_0"  # float32 [1, 2 * frames]

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
}


@dataclass(frozen=True)
class GraphFiles:
    """The files of the two halves."""

    prosody: Path
    audio: Path


def cut_graphs(cache: Path) -> GraphFiles:
    """Return the two halves in `cache`; they are cut at the first time, and where they are damaged.

    Raises EngineUnavailable where the weights cannot be had, or the cache cannot be written.
    """
    stem = f"kokoro-{SHA256[:16]}-cut-{VERSION}"
    files = GraphFiles(prosody=cache / f"{stem}-prosody.onnx", audio=cache / f"{stem}-sound.onnx")
    sums = cache / f"{stem}.sha256"
    if not _are_whole(files, sums):
        whole = onnx.load(joined_weights(cache))
        prosody = part(
            whole, (_TOKENS, _STYLE, _SPEED), (CONTENT, PITCH, ENERGY)
        ).SerializeToString()
        audio = sped_up(
            part(whole, (CONTENT, PITCH, ENERGY, _STYLE), (_AUDIO,))
        ).SerializeToString()
        write_atomically(files.prosody, (prosody,))
        write_atomically(files.audio, (audio,))
        written = ((prosody, files.prosody.name), (audio, files.audio.name))
        write_atomically(
            sums, (f"{sha256(content).hexdigest()}  {name}\n".encode() for content, name in written)
        )
    return files


def _are_whole(files: GraphFiles, sums: Path) -> bool:
    """Return whether both halves are what was written. Nothing notices a wrong weight later on but the ear."""
    try:
        recorded = sums.read_text(encoding="ascii")
        found = [f"{sha256_of(path)}  {path.name}\n" for path in (files.prosody, files.audio)]
    except (OSError, UnicodeDecodeError):
        return False
    if "".join(found) == recorded:
        return True
    log.warning("model_files_damaged", folder=str(sums.parent), action="cutting the weights again")
    return False


def part(whole: onnx.ModelProto, inputs: Sequence[str], outputs: Sequence[str]) -> onnx.ModelProto:
    """Take the nodes between `inputs` and `outputs` as a separate model."""
    nodes, constants = _ancestors(whole.graph, set(inputs), outputs)
    graph = helper.make_graph(
        nodes,
        whole.graph.name,
        [_value(name) for name in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [tensor for tensor in whole.graph.initializer if tensor.name in constants],
    )
    return helper.make_model(graph, opset_imports=whole.opset_import, ir_version=whole.ir_version)


def _value(name: str) -> onnx.ValueInfoProto:
    kind = TensorProto.INT64 if name == _TOKENS else TensorProto.FLOAT
    return helper.make_tensor_value_info(name, kind, list(_SHAPES[name]))


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
