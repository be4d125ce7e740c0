"""One small checkpoint for all tests here, and stock coqui-tts with it."""

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


@pytest.fixture(autouse=True)
def _without_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield
