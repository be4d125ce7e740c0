import subprocess
import sys
from pathlib import Path

import pytest
import torch

from services.synth_worker.engines.xtts.weights.imports import mel_spectrogram, resample

# isort: split
import torchaudio
from TTS.tts.models.xtts import wav_to_mel_cloning

MODULE = "services.synth_worker.engines.xtts.weights.imports"
SOUND = torch.sin(torch.arange(22_050) / 11)[None] * 0.3


def run(program: str) -> str:
    """Run a program in a separate process, with warnings as errors; return what it printed."""
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert finished.stderr == ""
    return finished.stdout.strip()


@pytest.mark.parametrize(
    ("package", "name"), [("torch", "torch"), ("TTS", "coqui-tts"), ("six", "six")]
)
def test_a_package_that_is_missing_is_named_with_the_command_that_installs_it(
    package: str, name: str
) -> None:
    said = run(f"""
import sys
from services.common.wire.failures import EngineUnavailable
sys.modules[{package!r}] = None  # as if it were not installed
try:
    import {MODULE}
except EngineUnavailable as refusal:
    print(refusal)
""")
    assert f"not installed ({name})" in said
    assert "./task setup:xtts" in said
    assert "pip install '.[xtts]'" in said


def test_a_torchaudio_that_loads_is_left_as_it_is() -> None:
    said = run(f"""
import sys, torch, types
for name in ("_lfilter_core_loop", "_overdrive_core_loop"):
    torch.library.define(f"torchaudio::{{name}}", "(Tensor a) -> ()")
own = types.ModuleType("torchaudio._extension")
own.fail_if_no_align = lambda function: function
own._IS_TORCHAUDIO_EXT_AVAILABLE = True
sys.modules["torchaudio._extension"] = own  # as it is where CUDA's libraries are
import {MODULE}
print(sys.modules["torchaudio._extension"] is own)
""")
    assert said == "True"


def test_a_checkpoint_is_loaded_without_a_word(checkpoint_folder: Path) -> None:
    said = run(f"""
from pathlib import Path
from services.synth_worker.engines.xtts.weights.checkpoint import load
print(load(Path({str(checkpoint_folder)!r}), 261, 0, 300).gpt.heads)
""")
    assert said == "4"


def test_the_spectrum_is_the_one_that_stock_computes() -> None:
    mean = torch.linspace(1.0, 3.0, 80)
    expected = wav_to_mel_cloning(
        SOUND, mel_norms=mean, n_fft=2048, hop_length=256, win_length=1024, power=2, normalized=False,
        sample_rate=22_050, f_min=0, f_max=8000, n_mels=80,
    )  # fmt: skip
    assert torch.equal(mel_spectrogram(SOUND, mean), expected)


def test_audio_is_resampled_as_stock_resamples() -> None:
    assert torch.equal(
        resample(SOUND, 22_050, 16_000), torchaudio.functional.resample(SOUND, 22_050, 16_000)
    )
    assert resample(SOUND, 22_050, 16_000).shape == (1, 16_000)
