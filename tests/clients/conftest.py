"""A service for clients that cannot send a seed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.http_edge.intake.clips import ClipIntake
from services.http_edge.intake.forms.form import Form
from tests.support.front import Front, front

SEED = 42


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Front]:
    """Run a service that draws the seed of `expected_pcm` for every request."""

    def seed(_intake: ClipIntake, _form: Form) -> int:
        return SEED

    monkeypatch.setattr(ClipIntake, "seed", seed)
    async with front(tmp_path) as made:
        yield made
