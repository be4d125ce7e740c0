"""The device that the model computes on: chosen, checked, and its failures explained.

torch answers only whether it can use a GPU. An operator needs the reason, so the driver is asked as well, through
libcuda (CUDA Driver API: cuInit, cuDriverGetVersion, cuDeviceGetCount).
"""

import ctypes
from typing import Final, NamedTuple

import torch

from services.common.wire.failures import EngineUnavailable
from services.synth_worker.engines.protocol import EngineBroken
from services.synth_worker.engines.xtts.decoder.linear import Precision

_LIBRARY: Final = "libcuda.so.1"
_ON_CPU: Final = "or set DEVICE=cpu"
_BFLOAT16_FROM: Final = (8, 0)  # compute capability of the first GPUs that multiply in bfloat16
_PARTS_OF_BROKEN: Final = ("CUDA error", "device-side assert", "illegal memory access")


class Driver(NamedTuple):
    """The report of the GPU driver."""

    cuda: tuple[int, int]  # the newest version of CUDA that it supports
    gpus: int


def driver(library: str = _LIBRARY) -> Driver | None:
    """Return what the driver reports; None without a driver, or if it does not work."""
    try:
        cuda = ctypes.CDLL(library)
    except OSError:
        return None

    version, gpus = ctypes.c_int(), ctypes.c_int()
    if (
        cuda.cuInit(0) != 0
        or cuda.cuDriverGetVersion(ctypes.byref(version)) != 0
        or cuda.cuDeviceGetCount(ctypes.byref(gpus)) != 0
    ):
        return None

    return Driver((version.value // 1000, version.value % 1000 // 10), gpus.value)


def choose_device(name: str) -> torch.device:
    """Return the device of a setting: `auto`, `cpu`, `cuda` or `cuda:N`; `auto` is a GPU if there is one.

    Raises EngineUnavailable, with the reason, if the machine does not have it, and if `auto` finds a GPU that torch
    cannot use: a fall to the processor would be noticed only by its speed.
    """
    if name == "cpu":
        return torch.device("cpu")

    if not torch.cuda.is_available():
        found = driver()
        if name == "auto" and (found is None or found.gpus == 0):
            return torch.device("cpu")
        raise EngineUnavailable(f"DEVICE is {name}, and {_why_unusable(found)}")

    device = torch.device("cuda", 0) if name in ("auto", "cuda") else torch.device(name)
    count = torch.cuda.device_count()
    if (device.index or 0) >= count:
        raise EngineUnavailable(
            f"DEVICE is {name}, and torch finds {count} GPUs; send one from cuda:0 to cuda:{count - 1}"
        )

    _require_kernels(device)
    return device


def _why_unusable(found: Driver | None) -> str:
    """Return why torch cannot use a GPU here, and what to do."""
    built_for = torch.version.cuda
    if built_for is None:
        return (
            f"this torch ({torch.__version__}) cannot use a GPU, as it is built without CUDA; install the CUDA build, "
            f"{_ON_CPU}"
        )

    if found is None:
        return f"no GPU driver was found; install NVIDIA's driver (torch needs CUDA {built_for}), {_ON_CPU}"

    supported = ".".join(map(str, found.cuda))
    needed = tuple(int(part) for part in built_for.split(".")[:2])
    if found.cuda < needed:
        return (
            f"the driver supports CUDA {supported} and torch {torch.__version__} needs {built_for}; update the driver, "
            f"install a torch built for CUDA {supported}, {_ON_CPU}"
        )

    return (
        f"torch {torch.__version__} (CUDA {built_for}) finds none of the {found.gpus} GPUs of the driver (CUDA "
        f"{supported}); check CUDA_VISIBLE_DEVICES and the container's GPU access, {_ON_CPU}"
    )


def _require_kernels(device: torch.device) -> None:
    """Raise EngineUnavailable if this torch has no kernels for the GPU's compute capability."""
    major, minor = torch.cuda.get_device_capability(device)
    known = [name.rpartition("_")[2] for name in torch.cuda.get_arch_list()]
    supported = {int(name) for name in known if name.isdigit()}
    # a cubin runs on later minor versions of its major version; PTX (compute_..) on all later ones
    runs = any(number // 10 == major and number % 10 <= minor for number in supported)
    later = any(
        name.startswith("compute_") and int(name.rpartition("_")[2]) <= 10 * major + minor
        for name in torch.cuda.get_arch_list()
        if name.rpartition("_")[2].isdigit()
    )
    if supported and not runs and not later:
        raise EngineUnavailable(
            f"{torch.cuda.get_device_name(device)} has compute capability {major}.{minor}, and torch "
            f"{torch.__version__} has kernels for {', '.join(torch.cuda.get_arch_list())}; install another build of "
            f"torch, {_ON_CPU}"
        )


def best_precision(device: torch.device) -> Precision:
    """Return bfloat16 where the device multiplies in it, else float32. Emulated bfloat16 does not count."""
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        return "bfloat16" if capability >= _BFLOAT16_FROM else "float32"

    has = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # noqa: SLF001
    return "bfloat16" if has else "float32"


def explained(error: Exception, device: torch.device) -> Exception:
    """Return the failure for an exception of torch, with what an operator can do; others as they are.

    A CUDA error other than a lack of memory breaks the context of the process for good: EngineBroken.
    """
    message = str(error).partition("\n")[0]

    if isinstance(error, torch.OutOfMemoryError):
        return EngineUnavailable(
            f"{device} has too little memory ({message}); lower WORKER_SLOTS, or set XTTS_PRECISION=bfloat16"
        )
    if "no kernel image" in message:
        return EngineUnavailable(
            f"torch {torch.__version__} has no kernels for {device}; install a build of torch for this GPU, {_ON_CPU}"
        )
    if "driver version is insufficient" in message:
        return EngineUnavailable(f"DEVICE is {device}, and {_why_unusable(driver())}")
    if device.type == "cuda" and (
        isinstance(error, torch.AcceleratorError)
        or any(part in message for part in _PARTS_OF_BROKEN)
    ):
        return EngineBroken(f"{device} failed: {message}")

    return error
