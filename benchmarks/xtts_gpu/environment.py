"""Step 1: driver, versions, the GPU, and whether torch computes on it."""

import importlib.metadata
import os
import platform
import sys

import torch

from benchmarks.xtts_gpu.bench import Bench
from benchmarks.xtts_gpu.findings import Findings
from services.synth_worker.engines.xtts.devices import best_precision, choose_device, driver

_SIZE = 256


def examine(bench: Bench, findings: Findings) -> None:
    """Record what the machine is, and multiply two matrices on the device."""
    findings.figures |= {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "built for CUDA": torch.version.cuda,
        "coqui-tts": importlib.metadata.version("coqui-tts"),
        "driver": str(driver()),
        "cpus": os.cpu_count(),
        "cpu capability": torch.backends.cpu.get_cpu_capability(),
        "weights": "released" if bench.released else "random",
    }
    device = choose_device(bench.device)
    findings.figures["precision"] = best_precision(device)
    ones = torch.ones((_SIZE, _SIZE), device=device)
    product = float((ones @ ones).sum())
    findings.check("the device multiplies matrices", product == float(_SIZE**3), product)
    if device.type != "cuda":
        findings.skip("the GPU", "the device is a CPU")
        return
    properties = torch.cuda.get_device_properties(device)
    findings.figures |= {
        "gpu": properties.name,
        "gpus": torch.cuda.device_count(),
        "capability": f"{properties.major}.{properties.minor}",
        "architectures of torch": " ".join(torch.cuda.get_arch_list()),
        "VRAM MiB": properties.total_memory // 2**20,
        "cuDNN": torch.backends.cudnn.version(),
        "TF32": {
            "matmul": torch.backends.cuda.matmul.allow_tf32,
            "cudnn": torch.backends.cudnn.allow_tf32,
        },
    }
    extension = sys.modules.get("torchaudio._extension")
    real = getattr(extension, "__file__", None) is not None
    findings.check("torchaudio loads without the substitute of its compiled part", real)
