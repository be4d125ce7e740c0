"""Fixtures that the integration tests share."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.front import Front, front


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Front]:
    """Start one service for a file. The parameter is the engine's real-time factor; without one, it takes no time."""
    factor = getattr(request, "param", 0.0)
    async with front(tmp_path_factory.mktemp("nats"), real_time_factor=factor) as made:
        yield made
