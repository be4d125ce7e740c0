"""`python -m benchmarks.speed.profile`: where the embedded engine spends the time for its audio, and the floor of it.

The body, a window of 4 s, runs in OpenVINO with its own counters, on one and on two threads, and on one thread without
the newer instruction sets (oneDNN's ONEDNN_MAX_CPU_ISA). The floor is the time that its multiplications and its memory
traffic take at the rates that this processor reached in a large convolution and in a copy; no float operator is in it.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper

from services.synth_worker.engines.embedded import assets
from services.synth_worker.engines.embedded.g2p import VOCABULARY
from services.synth_worker.engines.embedded.rendering import graph
from services.synth_worker.engines.embedded.rendering.audio_models import (
    AudioHalf,
    import_openvino,
)
from services.synth_worker.engines.embedded.rendering.kokoro import Kokoro
from services.synth_worker.engines.embedded.rendering.prosody import cut_prosody
from services.synth_worker.engines.embedded.rendering.statistics import (
    StatisticsPredictor,
    sentence_features,
)
from services.synth_worker.engines.embedded.voices.styles import StockStyles

_FRAMES: Final = 160  # of 25 ms
_SECONDS: Final = _FRAMES / 40
_RUNS: Final = 5
_SETS: Final = ("AVX512_CORE", "AVX512_CORE_VNNI", "AVX512_CORE_BF16", "AVX512_CORE_AMX")
_CHANNELS: Final = 512  # of the convolution whose rate is taken for the processor's
_STEPS: Final = 4096
_PHONES: Final = (
    "mˈOst ʌv ðə vˈɪzɪɾɚz kˈAm bI tɹˈAn, ɔlðˈO ðə ɹˈOd tə ðə hˈɑɹbɚ hæd bɪn ɹɪpˈɛɹd ɪn spɹˈɪŋ."
)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.profile", description=__doc__)
    parser.add_argument(
        "--cache", type=Path, default=Path.home() / ".cache" / "voice-cloning", metavar="FOLDER"
    )
    parser.add_argument("--one", type=int, metavar="THREADS", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(_run(options.cache, options.one)))
        return
    one, two = (_child(options.cache, threads, {}) for threads in (1, 2))
    print(
        f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}, ms per second of audio\n"
    )
    print("| operators | number | 1 thread | 2 threads |\n|---|---|---|---|")
    for kind, spent in sorted(one["kinds"].items(), key=lambda item: -item[1]):
        if spent > 0.5:
            print(
                f"| {kind} | {one['counts'][kind]} | {spent:.1f} | {two['kinds'].get(kind, 0):.1f} |"
            )
    print(f"| all | | {one['all']:.0f} | {two['all']:.0f} |\n")
    print("| newest instruction set | 1 thread |\n|---|---|")
    for name in _SETS:
        print(f"| {name} | {_child(options.cache, 1, {'ONEDNN_MAX_CPU_ISA': name})['all']:.0f} |")
    print()
    print("\n".join(_floor(options.cache, one["rates"])))


def _child(cache: Path, threads: int, environment: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.speed.profile", "--cache", str(cache), "--one"]
    done = subprocess.run(
        [*command, str(threads)],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _run(cache: Path, threads: int) -> dict[str, Any]:
    """Run the body a few times; returns ms per second of audio, by kind of operator and in all."""
    body = graph.cut_graphs(cache, "openvino").body
    request = _compiled(onnx.load(body), threads).create_infer_request()
    inputs = _inputs(cache)
    spent = []
    for _ in range(_RUNS):
        begun = time.perf_counter()
        request.infer(inputs)
        spent.append(time.perf_counter() - begun)
    kinds: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for entry in request.get_profiling_info():
        if entry.real_time.total_seconds():
            kind = f"{entry.node_type}, {entry.exec_type}"
            kinds[kind] += entry.real_time.total_seconds() * 1000 / _SECONDS
            counts[kind] += 1
    return {
        "kinds": kinds,
        "counts": counts,
        "all": min(spent) * 1000 / _SECONDS,
        "rates": _rates(),
    }


def _compiled(model: onnx.ModelProto, threads: int) -> Any:
    core = import_openvino().Core()
    read = core.read_model(model.SerializeToString())
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "PERF_COUNT": True}
    return core.compile_model(read, "CPU", settings)


def _inputs(cache: Path) -> dict[str, Any]:
    tokens = [VOCABULARY[symbol] for symbol in _PHONES]
    style = StockStyles(assets.load_arrays(assets.STOCK_VOICES)).style("af_heart", len(tokens))
    whole = Kokoro(cache, 1, "onnxruntime").prosody(tokens, style)
    prosody = cut_prosody(whole, 0, _FRAMES)
    statistics = StatisticsPredictor.from_arrays(assets.load_arrays(assets.STATISTICS))
    files = graph.cut_graphs(cache, "openvino")
    half = AudioHalf(files, lambda _: prosody.content, 1)  # of which the body is run here
    conditions = half.conditions(
        prosody, style, *statistics.predict(sentence_features(prosody, style))
    )
    return {
        **conditions,
        **graph.audio_inputs(prosody),
        graph.HARMONICS: half.harmonics(prosody.pitch_hz),
    }


def _rates() -> dict[str, float]:
    """Multiply-adds per second on one thread in 8 bits and in the float format in use, and bytes copied per second."""
    found = {}
    for name, eight_bit in (("8-bit", True), ("float", False)):
        request = _compiled(_one_convolution(eight_bit), 1).create_infer_request()
        values = {"x": np.random.default_rng(0).normal(size=(1, _CHANNELS, _STEPS)).astype("f4")}
        spent = []
        for _ in range(_RUNS):
            request.infer(values)
            spent.append(
                max(
                    entry.real_time.total_seconds()
                    for entry in request.get_profiling_info()
                    if entry.node_type == "Convolution"
                )
            )
        found[name] = 3 * _CHANNELS**2 * _STEPS / min(spent)
    block = np.ones(1 << 25, np.uint8)
    spent = []
    for _ in range(_RUNS):
        begun = time.perf_counter()
        block.copy()
        spent.append(time.perf_counter() - begun)
    found["copied"] = 2 * block.nbytes / min(spent)
    return found


def _one_convolution(eight_bit: bool) -> onnx.ModelProto:
    weights = np.random.default_rng(1).normal(size=(_CHANNELS, _CHANNELS, 3))
    constants = {
        "w": weights.astype(np.float32),
        "w8": np.clip(weights * 40, -127, 127).astype(np.int8),
        "s": np.full(_CHANNELS, 1 / 40, np.float32),
        "z": np.zeros(_CHANNELS, np.int8),
        "xs": np.array(0.03, np.float32),
        "xz": np.array(128, np.uint8),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["x8"]),
        helper.make_node("DequantizeLinear", ["x8", "xs", "xz"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w8", "s", "z"], ["wd"], axis=0),
        helper.make_node("Conv", ["xd", "wd"], ["y"], pads=[1, 1]),
    ]
    if not eight_bit:
        nodes = [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1])]
    read = {name for node in nodes for name in node.input}
    made = helper.make_graph(
        nodes,
        "convolution",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, _CHANNELS, _STEPS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, _CHANNELS, _STEPS])],
        [
            onnx.numpy_helper.from_array(value, name)
            for name, value in constants.items()
            if name in read
        ],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def _floor(cache: Path, rates: dict[str, float]) -> list[str]:
    """Return a table of the multiply-adds and bytes of a second of audio, and how long they take at those rates."""
    model = onnx.load(graph.cut_graphs(cache, "openvino").body)
    for value in model.graph.input:
        axis = value.type.tensor_type.shape.dim[-1]
        steps = {"frames": _FRAMES, "pitch_frames": 2 * _FRAMES, "steps": 120 * _FRAMES + 1}
        if axis.dim_param in steps:
            axis.dim_value = steps[axis.dim_param]
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*inferred.value_info, *inferred.input, *inferred.output)
    }
    weights = {tensor.name: list(tensor.dims) for tensor in inferred.initializer}
    quantized = {node.output[0] for node in inferred.node if node.op_type == "DequantizeLinear"}
    products: Counter[str] = Counter()
    moved = 0
    for node in inferred.node:
        if node.op_type not in {"Conv", "ConvTranspose"}:
            continue
        eight_bit = node.op_type == "Conv" and node.input[0] in quantized
        kernel = shapes.get(node.input[1]) or weights[node.input[1]]
        steps = shapes[node.output[0] if node.op_type == "Conv" else node.input[0]][-1]
        products["8-bit" if eight_bit else "float"] += math.prod(kernel) * steps
        # what is read in 8 bits or two bytes, and written in two
        moved += math.prod(shapes[node.input[0]]) * (1 if eight_bit else 2)
        moved += math.prod(shapes[node.output[0]]) * 2 + math.prod(kernel)
    lines = [
        "| per second of audio | number | rate on one thread | ms |",
        "|---|---|---|---|",
    ]
    total = 0.0
    for kind, number in products.items():
        spent = number / _SECONDS / rates[kind]
        total += spent
        lines.append(
            f"| multiply-adds, {kind} | {number / _SECONDS / 1e9:.1f} G | {rates[kind] / 1e9:.0f} G/s "
            f"| {spent * 1000:.0f} |"
        )
    spent = moved / _SECONDS / rates["copied"]
    lines.append(
        f"| bytes in and out of convolutions | {moved / _SECONDS / 1e9:.2f} G | {rates['copied'] / 1e9:.0f} G/s "
        f"| {spent * 1000:.0f} |"
    )
    return [*lines, f"| floor | | | {(total + spent) * 1000:.0f} |"]


if __name__ == "__main__":
    main()
