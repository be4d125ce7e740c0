"""Fixtures of the browser tests: everything that `./task run` starts, and a browser."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import soundfile
from playwright.sync_api import Browser, BrowserContext, Page, expect

from services.common.runtime.local_nats import free_port
from tests.support.browser import (
    Running,
    browser,
    open_window,
    process,
    show_page,
    wait_until_ready,
)
from tests.support.recordings import CLIP_FILE


@dataclass(frozen=True)
class Place:
    """The addresses of the service's parts."""

    service: str
    pages: str
    nats: str


def nats_url(started: Running) -> str:
    """Return the address of the NATS server that a `services run` has started."""
    found = re.search(r"nats +ready on (\S+)", started.output.read_text())
    assert found is not None
    return found[1]


@pytest.fixture(scope="package")
def running() -> Iterator[Place]:
    """Start everything as a stranger does."""
    port, ui_port = free_port(), free_port()
    arguments = ("run", "--port", str(port), "--ui-port", str(ui_port))
    service, pages = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{ui_port}"
    with process("services", *arguments, ready_url=f"{pages}/_stcore/health") as started:
        wait_until_ready(started.process, f"{service}/readyz")
        yield Place(service, pages, nats_url(started))


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


@pytest.fixture
def address(running: Place) -> str:
    """Return the address of the pages."""
    return running.pages


@pytest.fixture(scope="module")
def window(chrome: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    """Open a window of the module's size, whose pages are loaded once: it caches their scripts."""
    width, height = getattr(request.module, "WINDOW", (1366, 900))
    opened = open_window(chrome, viewport={"width": width, "height": height})
    yield opened
    opened.close()


@pytest.fixture
def page(window: BrowserContext, address: str) -> Iterator[Page]:
    """Open the pages without stored data, and close them if no error is shown."""
    shown = show_page(window, address)
    try:
        yield shown
        expect(shown.get_by_test_id("stException")).to_have_count(0)
        expect(shown.get_by_text("Traceback")).to_have_count(0)
    finally:
        for each in window.pages:
            each.close()
