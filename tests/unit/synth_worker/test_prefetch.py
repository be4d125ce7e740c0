"""Weights are fetched by a process of their own, under the same conditions as a worker's."""

import asyncio
from pathlib import Path

import pytest

from services.common.wire.failures import EngineUnavailable
from services.synth_worker.engines.xtts.weights.location import FILES
from services.synth_worker.prefetch import fetch
from services.synth_worker.settings import Settings


async def test_nothing_is_fetched_before_the_licence_is_accepted() -> None:
    with pytest.raises(EngineUnavailable, match="COQUI_TOS_AGREED"):
        await fetch(Settings(engine="xtts"), asyncio.Event())


async def test_files_that_are_there_are_enough(tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).touch()
    await fetch(Settings(engine="xtts", coqui_tos_agreed=True, xtts_model_dir=str(tmp_path)), asyncio.Event())


async def test_an_engine_that_brings_its_weights_needs_none() -> None:
    await fetch(Settings(engine="embedded"), asyncio.Event())
