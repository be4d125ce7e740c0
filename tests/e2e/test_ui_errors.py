"""The web interface's error messages: never a traceback, always a remedy."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import requests
import soundfile
from playwright.sync_api import Browser, Page, expect

from services.common.runtime.local_nats import free_port
from tests.e2e.conftest import Place, nats_url
from tests.support.browser import open_page, process, settle
from tests.support.recordings import CLIP_FILE

LONG = "Voici une phrase assez longue pour que la synthèse dure un peu de temps. " * 60


@pytest.fixture(scope="module")
def edge_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def pages(edge_port: int) -> Iterator[str]:
    """Start the pages alone, before a service of theirs."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    with process(
        "ui",
        ready_url=f"{url}/_stcore/health",
        UI_PORT=str(port),
        SERVICE_URL=f"http://127.0.0.1:{edge_port}",
    ):
        yield url


@contextmanager
def slow_service() -> Iterator[str]:
    """Run a service whose engine needs the duration of the audio, but no processor; yield its NATS URL."""
    port = free_port()
    with process(
        "services",
        *("run", "--no-ui", "--port", str(port)),
        ready_url=f"http://127.0.0.1:{port}/readyz",
        ENGINE="tone",
        TONE_REAL_TIME_FACTOR="1",
    ) as started:
        yield nats_url(started)


@pytest.fixture
def address(pages: str) -> str:
    """Return the address of the pages that run alone."""
    return pages


def speak(page: Page, text: str) -> None:
    page.get_by_label("Texte à dire").fill(text)
    page.get_by_label("Texte à dire").blur()
    settle(page)
    page.get_by_role("button", name="Générer").click()


def reload_until_the_service_answers(page: Page) -> None:
    """Reload the page until it no longer shows its last knowledge of a dead service. Raises TimeoutError."""
    for _ in range(60):
        page.reload()
        page.get_by_role("tab").first.wait_for()
        settle(page)
        if page.get_by_text("Le service ne répond pas").count() == 0:
            return
        time.sleep(1)
    raise TimeoutError("the page never noticed that its service answers")


def wait_until_full(service: str) -> None:
    """Wait until the service has more backlog than it admits. Raises TimeoutError."""
    for _ in range(200):
        said = requests.get(f"{service}/metrics", timeout=60).text
        due = {
            name: float(value)
            for name, value in re.findall(r"^(tts_due_audio_\w+) (\S+)$", said, re.MULTILINE)
        }
        if due["tts_due_audio_seconds"] > due["tts_due_audio_limit_seconds"]:
            return
        time.sleep(0.1)
    raise TimeoutError("the service never had much to do")


def test_an_unreachable_service_is_reported_in_every_tab(page: Page) -> None:
    expect(page.get_by_text(re.compile("Le service ne répond pas")).first).to_be_visible()
    speak(page, "Bonjour.")
    expect(
        page.get_by_role("tabpanel").get_by_text("Le service ne répond pas").first
    ).to_be_visible()
    page.get_by_role("tab", name="Lecture de texte").click()
    page.get_by_role("button", name="Lire", exact=True).click()
    panel = page.get_by_role("tabpanel", name="Lecture de texte")
    expect(panel.get_by_text("Vérifiez qu’il est démarré")).to_be_visible()
    page.get_by_role("tab", name="Paramètres avancés").click()
    expect(
        page.get_by_role("tabpanel", name="Paramètres").get_by_text("Le service ne répond pas")
    ).to_be_visible()


def test_a_busy_service_is_waited_for_and_a_dying_one_reports_missing_audio(
    chrome: Browser, page: Page, edge_port: int, pages: str
) -> None:
    url = f"http://127.0.0.1:{edge_port}"
    small = {"ENGINE": "tone", "HTTP_PORT": str(edge_port), "QUEUE_AUDIO_S": "0.5"}
    with (
        slow_service() as nats,
        process("services.http_edge", ready_url=f"{url}/readyz", NATS_URL=nats, **small) as edge,
    ):
        reload_until_the_service_answers(page)
        speak(page, "Bonjour, ceci est court.")  # the engine's speed is known once it has spoken
        expect(page.get_by_role("link", name="Télécharger en WAV")).to_be_visible()
        other = open_page(chrome, pages)
        speak(page, LONG)
        wait_until_full(url)
        speak(other, "Bonjour.")
        expect(other.get_by_text("Le service est occupé : votre demande attend")).to_be_visible()
        other.context.close()
        expect(page.get_by_test_id("player")).to_have_attribute("data-state", "playing")
        edge.kill()
        expect(
            page.get_by_text(re.compile("coupée avant la fin|ne répond pas|interrompu")).first
        ).to_be_visible()


def test_a_file_without_audio_is_refused_in_plain_words(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "voice.wav"
    file.write_bytes(b"this is no sound at all" * 100)
    panel = page.get_by_role("tabpanel", name="Synthèse rapide")
    panel.get_by_test_id("stFileUploader").locator("input").set_input_files(file)
    expect(panel.get_by_text("Ce fichier ne contient pas de son lisible")).to_be_visible()


def test_a_text_that_is_too_long_is_refused_before_it_is_sent(page: Page) -> None:
    page.get_by_label("Texte à dire").fill("a" * 5_001)
    page.get_by_label("Texte à dire").blur()
    expect(page.get_by_text("Texte trop long")).to_be_visible()
    expect(page.get_by_role("button", name="Générer")).to_be_disabled()


def until_nothing_is_due(running: Place) -> None:
    """Wait until earlier tests' requests are spoken: a busy service refuses before it reads a recording."""
    address, idle = (
        f"{running.service}/metrics",
        re.compile(r"^tts_due_audio_seconds 0\.0$", re.MULTILINE),
    )
    give_up_s = time.monotonic() + 900
    while not idle.search(requests.get(address, timeout=60).text):
        assert time.monotonic() < give_up_s, "the service does not come to rest"
        time.sleep(0.2)


def test_a_recording_that_the_service_refuses_is_explained(
    chrome: Browser, running: Place, tmp_path: Path
) -> None:
    tone = tmp_path / "tone.wav"
    soundfile.write(tone, 0.3 * np.sin(np.arange(16_000 * 5) * 0.17), 16_000)
    page = open_page(chrome, running.pages)
    panel = page.get_by_role("tabpanel", name="Synthèse rapide")
    panel.get_by_test_id("stFileUploader").locator("input").set_input_files(tone)
    expect(panel.get_by_text("Beaucoup de bruit")).to_be_visible()
    settle(page)
    panel.get_by_text("La personne qui parle est d’accord").click()
    expect(page.get_by_role("button", name="Générer")).to_be_enabled()
    until_nothing_is_due(running)
    page.get_by_role("button", name="Générer").click()
    expect(page.get_by_text("Cet enregistrement ne peut pas servir de voix")).to_be_visible()
    page.context.close()


def test_a_silent_recording_is_refused_before_it_is_sent(page: Page, tmp_path: Path) -> None:
    silence = tmp_path / "silence.wav"
    soundfile.write(silence, np.zeros(16_000 * 5), 16_000)
    panel = page.get_by_role("tabpanel", name="Synthèse rapide")
    panel.get_by_test_id("stFileUploader").locator("input").set_input_files(silence)
    expect(panel.get_by_text("L’enregistrement est presque silencieux")).to_be_visible()
    expect(page.get_by_role("button", name="Générer")).to_be_disabled()
    expect(panel.get_by_text("La personne qui parle est d’accord")).to_have_count(0)


def test_a_press_of_a_button_that_was_shown_with_a_lost_voice_speaks_in_no_other(
    chrome: Browser, running: Place, tmp_path: Path
) -> None:
    port = str(free_port())
    pages = f"http://127.0.0.1:{port}"
    settings = {"UI_PORT": port, "SERVICE_URL": running.service}
    voice = tmp_path / "mine.wav"
    samples, rate_hz = soundfile.read(CLIP_FILE)
    soundfile.write(voice, samples[: 7 * rate_hz], rate_hz)
    with process("ui", ready_url=f"{pages}/_stcore/health", **settings):
        page = open_page(chrome, pages)
        panel = page.get_by_role("tabpanel", name="Synthèse rapide")
        panel.get_by_test_id("stFileUploader").locator("input").set_input_files(voice)
        expect(panel.get_by_role("combobox", name="Voix").first).to_have_value("mine.wav")
        panel.get_by_text("La personne qui parle est d’accord").click()
        expect(page.get_by_role("button", name="Générer")).to_be_enabled()
        settle(page)
    with process("ui", ready_url=f"{pages}/_stcore/health", **settings):
        expect(panel.get_by_text("L’enregistrement choisi n’est plus là")).to_be_visible()
        expect(page.get_by_role("button", name="Générer")).to_be_disabled()
        expect(page.get_by_test_id("player")).to_have_count(0)
    page.context.close()
