"""Kokoro's audio half in a form that OpenVINO runs fast: the same network, with activations quantized in fixed ranges.

The export quantizes the input of every convolution by its largest values, found again at each run. A compiler cannot
merge that with the operators around it. Here the convolutions of the generator, nine tenths of the work, take inputs
in a range that was measured beforehand (`activation_ranges.json`), with a scale for each output channel; all others
are float. Measured against the float network, the output is closer to it than the export's.

Kokoro's activation function, x + sin²(ax) / a, has no vectorized sine in OpenVINO. It becomes a polynomial whose steps
take one operand, so that they merge with each other at any length of the input. And its transposed convolutions, which
OpenVINO computes by a slow way, become convolutions with an output channel for each phase of the stride.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from services.synth_worker.engines.embedded.rendering.speedups import (
    ConvolutionNodes,
    Rewriter,
    convolution_at,
    replace_transforms,
)

# cos(pi t / 2) = A + B t^2 + C t^4 for |t| <= 1/2; sin^2(pi t) made of it is right to 1.8e-5. The coefficients
# minimize the largest error (found by Nelder and Mead's method).
_A: Final = 0.99999779
_B: Final = -1.23340102
_C: Final = 0.2484491

_LARGEST_WEIGHT: Final = 127
_CONVOLUTION_SETTINGS: Final = ("dilations", "group", "kernel_shape", "pads", "strides")

Ranges = Mapping[
    str, tuple[float, int]
]  # name of a convolution -> scale and zero point of its input, as uint8


def with_fixed_ranges(audio_half: onnx.ModelProto, ranges: Ranges) -> onnx.ModelProto:
    """Return the audio half with its convolutions' inputs quantized in `ranges`; those not named there are float."""
    rewriter = Rewriter(audio_half)
    for index in rewriter.indices("ConvInteger"):
        _replace_convolution(rewriter, convolution_at(rewriter, index), ranges)
    replace_transforms(rewriter)
    for index in rewriter.indices("Sin"):
        _replace_activation(rewriter, index)
    for index in rewriter.indices("ConvTranspose"):
        _replace_upsampling(rewriter, index)
    return rewriter.finished()


def _replace_convolution(rewriter: Rewriter, found: ConvolutionNodes, ranges: Ranges) -> None:
    conv = found.node
    name = conv.name
    weights = rewriter.constant(conv.input[1])
    zero = rewriter.constant(conv.input[3])
    scale = rewriter.constant(found.weight_scale)
    source = rewriter.maker(conv.input[0]).input[0]  # what DynamicQuantizeLinear reads

    nodes: list[onnx.NodeProto] = []
    if name in ranges:
        source = _quantized_input(rewriter, name, source, ranges[name], nodes)
        values = (weights.astype(np.float32) - zero) * scale
        weights, scale = _by_channel(values)
        zero = np.zeros(len(scale), np.int8)
    dequantized = helper.make_node(
        "DequantizeLinear",
        [
            rewriter.add_constant(f"{name}/weights", weights),
            rewriter.add_constant(f"{name}/scale", scale.astype(np.float32)),
            rewriter.add_constant(f"{name}/zero", zero),
        ],
        [f"{name}/dequantized"],
        axis=0,
    )
    inputs = [source, f"{name}/dequantized"]
    if found.bias is not None:
        inputs.append(rewriter.add_constant(f"{name}/bias", found.bias.reshape(-1)))
    settings = {
        attribute.name: helper.get_attribute_value(attribute)
        for attribute in conv.attribute
        if attribute.name in _CONVOLUTION_SETTINGS
    }
    replaced = helper.make_node("Conv", inputs, [found.output], name=name, **settings)
    rewriter.replace(found.indices, [*nodes, dequantized, replaced])


def _quantized_input(
    rewriter: Rewriter,
    name: str,
    source: str,
    fixed: tuple[float, int],
    nodes: list[onnx.NodeProto],
) -> str:
    """Append the nodes that round `source` to the 256 values of a range, and return their output's name."""
    parameters = [
        rewriter.add_constant(f"{name}/input_scale", np.array(fixed[0], np.float32)),
        rewriter.add_constant(f"{name}/input_zero", np.array(fixed[1], np.uint8)),
    ]
    nodes += [
        helper.make_node("QuantizeLinear", [source, *parameters], [f"{name}/input8"]),
        helper.make_node("DequantizeLinear", [f"{name}/input8", *parameters], [f"{name}/input"]),
    ]
    return f"{name}/input"


def _by_channel(weights: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round weights [out, in, taps] to int8 with a scale for each output channel."""
    scales = np.abs(weights).max(axis=(1, 2)) / _LARGEST_WEIGHT
    scales[scales == 0] = 1
    rounded = np.round(weights / scales[:, None, None])
    return rounded.astype(np.int8), scales.astype(np.float32)


def _replace_activation(rewriter: Rewriter, index: int) -> None:
    """Mul by a, Sin, Pow, Mul by 1 / a -> the same without a sine."""
    sine = rewriter.node(index)
    power = rewriter.reader(sine.output[0], "Pow")
    scaled = None if power is None else rewriter.reader(rewriter.node(power).output[0], "Mul")
    if power is None or scaled is None:
        return
    product = rewriter.index_of_maker(sine.input[0])
    source, factor = _operands(rewriter, rewriter.node(product))
    nodes = _sine_squared(
        rewriter, sine.name, source, rewriter.constant(factor), rewriter.node(scaled).output[0]
    )
    rewriter.replace([product, index, power, scaled], nodes)


def _operands(rewriter: Rewriter, product: onnx.NodeProto) -> tuple[str, str]:
    """Return the names of a product's variable and of its constant."""
    first, second = product.input
    return (second, first) if rewriter.is_constant(first) else (first, second)


def _sine_squared(
    rewriter: Rewriter, name: str, source: str, factor: NDArray[Any], output: str
) -> list[onnx.NodeProto]:
    """Nodes for sin²(factor * source) / factor: with t = factor * source / pi less its nearest integer,

    b = cos(pi t / 2) = C (t² + B / 2C)² + A - B² / 4C, and sin²(pi t) = 1 - (2 b² - 1)².
    """
    nodes: list[onnx.NodeProto] = []

    def add(kind: str, *inputs: str) -> str:
        nodes.append(helper.make_node(kind, list(inputs), [f"{name}/{len(nodes)}"]))
        return str(nodes[-1].output[0])

    def number(key: str, value: float) -> str:
        return rewriter.add_constant(f"fixed_ranges/{key}", np.array(value, np.float32))

    one, two, minus_one = number("one", 1), number("two", 2), number("minus_one", -1)
    turns = add("Mul", source, rewriter.add_constant(f"{name}/turns", factor / np.float32(np.pi)))
    t = add("Sub", turns, add("Round", turns))
    square = add("Pow", add("Add", add("Pow", t, two), number("inner", _B / (2 * _C))), two)
    cosine = add("Add", add("Mul", square, number("c", _C)), number("outer", _A - _B**2 / (4 * _C)))
    doubled = add("Add", add("Mul", add("Pow", cosine, two), two), minus_one)
    value = add("Add", add("Mul", add("Pow", doubled, two), minus_one), one)
    inverse = rewriter.add_constant(f"{name}/inverse", np.float32(1) / factor)
    nodes.append(helper.make_node("Mul", [value, inverse], [output]))
    return nodes


def _replace_upsampling(rewriter: Rewriter, index: int) -> None:
    """ConvTranspose with a kernel of twice its stride -> Conv of 3 taps and `stride` times the channels, interleaved.

    Output stride * t + phase takes tap (phase + pad) % stride of the input at t + (phase + pad) // stride, and the
    tap one stride later of the input before that one.
    """
    node = rewriter.node(index)
    settings = {
        attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute
    }
    [stride], [taps], pad = settings["strides"], settings["kernel_shape"], settings["pads"][0]
    if settings["group"] != 1 or taps != 2 * stride or pad != stride // 2 or stride % 2:
        return
    weights = rewriter.constant(node.input[1])  # [in, out, taps]
    channels_in, channels_out, _ = weights.shape
    spread = np.zeros((channels_out, stride, channels_in, 3), np.float32)
    for phase in range(stride):
        ahead, tap = divmod(phase + pad, stride)
        for later in (0, 1):
            spread[:, phase, :, 1 + ahead - later] = weights[:, :, tap + later * stride].T
    name = node.name
    inputs = [
        node.input[0],
        rewriter.add_constant(f"{name}/phases", spread.reshape(-1, channels_in, 3)),
    ]
    if len(node.input) > 2:
        bias = np.repeat(rewriter.constant(node.input[2]), stride)
        inputs.append(rewriter.add_constant(f"{name}/bias", bias))
    apart = rewriter.add_constant(f"{name}/apart", np.array([1, channels_out, stride, -1]))
    together = rewriter.add_constant(f"{name}/together", np.array([1, channels_out, -1]))
    nodes = [
        helper.make_node("Conv", inputs, [f"{name}/all"], name=name, kernel_shape=[3], pads=[1, 1]),
        helper.make_node("Reshape", [f"{name}/all", apart], [f"{name}/divided"]),
        helper.make_node(
            "Transpose", [f"{name}/divided"], [f"{name}/interleaved"], perm=[0, 1, 3, 2]
        ),
        helper.make_node("Reshape", [f"{name}/interleaved", together], list(node.output)),
    ]
    rewriter.replace([index], nodes)
