"""The web interface as its users meet it: chromium, the pages, the edge, a splitter and the embedded engine."""

import io
import re
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from services.common.runtime.local_nats import free_port
from tests.support.browser import browser, open_page, process

TEXT = "Bonjour à tous. " + "Voici une phrase assez longue pour que la synthèse dure un peu de temps. " * 6


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Start everything that `./task run` starts; yield the interface's address."""
    port, ui_port = free_port(), free_port()
    arguments = ("run", "--port", str(port), "--ui-port", str(ui_port))
    with (
        process("services", *arguments, environment={}, ready_url=f"http://127.0.0.1:{port}/readyz"),
    ):
        yield f"http://127.0.0.1:{ui_port}"


@pytest.fixture(scope="module")
def chrome(microphone: Path) -> Iterator[Browser]:
    with browser(microphone) as running:
        yield running


@pytest.fixture
def page(chrome: Browser, address: str) -> Iterator[Page]:
    shown = open_page(chrome, address)
    yield shown
    expect(shown.get_by_test_id("stException")).to_have_count(0)
    shown.context.close()


def test_streaming_is_heard_before_it_is_whole_and_then_downloaded(page: Page) -> None:
    page.get_by_label("Texte à dire").fill(TEXT)
    page.get_by_label("Texte à dire").blur()
    expect(page.get_by_text(f"{len(TEXT)} caractères")).to_be_visible()
    page.get_by_role("button", name="Générer").click()
    player = page.get_by_test_id("player")
    expect(player).to_have_attribute("data-state", "playing", timeout=30_000)
    expect(player).to_have_attribute("data-heard", re.compile(r"^(0\.[2-9]|[1-9])"))
    received = float(player.get_attribute("data-received") or 0)
    expect(page.get_by_text("premier son après")).to_be_visible()
    with page.expect_download(timeout=60_000) as waiting:
        page.get_by_role("button", name="Télécharger en WAV").click(timeout=60_000)
    with wave.open(io.BytesIO(waiting.value.path().read_bytes())) as file:
        seconds = file.getnframes() / file.getframerate()
    assert seconds > 15
    assert received < seconds - 3, "it was heard when all had come"
