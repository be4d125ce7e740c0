"""Imports coqui-tts with workarounds for its import-time problems, which are confined to this module.

- coqui-tts imports torchaudio, of whose compiled part it uses nothing. The torchaudio of PyPI is built
  for CUDA, and on a machine without CUDA's libraries that part does not load: an empty stub replaces it.
  Where it loads, as on a machine with a GPU, nothing is changed.
- coqui-tts refuses to start unless torchcodec is installed, but only checks that it is. It decodes files
  for stock's loaders, which are not used here: clips arrive as samples.
- coqui-tts imports `six` without declaring it; this project does.
- transformers logs two warnings whenever a decoder of so few codes is built, about ids that XTTS does not
  use.

Importing this module, or a module here that imports it, raises EngineUnavailable if a package is missing.
"""

import importlib
import importlib.util
import logging
import sys
from types import ModuleType
from typing import Any, Final

from services.common.wire.failures import EngineUnavailable

_EXTENSION: Final = "torchaudio._extension"


_PACKAGES: Final = ("torch", "torchaudio", "torchcodec", "TTS", "six")


def _check_installed() -> None:
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        names = ", ".join("coqui-tts" if name == "TTS" else name for name in missing)
        raise EngineUnavailable(
            f"the XTTS engine needs packages that are not installed ({names}); run `./task setup:xtts`, or "
            "`pip install '.[xtts]'`"
        )


def _import_torchaudio() -> Any:
    try:
        return importlib.import_module("torchaudio")
    except (OSError, RuntimeError):  # CUDA's libraries are missing, or their version is not torch's
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchaudio"]:
            del sys.modules[name]
        stand_in: Any = ModuleType(_EXTENSION)
        stand_in.fail_if_no_align = lambda function: function
        stand_in._IS_TORCHAUDIO_EXT_AVAILABLE = False  # noqa: SLF001  # torchaudio's own name
        sys.modules[_EXTENSION] = stand_in
        return importlib.import_module("torchaudio")


def _is_of_use(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(
        ("Model config: bos_token_id", "Model config: eos_token_id")
    )


_check_installed()
torchaudio: Final = _import_torchaudio()
logging.getLogger("transformers.configuration_utils").addFilter(_is_of_use)

import torch  # noqa: E402
from torch import Tensor  # noqa: E402
from TTS.encoder.models.resnet import ResNetSpeakerEncoder  # noqa: E402
from TTS.tts.layers.xtts.gpt import GPT  # noqa: E402
from TTS.tts.layers.xtts.hifigan_decoder import HifiDecoder  # noqa: E402
from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer  # noqa: E402

__all__ = [
    "GPT",
    "HifiDecoder",
    "ResNetSpeakerEncoder",
    "VoiceBpeTokenizer",
    "mel_spectrogram",
    "resample",
]


def resample(samples: Tensor, from_hz: int, to_hz: int) -> Tensor:
    """Return float32 [..., samples] at another rate, as torchaudio resamples (windowed sinc)."""
    resampled: Tensor = torchaudio.functional.resample(samples, from_hz, to_hz)
    return resampled


def mel_spectrogram(samples: Tensor, mean: Tensor) -> Tensor:
    """Return the log-mel spectrum that the conditioning encoder was trained on, float32 [batch, 80, frames].

    `samples` float32 [batch, n] at 22,050 Hz; `mean` [80] is the checkpoint's `mel_stats`. A frame is 256 samples.
    """
    spectrum = torchaudio.transforms.MelSpectrogram(
        n_fft=2048, hop_length=256, win_length=1024, power=2, normalized=False, sample_rate=22_050, f_min=0, f_max=8000,
        n_mels=80, norm="slaney",
    )  # fmt: skip
    mel: Tensor = torch.log(torch.clamp(spectrum(samples), min=1e-5))
    return mel / mean.unsqueeze(0).unsqueeze(-1)
