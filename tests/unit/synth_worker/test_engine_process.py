"""The engine process reports why a call failed, and ends when its engine is broken."""

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.common.wire.failures import EngineUnavailable
from services.synth_worker.engines.protocol import not_described
from services.synth_worker.isolation.engine_process import EngineServer

BROKEN = """
from services.synth_worker.engines.protocol import EngineBroken
from services.synth_worker.isolation.engine_process import RecordingEngine

class Engine:
    def __getattr__(self, name):
        return self.fail

    def fail(self, *arguments):
        raise EngineBroken("cuda:0 failed: device-side assert triggered")

RecordingEngine(Engine(), None).condition([])
"""


def test_a_broken_engine_ends_its_process_and_the_log_has_the_reason() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", BROKEN], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 70
    assert "engine_broken" in ended.stdout
    assert "device-side assert triggered" in ended.stdout


class FailingThread:
    """An engine thread whose calls fail."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def describe(self) -> Any:
        return not_described("xtts")

    async def load(self) -> None:
        raise self.error


def server(error: Exception) -> EngineServer:
    async def drained() -> None:
        return None

    writer = SimpleNamespace(write=lambda _: None, drain=drained)
    made = EngineServer(None, writer, None)  # type: ignore[arg-type]
    made._thread = FailingThread(error)  # type: ignore[assignment]
    return made


async def test_an_unexpected_failure_of_loading_keeps_its_message_and_its_traceback() -> None:
    error = RuntimeError("CUDA error: no kernel image is available for execution on the device")
    with capture_logs() as logged, pytest.raises(EngineUnavailable) as raised:
        await server(error)._load()
    assert "cannot be loaded: RuntimeError: CUDA error: no kernel image" in str(raised.value)
    [event] = logged
    assert (event["event"], event["exc_info"]) == ("engine_load_failed", True)


async def test_advice_of_the_engine_is_passed_on_as_it_is() -> None:
    with capture_logs() as logged, pytest.raises(EngineUnavailable, match="set COQUI_TOS_AGREED"):
        await server(EngineUnavailable("set COQUI_TOS_AGREED=1"))._load()
    assert logged == []
