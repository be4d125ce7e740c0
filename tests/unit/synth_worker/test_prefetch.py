"""The prefetch process downloads the weights on the same conditions as a worker."""

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


async def test_existing_files_are_not_downloaded_again(tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).touch()
    await fetch(
        Settings(engine="xtts", coqui_tos_agreed=True, xtts_model_dir=str(tmp_path)),
        asyncio.Event(),
    )


async def test_an_engine_with_bundled_weights_downloads_nothing() -> None:
    await fetch(Settings(engine="embedded"), asyncio.Event())
