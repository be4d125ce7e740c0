"""Kokoro's audio half with given statistics instead of measured ones.

Its 54 instance normalizations take the mean and the deviation of each channel over whatever is rendered at once. A
window of one second has other statistics than its sentence, so its audio differs from that of the whole, and the
recogniser makes more errors in it. Here they come from outside, the same for every window of a sentence
(`statistics.py`), so windows of any length join to what the whole would be. A normalization is then one
multiplication and one addition for each channel.

The inputs of the first two are the prosody itself and one convolution of it, which cost little for a whole sentence:
their statistics are measured. They vary most from text to text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper

from services.synth_worker.engines.embedded.rendering.speedups import Rewriter, other_input

MEASURED: Final = 2  # normalizations, the first ones, that measure the sentence as ever
MEANS: Final = "means"  # float32 [1, channels, 1]: of all other normalizations, in order
DEVIATIONS: Final = "deviations"


@dataclass(frozen=True, eq=False)
class Normalization:
    """One instance normalization of the export, and the styled gains and shifts that its output meets."""

    normalized: str
    source: str
    mean: str
    variance: str
    deviation: str
    gain: str  # of the first block
    blocks: tuple[tuple[int, int], ...]  # indices of multiplication and addition


def normalizations_of(rewriter: Rewriter) -> list[Normalization]:
    """Return the instance normalizations of the audio half, in the graph's order."""
    found = [_normalization_at(rewriter, index) for index in rewriter.indices("Sqrt")]
    return [one for one in found if one is not None]


def with_given_statistics(
    audio_half: onnx.ModelProto,
) -> tuple[onnx.ModelProto, dict[str, tuple[int, int, int]]]:
    """Return the audio half with inputs MEANS and DEVIATIONS, and its factors and offsets: name -> shape.

    They depend on nothing but the style, the statistics and the prosody of the sentence.
    """
    rewriter = Rewriter(audio_half)
    found = normalizations_of(rewriter)
    sizes = _channels(audio_half, [one.gain for one in found])
    counts = rewriter.add_constant("normalizations/sizes", np.array(sizes[MEASURED:]))
    splits: dict[str, list[str]] = {
        name: [f"normalizations/{name}/{index}" for index in range(MEASURED, len(found))]
        for name in (MEANS, DEVIATIONS)
    }
    rewriter.begin_with(
        [helper.make_node("Split", [name, counts], parts, axis=1) for name, parts in splits.items()]
    )

    shapes: dict[str, tuple[int, int, int]] = {}
    for index, one in enumerate(found):
        mean, deviation = one.mean, one.deviation
        if index >= MEASURED:
            mean, deviation = (splits[name][index - MEASURED] for name in (MEANS, DEVIATIONS))
        for product, total in one.blocks:
            names = _replace_block(rewriter, one, (product, total), mean, deviation)
            shapes |= dict.fromkeys(names, (1, sizes[index], 1))

    model = rewriter.finished()
    channels = sum(sizes[MEASURED:])
    model.graph.input.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, 1])
        for name in (MEANS, DEVIATIONS)
    )
    return model, shapes


def _normalization_at(rewriter: Rewriter, index: int) -> Normalization | None:
    """(x - mean) / sqrt(variance + epsilon), then * gain + shift once or several times."""
    stabilised = rewriter.maker(rewriter.node(index).input[0])
    deviation = str(rewriter.node(index).output[0])
    divided = rewriter.reader(deviation, "Div")
    if divided is None or rewriter.maker(stabilised.input[0]).op_type != "ReduceMean":
        return None

    norm = rewriter.node(divided)
    centred = rewriter.maker(norm.input[0])
    blocks: list[tuple[int, int]] = []
    for product in rewriter.readers(norm.output[0]):
        total = rewriter.reader(rewriter.node(product).output[0], "Add")
        if rewriter.node(product).op_type != "Mul" or total is None:
            return None
        blocks.append((product, total))

    return Normalization(
        gain=other_input(rewriter.node(blocks[0][0]), norm.output[0]),
        normalized=norm.output[0],
        source=str(centred.input[0]),
        mean=str(centred.input[1]),
        variance=str(stabilised.input[0]),
        deviation=deviation,
        blocks=tuple(blocks),
    )


def _replace_block(
    rewriter: Rewriter, norm: Normalization, block: tuple[int, int], mean: str, deviation: str
) -> tuple[str, str]:
    """(x - mean) / deviation * gain + shift -> x * factor + offset; returns the names of these two."""
    product, total = (rewriter.node(index) for index in block)
    gain = other_input(product, norm.normalized)
    shift = other_input(total, product.output[0])
    name = product.name
    factor, offset = f"{name}/factor", f"{name}/offset"
    nodes = [
        helper.make_node("Div", [gain, deviation], [factor]),
        helper.make_node("Mul", [mean, factor], [f"{name}/moved"]),
        helper.make_node("Sub", [shift, f"{name}/moved"], [offset]),
        helper.make_node("Mul", [norm.source, factor], [f"{name}/scaled"]),
        helper.make_node("Add", [f"{name}/scaled", offset], list(total.output)),
    ]
    rewriter.replace(block, nodes)
    return factor, offset


def _channels(model: onnx.ModelProto, names: Sequence[str]) -> list[int]:
    shapes = {
        value.name: value.type.tensor_type.shape.dim
        for value in onnx.shape_inference.infer_shapes(model).graph.value_info
    }
    return [shapes[name][1].dim_value for name in names]
