"""One small checkpoint for all tests here, and stock coqui-tts with it.

`XTTS_TEST_DEVICE=cuda` runs the tests of the decoder, the vocoder and the engine on a GPU; stock stays on the CPU.
"""

import copy
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.xtts_checkpoint import make_checkpoint, stock_model


@pytest.fixture(scope="session")
def checkpoint_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("xtts")
    make_checkpoint(folder)
    return folder


@pytest.fixture(scope="session")
def stock(checkpoint_folder: Path) -> Any:
    return stock_model(checkpoint_folder)


@pytest.fixture(scope="session")
def device() -> str:
    return os.environ.get("XTTS_TEST_DEVICE", "cpu")


@pytest.fixture(scope="session")
def gpt(stock: Any, device: str) -> Any:
    """Return the decoder's module on the device under test."""
    return copy.deepcopy(stock.gpt).to(device)


@pytest.fixture
def promised_on_a_cpu(device: str) -> None:
    if device != "cpu":
        pytest.skip("equality to the last bit is promised on a CPU only")


@pytest.fixture(autouse=True, scope="session")
def _exact_products() -> None:
    """Compare without TF32, which rounds float32 operands of a GPU's products."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


@pytest.fixture(autouse=True)
def _without_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield
