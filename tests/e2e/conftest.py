"""Fixtures of the browser tests: everything that `./task run` starts, and a browser."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import soundfile
from playwright.sync_api import Browser

from services.common.runtime.local_nats import free_port
from tests.support.browser import browser, process, wait_until_ready
from tests.support.recordings import CLIP_FILE


@dataclass(frozen=True)
class Place:
    """The addresses of the service's parts."""

    service: str
    pages: str
    nats: str


@pytest.fixture(scope="package")
def running() -> Iterator[Place]:
    """Start everything as a stranger does."""
    port, ui_port = free_port(), free_port()
    arguments = ("run", "--port", str(port), "--ui-port", str(ui_port))
    service, pages = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{ui_port}"
    with process("services", *arguments, ready_url=f"{pages}/_stcore/health") as started:
        wait_until_ready(started.process, f"{service}/readyz")
        nats = re.search(r"nats +ready on (\S+)", started.output.read_text())
        assert nats is not None
        yield Place(service, pages, nats[1])


@pytest.fixture(
    scope="module"
)  # not session: while Playwright runs, no test in this thread can run an event loop
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Start a browser whose microphone hears the example voice."""
    samples, rate_hz = soundfile.read(io.BytesIO(CLIP_FILE.read_bytes()))
    microphone: Path = tmp_path_factory.mktemp("microphone") / "voice.wav"
    soundfile.write(microphone, samples, rate_hz, subtype="PCM_16")
    with browser(microphone) as started:
        yield started
