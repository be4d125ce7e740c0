"""Faster operators for the slow parts of Kokoro's audio half; the output is the same but for rounding.

* An integer convolution becomes a matrix product with signed weights over shifted copies of its input: ONNX Runtime
  packs such weights once and multiplies them with the CPU's 8-bit dot products, about twice as fast as its ConvInteger.
* The short-time Fourier transform of the voice source, a slow operator, becomes a convolution with its basis.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

_MICROSOFT: Final = "com.microsoft"
_SIGN: Final = 128  # between unsigned and signed 8-bit weights
_TINY: Final = 1e-7
_BEYOND: Final = np.iinfo(np.int64).max


class Rewriter:
    """A graph being rewritten: finds nodes by what they make and who reads them, and replaces groups of them."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._nodes: dict[int, onnx.NodeProto] = dict(enumerate(model.graph.node))
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self._makers = {output: node for node in model.graph.node for output in node.output}
        self._readers: dict[str, list[int]] = {}
        for index, node in self._nodes.items():
            for name in node.input:
                self._readers.setdefault(name, []).append(index)
        self._added: dict[int, list[onnx.NodeProto]] = {}

    def indices(self, kind: str) -> list[int]:
        """Return the indices of an operator's nodes."""
        return [index for index, node in self._nodes.items() if node.op_type == kind]

    def node(self, index: int) -> onnx.NodeProto:
        """Return the node at an index."""
        return self._nodes[index]

    def reader(self, name: str, kind: str) -> int | None:
        """Return the only node that reads `name`, if it is of this operator."""
        readers = self._readers.get(name, [])
        return readers[0] if len(readers) == 1 and self._nodes[readers[0]].op_type == kind else None

    def readers(self, name: str) -> list[int]:
        """Return the indices of all nodes that read `name`."""
        return self._readers.get(name, [])

    def maker(self, name: str) -> onnx.NodeProto:
        """Return the node that makes `name`."""
        maker: onnx.NodeProto = self._makers[name]
        return maker

    def index_of_maker(self, name: str) -> int:
        """Return the index of the node that makes `name`."""
        return next(index for index, node in self._nodes.items() if name in node.output)

    def is_constant(self, name: str) -> bool:
        """Return whether `name` is a constant."""
        return name in self._constants

    def constant(self, name: str) -> NDArray[Any]:
        """Return the value of a constant."""
        return numpy_helper.to_array(self._constants[name])

    def add_constant(self, name: str, value: NDArray[Any]) -> str:
        """Add a constant and return its name."""
        self._constants[name] = numpy_helper.from_array(value, name)
        return name

    def replace(self, indices: Iterable[int], nodes: list[onnx.NodeProto]) -> None:
        """Put `nodes` where the last of `indices` stands, and drop those."""
        dropped = sorted(indices)
        for index in dropped:
            del self._nodes[index]
        self._added[dropped[-1]] = nodes

    def begin_with(self, nodes: list[onnx.NodeProto]) -> None:
        """Put `nodes` before all others."""
        self._added[-1] = nodes

    def finished(self) -> onnx.ModelProto:
        """Return the rewritten model, without unused nodes."""
        nodes: list[onnx.NodeProto] = []
        for index in sorted({*self._nodes, *self._added}):
            nodes += self._added.get(index) or [self._nodes[index]]
        nodes = _alive(nodes, [output.name for output in self._model.graph.output])
        read = {name for node in nodes for name in node.input}
        graph = self._model.graph
        rewritten = helper.make_graph(
            nodes,
            graph.name,
            graph.input,
            graph.output,
            [t for name, t in self._constants.items() if name in read],
        )
        return helper.make_model(
            rewritten, opset_imports=self._model.opset_import, ir_version=self._model.ir_version
        )


def sped_up(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the audio half in its faster form."""
    rewriter = Rewriter(model)
    for index in rewriter.indices("ConvInteger"):
        _replace_convolution(rewriter, index)
    replace_transforms(rewriter)
    return rewriter.finished()


def replace_transforms(rewriter: Rewriter) -> None:
    """Replace the short-time Fourier transform of the voice source by a convolution."""
    for index in rewriter.indices("STFT"):
        _replace_stft(rewriter, index)


@dataclass(frozen=True, eq=False)
class ConvolutionNodes:
    """An integer convolution of the export, with the nodes that make floats of its output."""

    node: onnx.NodeProto
    indices: list[int]  # of the convolution, [Add], Cast, Mul
    output: str
    input_scale: str
    weight_scale: str
    bias: NDArray[Any] | None  # before it was rounded


def convolution_at(rewriter: Rewriter, index: int) -> ConvolutionNodes:
    """Describe the integer convolution at an index. Raises ValueError where its output is used as it is."""
    chain = _to_float(rewriter, index)
    if chain is None:
        raise ValueError(f"the output of {rewriter.node(index).name} does not become floats")
    scaled = rewriter.node(chain[-1])
    input_scale, weight_scale = rewriter.maker(scaled.input[1]).input
    return ConvolutionNodes(
        node=rewriter.node(index),
        indices=[index, *chain],
        output=str(scaled.output[0]),
        input_scale=input_scale,
        weight_scale=weight_scale,
        bias=_bias(rewriter, chain),
    )


def other_input(node: onnx.NodeProto, name: str) -> str:
    """Return the input of a node of two inputs that is not `name`."""
    first, second = node.input
    return str(second if first == name else first)


def _alive(nodes: list[onnx.NodeProto], outputs: Iterable[str]) -> list[onnx.NodeProto]:
    wanted = set(outputs)
    kept = []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    return kept[::-1]


def _replace_convolution(rewriter: Rewriter, index: int) -> None:
    """ConvInteger, + bias, to float, * scale -> the same as a matrix product, where the convolution has stride 1."""
    conv = rewriter.node(index)
    settings = {
        attribute.name: helper.get_attribute_value(attribute) for attribute in conv.attribute
    }
    if settings["group"] != 1 or list(settings["strides"]) != [1]:
        return
    found = convolution_at(rewriter, index)
    weights, zero = rewriter.constant(conv.input[1]), rewriter.constant(conv.input[3])
    name = conv.name
    matrix = _signed(weights).transpose(2, 1, 0).reshape(-1, weights.shape[0])
    inputs = [
        f"{name}/columns",
        rewriter.add_constant(f"{name}/matrix", np.ascontiguousarray(matrix)),
        found.input_scale,
        found.weight_scale,
        conv.input[2],
        rewriter.add_constant(f"{name}/zero", _signed(zero)),
    ]
    if found.bias is not None:
        inputs.append(rewriter.add_constant(f"{name}/bias", found.bias.reshape(-1)))
    columns = _columns(rewriter, conv, weights.shape[2], settings["dilations"][0], settings["pads"])
    product = helper.make_node(
        "MatMulIntegerToFloat", inputs, [f"{name}/product"], domain=_MICROSOFT
    )
    back = helper.make_node("Transpose", [f"{name}/product"], [found.output], perm=[0, 2, 1])
    rewriter.replace(found.indices, [*columns, product, back])


def _to_float(rewriter: Rewriter, index: int) -> list[int] | None:
    """The nodes that make floats of an integer convolution's output: [Add], Cast, Mul."""
    chain: list[int] = []
    for kind in ("Add", "Cast", "Mul"):
        output = rewriter.node(chain[-1] if chain else index).output[0]
        found = rewriter.reader(output, kind)
        if found is not None:
            chain.append(found)
        elif kind != "Add":
            return None
    return chain


def _bias(rewriter: Rewriter, chain: list[int]) -> NDArray[Any] | None:
    """The bias before it was rounded: Div by the scale, Floor, Cast, Reshape, Add."""
    if len(chain) < 3:
        return None
    name = rewriter.node(chain[0]).input[1]
    for _ in range(4):
        name = rewriter.maker(name).input[0]
    return rewriter.constant(name)


def _signed(values: NDArray[Any]) -> NDArray[np.int8]:
    return (values.astype(np.int16) - _SIGN).astype(np.int8)


def _columns(
    rewriter: Rewriter, conv: onnx.NodeProto, taps: int, spread: int, pads: list[int]
) -> list[onnx.NodeProto]:
    """Nodes that lay shifted copies of a convolution's input [1, channels, n] side by side: [1, n, taps * channels]."""
    name, whole = conv.name, f"{conv.name}/columns"
    if taps == 1:
        return [helper.make_node("Transpose", [conv.input[0]], [whole], perm=[0, 2, 1])]
    edges = rewriter.add_constant(f"{name}/pads", np.array([0, pads[0], 0, 0, pads[1], 0]))
    nodes = [
        helper.make_node("Transpose", [conv.input[0]], [f"{name}/rows"], perm=[0, 2, 1]),
        helper.make_node("Pad", [f"{name}/rows", edges, conv.input[2]], [f"{name}/padded"]),
    ]
    axis = rewriter.add_constant("speedups/axis", np.array([1]))
    for tap in range(taps):
        start = rewriter.add_constant(f"speedups/{tap * spread}", np.array([tap * spread]))
        left = (taps - 1 - tap) * spread
        stop = rewriter.add_constant(f"speedups/-{left}", np.array([-left if left else _BEYOND]))
        nodes.append(
            helper.make_node("Slice", [f"{name}/padded", start, stop, axis], [f"{name}/tap{tap}"])
        )
    nodes.append(
        helper.make_node("Concat", [f"{name}/tap{tap}" for tap in range(taps)], [whole], axis=2)
    )
    return nodes


def _replace_stft(rewriter: Rewriter, index: int) -> None:
    """STFT of [1, n] -> a convolution whose filters are windowed cosines and sines."""
    stft = rewriter.node(index)
    step, window, size = (rewriter.constant(name) for name in stft.input[1:4])
    angle = 2 * np.pi * np.outer(np.arange(int(size) // 2 + 1), np.arange(int(size))) / int(size)
    basis = (np.concatenate([np.cos(angle), -np.sin(angle)]) * window).astype(np.float32)
    # The lowest and the highest bin are real. The model takes the phase of a negative one for +pi only where its
    # imaginary part is positive, as a rounding error usually was: make it so always.
    bias = np.zeros(len(basis), dtype=np.float32)
    for real in (len(angle), len(basis) - 1):
        basis[real], bias[real] = 0, _TINY
    shape_in = rewriter.add_constant("speedups/wave", np.array([1, 1, -1]))
    shape_out = rewriter.add_constant("speedups/parts", np.array([1, 2, len(angle), -1]))
    filters = rewriter.add_constant("speedups/basis", basis[:, None])
    offsets = rewriter.add_constant("speedups/offsets", bias)
    nodes = [
        helper.make_node("Reshape", [stft.input[0], shape_in], ["speedups/stft/wave"]),
        helper.make_node(
            "Conv",
            ["speedups/stft/wave", filters, offsets],
            ["speedups/stft/both"],
            strides=[int(step)],
        ),
        helper.make_node("Reshape", ["speedups/stft/both", shape_out], ["speedups/stft/parts"]),
        helper.make_node(
            "Transpose", ["speedups/stft/parts"], list(stft.output), perm=[0, 3, 2, 1]
        ),
    ]
    rewriter.replace([index], nodes)
