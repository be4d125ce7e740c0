"""The matrix products on older processors than this one: oneDNN is restricted to their instructions."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

_ROOT = Path(__file__).parents[5]
_CASES = Path(__file__).with_name("test_linear.py")


@pytest.mark.parametrize(("isa", "torchs"), [("AVX2", "avx2"), ("AVX512_CORE", "avx512")])
def test_products_are_right_and_their_rows_independent_on_older_processors(
    isa: str, torchs: str
) -> None:
    told = {"ONEDNN_MAX_CPU_ISA": isa, "ATEN_CPU_CAPABILITY": torchs, "OMP_NUM_THREADS": "1"}
    if torchs not in _at_hand():
        pytest.skip(f"this processor has no {torchs}")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(_CASES)],
        cwd=_ROOT,
        env=os.environ | told,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-1000:]


def _at_hand() -> set[str]:
    """Return the instruction sets that torch may use here."""
    has = {"avx2": torch.cpu._is_avx2_supported(), "avx512": torch.cpu._is_avx512_supported()}
    return {name for name, supported in has.items() if supported}
