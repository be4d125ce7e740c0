"""The device that the model computes on, chosen and checked.

torch answers only whether it can use a GPU. An operator needs the reason, so the driver is asked as well, through
libcuda (CUDA Driver API: cuInit, cuDriverGetVersion, cuDeviceGetCount).
"""

import ctypes
from typing import Final, NamedTuple

import torch

from services.common.wire.failures import EngineUnavailable
from services.synth_worker.engines.xtts.decoder.linear import Precision

_LIBRARY: Final = "libcuda.so.1"
ON_CPU: Final = "or set DEVICE=cpu"
_BFLOAT16_FROM: Final = (8, 0)  # compute capability of the first GPUs that multiply in bfloat16
_NO_DEVICE: Final = (
    100  # cuInit's answers without a GPU, and of the toolkit's stand-in for the driver's library
)
_STUB: Final = 34


class Driver(NamedTuple):
    """The report of the GPU driver."""

    cuda: tuple[
        int, int
    ]  # the newest version of CUDA that it supports; (0, 0) if it does not answer
    gpus: int
    error: int = 0  # of cuInit: the driver is installed and does not work


def driver(library: str = _LIBRARY) -> Driver | None:
    """Return what the driver reports; None without a driver."""
    try:
        cuda = ctypes.CDLL(library)
    except OSError:
        return None

    error = cuda.cuInit(0)
    if error == _STUB:
        return None

    version, gpus = ctypes.c_int(), ctypes.c_int()
    cuda.cuDriverGetVersion(ctypes.byref(version))  # which works without cuInit
    supported = (version.value // 1000, version.value % 1000 // 10)
    if error == 0:
        error = cuda.cuDeviceGetCount(ctypes.byref(gpus))
    return Driver(supported, gpus.value, 0 if error == _NO_DEVICE else error)


def choose_device(name: str) -> torch.device:
    """Return the device of a setting: `auto`, `cpu`, `cuda` or `cuda:N`; `auto` is a GPU if there is one.

    Raises EngineUnavailable, with the reason, if the machine does not have it, and if `auto` finds a GPU that torch
    cannot use: a fall to the processor would be noticed only by its speed.
    """
    if name == "cpu":
        return torch.device("cpu")

    if not torch.cuda.is_available():
        found = driver()
        if name == "auto" and (found is None or (found.gpus == 0 and not found.error)):
            return torch.device("cpu")
        raise EngineUnavailable(f"DEVICE is {name}, and {why_unusable(found)}")

    device = torch.device("cuda", 0) if name in ("auto", "cuda") else torch.device(name)
    count = torch.cuda.device_count()
    if (device.index or 0) >= count:
        raise EngineUnavailable(
            f"DEVICE is {name}, and torch finds {count} GPUs; send one from cuda:0 to cuda:{count - 1}"
        )

    _require_kernels(device)
    return device


def why_unusable(found: Driver | None) -> str:
    """Return why torch cannot use a GPU here, and what to do; `found` is what the driver reports."""
    built_for = torch.version.cuda
    if built_for is None:
        return (
            f"this torch ({torch.__version__}) cannot use a GPU, as it is built without CUDA; install the CUDA build, "
            f"{ON_CPU}"
        )

    if found is None:
        return f"no GPU driver was found; install NVIDIA's driver (torch needs CUDA {built_for}), {ON_CPU}"

    supported = ".".join(map(str, found.cuda))
    needed = tuple(int(part) for part in built_for.split(".")[:2])
    if found.cuda < needed:
        return (
            f"the driver supports CUDA {supported} and torch {torch.__version__} needs {built_for}; update the driver, "
            f"install a torch built for CUDA {supported}, {ON_CPU}"
        )

    if found.error:
        return (
            f"the GPU driver (CUDA {supported}) fails with error {found.error} of cuInit; see `nvidia-smi`, reboot "
            f"after an update of the driver, start nvidia-fabricmanager on a machine with NVSwitch, {ON_CPU}"
        )

    return (
        f"torch {torch.__version__} (CUDA {built_for}) finds none of the {found.gpus} GPUs of the driver (CUDA "
        f"{supported}); check CUDA_VISIBLE_DEVICES and the container's GPU access, {ON_CPU}"
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
            f"torch, {ON_CPU}"
        )


def best_precision(device: torch.device) -> Precision:
    """Return bfloat16 where the device multiplies in it, else float32. Emulated bfloat16 does not count."""
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        return "bfloat16" if capability >= _BFLOAT16_FROM else "float32"

    has = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # noqa: SLF001
    return "bfloat16" if has else "float32"
