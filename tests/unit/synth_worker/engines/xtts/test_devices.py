"""The device of the model is chosen and checked, and its failures say what to do."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from services.common.wire.failures import EngineUnavailable
from services.synth_worker.engines.protocol import EngineBroken
from services.synth_worker.engines.xtts import device_failures, devices
from services.synth_worker.engines.xtts.device_failures import explained
from services.synth_worker.engines.xtts.devices import (
    Driver,
    best_precision,
    choose_device,
    driver,
)
from services.synth_worker.engines.xtts.engine import XttsEngine, XttsSettings
from services.synth_worker.engines.xtts.weights.location import WeightSettings

GPU = torch.device("cuda", 0)


def machine(monkeypatch: pytest.MonkeyPatch, **answers: Any) -> None:
    """Let torch.cuda and the driver answer as they do on another machine."""
    answers = {
        "is_available": True,
        "device_count": 1,
        "get_device_capability": (9, 0),
        "get_arch_list": ["sm_75", "sm_80", "sm_86", "sm_90", "compute_90"],
        "get_device_name": "a GPU",
    } | answers
    monkeypatch.setattr(devices, "driver", lambda: answers.get("driver"))
    monkeypatch.setattr(torch.version, "cuda", answers.get("built_for", "13.0"))
    for name in (
        "is_available",
        "device_count",
        "get_device_capability",
        "get_arch_list",
        "get_device_name",
    ):
        monkeypatch.setattr(torch.cuda, name, lambda *_, name=name: answers[name])


def test_without_a_gpu_the_processor_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, is_available=False)
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    machine(
        monkeypatch, is_available=False, driver=Driver((13, 0), 0)
    )  # without a GPU, or all hidden
    assert choose_device("auto") == torch.device("cpu")


@pytest.mark.parametrize("name", ["auto", "cuda", "cuda:0"])
@pytest.mark.parametrize(
    ("answers", "advice"),
    [
        ({"driver": Driver((12, 4), 2)}, r"supports CUDA 12.4 and torch .* needs 13.0; update"),
        ({"driver": Driver((13, 0), 1)}, r"finds none of the 1 GPUs .*check CUDA_VISIBLE_DEVICES"),
        ({"driver": Driver((13, 0), 1), "built_for": None}, r"built without CUDA; install"),
        ({"driver": Driver((13, 0), 0, 802)}, r"fails with error 802 of cuInit; .*fabricmanager"),
        ({"driver": Driver((13, 0), 0, 999)}, r"fails with error 999 of cuInit; see `nvidia-smi`"),
    ],
)
def test_a_gpu_that_torch_cannot_use_is_never_replaced_by_the_processor_in_silence(
    monkeypatch: pytest.MonkeyPatch, name: str, answers: dict[str, Any], advice: str
) -> None:
    machine(monkeypatch, is_available=False, **answers)
    with pytest.raises(EngineUnavailable, match=advice):
        choose_device(name)


def test_a_setting_that_demands_a_gpu_names_the_missing_driver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine(monkeypatch, is_available=False)
    with pytest.raises(EngineUnavailable, match="DEVICE is cuda, and no GPU driver was found"):
        choose_device("cuda")


def test_a_gpu_is_chosen_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, device_count=2)
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda", 0)
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    for missing in ("cuda:2", "cuda:7"):
        with pytest.raises(EngineUnavailable, match="torch finds 2 GPUs; send one from cuda:0 to"):
            choose_device(missing)


def test_the_chosen_gpu_is_the_current_one_before_anything_is_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine(monkeypatch, device_count=2)
    current: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    weights = WeightSettings(model_dir=tmp_path, agreed=True)
    engine = XttsEngine(XttsSettings(weights, device="cuda:1", precision="float32"))
    with pytest.raises(EngineUnavailable):  # there are no weights
        engine.load()
    assert current == [torch.device("cuda", 1)]


@pytest.mark.parametrize(
    ("capability", "runs"),
    [
        ((7, 5), True),
        ((8, 9), True),
        ((9, 0), True),
        ((12, 0), True),
        ((6, 1), False),
        ((7, 0), False),
    ],
)
def test_a_gpu_without_kernels_is_refused_with_both_versions(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], runs: bool
) -> None:
    machine(monkeypatch, get_device_capability=capability)
    if runs:
        assert choose_device("cuda") == GPU
        return
    wanted = r"compute capability {}\.{}, and torch .* has kernels for sm_75".format(*capability)
    with pytest.raises(EngineUnavailable, match=wanted):
        choose_device("cuda")


@pytest.mark.parametrize(
    ("capability", "precision"), [((7, 5), "float32"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")]
)
def test_emulated_bfloat16_is_not_chosen(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], precision: str
) -> None:
    machine(monkeypatch, get_device_capability=capability)
    assert best_precision(GPU) == precision


@pytest.mark.parametrize(
    ("message", "kind", "words"),
    [
        ("CUDA error: out of memory", EngineUnavailable, "too little memory .*WORKER_SLOTS"),
        (
            "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
            EngineUnavailable,
            "too little memory",
        ),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", EngineUnavailable, "too little memory"),
        ("CUDA error: no kernel image is available", EngineUnavailable, "no kernels for cuda:0"),
        ("CUDA error: device kernel image is invalid", EngineUnavailable, "no kernels for cuda:0"),
        ("CUDA error: CUBLAS_STATUS_ARCH_MISMATCH when", EngineUnavailable, "no kernels for"),
        (
            "CUDA error: CUDA driver version is insufficient for CUDA runtime version",
            EngineUnavailable,
            "supports CUDA 12.4 and torch .* needs 13.0; update the driver",
        ),
        (
            "\nFound no NVIDIA driver on your system. Please check that you have a GPU",
            EngineUnavailable,
            "needs 13.0; update the driver",
        ),
        (
            "The NVIDIA driver on your system is too old (found version 12040).",
            EngineUnavailable,
            "needs 13.0; update the driver",
        ),
        (
            "Unexpected error from cudaGetDeviceCount(). Error 803: system has unsupported display driver",
            EngineUnavailable,
            "Error 803.*update the driver",
        ),
        (
            "CUDA error: the provided PTX was compiled with an unsupported toolchain.",
            EngineUnavailable,
            "update the driver",
        ),
        (
            "CUDA error: CUDA-capable device(s) is/are busy or unavailable",
            EngineUnavailable,
            "taken by another process .*nvidia-smi -c DEFAULT",
        ),
        ("CUDA error: device-side assert triggered", EngineBroken, "device-side"),
        ("CUDA error: an illegal memory access was encountered", EngineBroken, "illegal memory"),
        ("CUDA error: unspecified launch failure", EngineBroken, "launch failure"),
        ("CUDA error: uncorrectable ECC error encountered", EngineBroken, "ECC"),
        ("CUDA error: misaligned address", EngineBroken, "misaligned"),
        ("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling", EngineBroken, "EXECUTION"),
        ("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", EngineBroken, "EXECUTION"),
        ("CUDA driver error: unknown error", EngineBroken, "unknown"),
        ("shapes do not match", RuntimeError, "shapes"),
    ],
)
def test_a_failure_of_the_device_is_explained(
    monkeypatch: pytest.MonkeyPatch, message: str, kind: type[Exception], words: str
) -> None:
    monkeypatch.setattr(device_failures, "driver", lambda: Driver((12, 4), 1))
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    known = explained(RuntimeError(message + "\nCompile with TORCH_USE_CUDA_DSA"), GPU)
    assert type(known) is kind
    with pytest.raises(kind, match=words):
        raise known


def test_a_lack_of_memory_names_the_settings_that_need_less() -> None:
    for error, device in (
        (torch.OutOfMemoryError("tried 2 GiB"), GPU),
        (torch.AcceleratorError("CUDA error: out of memory"), GPU),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
            torch.device("cpu"),
        ),
    ):
        known = explained(error, device)
        assert isinstance(known, EngineUnavailable)
        assert known.retryable, "the sentence goes to another worker"
        assert f"{device} has too little memory" in str(known)
        assert "XTTS_PRECISION=bfloat16" in str(known)


def test_an_error_of_an_accelerator_with_a_new_text_breaks_it() -> None:
    assert isinstance(explained(torch.AcceleratorError("something new"), GPU), EngineBroken)
    on_cpu = RuntimeError("CUDA error: invalid device function")
    assert explained(on_cpu, torch.device("cpu")) is on_cpu


def test_the_driver_reports_its_version_and_its_gpus(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler to make a driver with")
    for status, reported in (
        (0, Driver((12, 8), 3)),
        (100, Driver((12, 8), 0)),  # no GPU, or all are hidden
        (803, Driver((12, 8), 0, 803)),  # it was updated, and the machine not restarted
        (34, None),  # the toolkit's stand-in
    ):
        source = tmp_path / "cuda.c"
        source.write_text(
            f"int cuInit(unsigned flags) {{ return {status}; }}\n"
            "int cuDriverGetVersion(int *v) { *v = 12080; return 0; }\n"
            "int cuDeviceGetCount(int *n) { *n = 3; return 0; }\n"
        )
        library = tmp_path / f"libcuda-{status}.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
        assert driver(str(library)) == reported
    assert driver(str(tmp_path / "missing.so")) is None
