"""Failures of the device during the work, explained: what an operator can do, or that the process must be replaced.

torch raises one type for most of them, so their texts decide: those of CUDA (cudaGetErrorString), its libraries and
torch's allocators. Errors of CUDA are sticky: after one, every later call fails, except after a lack of memory and
after errors that occur before there is a context, such as those of the driver.
"""

from typing import Final

import torch

from services.common.wire.failures import EngineUnavailable
from services.synth_worker.engines.protocol import EngineBroken
from services.synth_worker.engines.xtts.devices import ON_CPU, driver, why_unusable

_NO_MEMORY: Final = (
    "out of memory",
    "STATUS_ALLOC_FAILED",  # of cuBLAS, cuDNN, cuFFT
    "HOST_ALLOCATION_FAILED",
    "can't allocate memory",  # of torch's allocator on a CPU
    "not enough memory",
)
_NO_KERNELS: Final = ("no kernel image", "kernel image is invalid", "ARCH_MISMATCH")
_DRIVER: Final = (
    "driver version is insufficient",
    "driver on your system is too old",
    "no NVIDIA driver",
    "No CUDA GPUs are available",
    "no CUDA-capable device is detected",
    "driver initialization failed",
    "unsupported display driver",
    "forward compatibility was attempted",
    "system not yet initialized",
    "unsupported toolchain",
)
_TAKEN: Final = "busy or unavailable"
_BROKEN: Final = (
    "CUDA error",
    "CUDA driver error",
    "device-side assert",
    "illegal memory access",
    "misaligned address",
    "launch failure",
    "STATUS_EXECUTION_FAILED",
    "STATUS_MAPPING_ERROR",
)


def explained(error: Exception, device: torch.device) -> Exception:
    """Return the failure for an exception of torch, with what an operator can do; others as they are.

    A CUDA error other than a lack of memory breaks the context of the process for good: EngineBroken.
    """
    message = str(error).strip().partition("\n")[0]

    if isinstance(error, torch.OutOfMemoryError) or _has(message, _NO_MEMORY):
        return EngineUnavailable(
            f"{device} has too little memory ({message}); {_less_memory(device)}"
        )
    if device.type != "cuda":
        return error

    advice = _advice(message, device)
    if advice:
        return EngineUnavailable(advice)
    if isinstance(error, torch.AcceleratorError) or _has(message, _BROKEN):
        return EngineBroken(f"{device} failed: {message}")
    return error


def _has(message: str, parts: tuple[str, ...]) -> bool:
    return any(part in message for part in parts)


def _advice(message: str, device: torch.device) -> str:
    """Return what to do about an error of a GPU's installation; empty for other errors."""
    if _has(message, _NO_KERNELS):
        return f"torch {torch.__version__} has no kernels for {device}; install a build of torch for this GPU, {ON_CPU}"
    if _has(message, _DRIVER):
        return f"{device} cannot be used ({message}): {why_unusable(driver())}"
    if _TAKEN in message:
        return (
            f"{device} is taken by another process ({message}); run one worker per GPU, or let processes share it with "
            "`nvidia-smi -c DEFAULT`"
        )
    return ""


def _less_memory(device: torch.device) -> str:
    if device.type == "cuda":
        return "lower WORKER_SLOTS, or set XTTS_PRECISION=bfloat16"
    return "run fewer workers, lower WORKER_SLOTS, or set XTTS_PRECISION=bfloat16"
