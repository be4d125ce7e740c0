"""Configuration mistakes are reported at the start: an open address, a typo. This needs no NATS."""

import asyncio
import json
import os
import sys
from typing import Any

import pytest

from services.common.runtime.local_nats import free_port
from services.http_edge.settings import Settings


async def warned(module: str, **environment: str) -> list[dict[str, Any]]:
    """Start a service and return the warnings that it logs before it looks for NATS, which is not there."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module),
        env=os.environ
        | {"NATS_URL": f"nats://127.0.0.1:{free_port()}", "ENGINE": "tone"}
        | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(60):
        while line := await process.stdout.readline():
            event = json.loads(line) if line.startswith(b"{") else {"event": line.decode()}
            if event["event"] not in ("unknown_setting", "open_without_keys"):
                break
            found.append(event)
    process.kill()
    await process.communicate()
    return found


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "voice.example"])
async def test_an_edge_on_a_public_address_without_keys_warns(host: str) -> None:
    (warning,) = await warned("services.http_edge", HTTP_HOST=host)
    assert (warning["event"], warning["level"], warning["host"]) == (
        "open_without_keys",
        "warning",
        host,
    )
    assert "API_KEYS_FILE" in warning["advice"]


@pytest.mark.parametrize(
    "settings",
    [{}, {"http_host": "localhost"}, {"http_host": "0.0.0.0", "api_keys_file": "keys.toml"}],
)
def test_an_edge_that_is_reached_from_this_machine_or_asks_for_keys_is_not_open(
    settings: dict[str, str],
) -> None:
    assert not Settings(**settings).open_to_all  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "module", ["services.http_edge", "services.splitter", "services.synth_worker"]
)
async def test_a_typo_is_reported_in_one_line_with_the_nearest_setting_and_without_its_value(
    module: str,
) -> None:
    warnings = await warned(
        module, API_KEY_FILE="/secret/keys.toml", HTTP_PROT="80", NATS_SERVICE_HOST="10.0.0.1"
    )
    assert [(each["name"], each["nearest"]) for each in warnings] == [
        ("API_KEY_FILE", "API_KEYS_FILE"),
        ("HTTP_PROT", "HTTP_PORT"),
    ]
    assert "/secret" not in str(warnings)
