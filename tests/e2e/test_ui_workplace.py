"""Reloads, clicks that come too early, broken connections and closed pages in the web interface."""

import io
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import requests
import soundfile
from playwright.sync_api import Browser, Locator, Page, expect

from services.common.runtime.local_nats import free_port
from tests.e2e.conftest import Place
from tests.e2e.test_ui import LONG, open_tab
from tests.support.browser import open_page, process, settle
from tests.support.recordings import CLIP_FILE
from ui.http.memory import RECONNECT_S, SWEEP_S


def recording(folder: Path, name: str, seconds: float) -> Path:
    samples, rate_hz = soundfile.read(io.BytesIO(CLIP_FILE.read_bytes()))
    path = folder / name
    soundfile.write(path, np.resize(samples, int(seconds * rate_hz)), rate_hz, format="WAV")
    return path


def upload(panel: Locator, file: Path) -> None:
    panel.get_by_test_id("stFileUploader").first.locator("input").set_input_files(file)


def job_in(page: Page) -> str:
    """Return the id of the reading that the address names."""
    page.wait_for_url(re.compile(r"reading="))
    found = re.search(r"reading=([A-Za-z0-9_-]+)", page.url)
    assert found is not None
    return found[1]


def test_a_reading_is_found_again_after_a_reload_and_cancelled(page: Page, running: Place) -> None:
    panel = open_tab(page, "Lecture de texte")
    panel.get_by_text("Écrire", exact=True).click()
    panel.get_by_label("Texte à lire").fill(LONG * 60)
    panel.get_by_role("button", name="Lire", exact=True).click()
    job = job_in(page)

    page.reload()
    panel = page.get_by_role("tabpanel", name="Lecture de texte")
    expect(panel.get_by_text(re.compile(r"Phrase \d+ sur"))).to_be_visible()
    expect(panel.get_by_test_id("player")).to_contain_text("Bonjour à tous.")
    panel.get_by_role("button", name="Annuler").click()
    expect(panel.get_by_text("Annulé.")).to_be_visible()
    assert requests.get(f"{running.service}/jobs/{job}", timeout=60).json()["state"] == "cancelled"


def test_readings_are_listed_opened_and_deleted(page: Page, running: Place) -> None:
    panel = open_tab(page, "Lecture de texte")
    for kind in ("Conte", "Poème"):
        panel.get_by_text(kind, exact=True).click()
        settle(page)
        panel.get_by_role("button", name="Lire", exact=True).click()
        expect(panel.get_by_role("link", name="WAV")).to_be_visible()
        settle(page)
    entry = panel.locator("[class*=st-key-reading_]").filter(has_text="Terminée")
    expect(entry).to_contain_text("Il était une fois")
    entry.get_by_role("button", name="Ouvrir").click()
    expect(panel.get_by_test_id("player")).to_contain_text("Il était une fois")
    settle(page)
    job = job_in(page)
    panel.get_by_role("button", name="Supprimer").first.click()
    expect(panel.get_by_role("heading", name="Vos lectures")).to_have_count(0)
    del job, running


def test_a_reading_of_another_client_is_listed_by_its_title_and_opened(
    page: Page, running: Place
) -> None:
    form = {
        "text": (None, "Un. Deux. Trois."),
        "language": (None, "fr"),
        "title": (None, "Nombres"),
    }
    begun = requests.post(f"{running.service}/jobs", files=form, timeout=60)
    begun.raise_for_status()
    panel = open_tab(page, "Lecture de texte")
    panel.get_by_text("Lectures gardées par le service").click()
    entry = panel.locator(f".st-key-other_{begun.json()['id']}")
    expect(entry).to_contain_text("Nombres")
    settle(page)
    entry.get_by_role("button", name="Ouvrir").click()
    expect(panel.get_by_test_id("player")).to_contain_text("Un. Deux. Trois.")
    assert job_in(page) == begun.json()["id"]


def test_a_text_is_read_at_the_first_click_after_it_was_typed(page: Page) -> None:
    panel = open_tab(page, "Lecture de texte")
    panel.get_by_text("Écrire", exact=True).click()
    panel.get_by_label("Texte à lire").press_sequentially("Bonjour à tous.")
    expect(panel.get_by_text("15 caractères")).to_be_visible()  # the field has the focus still
    button = panel.get_by_role("button", name="Lire", exact=True)
    expect(button).to_be_enabled()
    button.click()
    expect(panel.get_by_role("link", name="WAV")).to_be_visible()


def test_a_recording_that_is_lost_is_replaced_by_no_other_voice(page: Page, tmp_path: Path) -> None:
    panel = page.get_by_role("tabpanel", name="Synthèse rapide")
    upload(panel, recording(tmp_path, "mine.wav", 7.0))
    voice = panel.get_by_role("combobox", name="Voix").first
    expect(voice).to_have_value("mine.wav")
    panel.get_by_text("La personne qui parle est d’accord").click()
    expect(panel.get_by_role("button", name="Générer")).to_be_enabled()

    page.reload()  # as after a restart of the pages: the session is a new one
    expect(panel.get_by_text("L’enregistrement choisi n’est plus là")).to_be_visible()
    expect(voice).to_have_value("")
    expect(panel.get_by_role("button", name="Générer")).to_be_disabled()


def test_a_recording_is_renamed_and_removed(page: Page, tmp_path: Path) -> None:
    panel = page.get_by_role("tabpanel", name="Synthèse rapide")
    upload(panel, recording(tmp_path, "mine.wav", 7.0))
    voice = panel.get_by_role("combobox", name="Voix").first
    expect(voice).to_have_value("mine.wav")
    settle(page)
    panel.get_by_role("button", name="Renommer").click()
    page.get_by_label("Nouveau nom").fill("Jeanne")
    page.get_by_label("Nouveau nom").press("Enter")
    settle(page)
    page.get_by_role("button", name="Changer le nom").click()
    expect(voice).to_have_value("Jeanne")
    settle(page)
    panel.get_by_role("button", name="Retirer").click()
    expect(voice).to_have_value("")
    expect(panel.get_by_role("button", name="Générer")).to_be_disabled()
    voice.click()
    expect(page.get_by_role("option", name="Voix par défaut")).to_be_visible()
    expect(page.get_by_role("option", name="Jeanne")).to_have_count(0)


def test_a_recording_that_is_too_short_is_refused_by_verdict_and_button_alike(page: Page) -> None:
    panel = open_tab(page, "Enregistrer ma voix")
    panel.get_by_role("button", name="Enregistrer", exact=True).click()
    expect(panel.get_by_text(re.compile("^00:0[12]"))).to_be_visible()
    panel.get_by_role("button", name="Arrêter l’enregistrement").click()
    expect(panel.get_by_text("Trop court")).to_be_visible()
    expect(panel.get_by_text("Enregistrez-vous de nouveau")).to_be_visible()
    expect(panel.get_by_role("button", name="Essayer ma voix")).to_have_count(0)
    expect(panel.get_by_text("est gardée")).to_have_count(0)


def test_an_english_browser_gets_english_and_a_choice_is_stored_in_the_address(
    chrome: Browser, running: Place
) -> None:
    context = chrome.new_context(locale="en-GB")
    page = context.new_page()
    page.goto(running.pages)
    expect(page).to_have_title("Voice cloning")
    panel = page.get_by_role("tabpanel", name="Quick synthesis")
    expect(panel.get_by_label("Text to speak")).to_have_value(re.compile("^Hello!"))
    expect(panel.get_by_role("combobox", name="Language of the text")).to_have_value("English (en)")
    settle(page)
    panel = open_tab(page, "Read a text")
    expect(panel.get_by_test_id("stText").first).to_contain_text("Once upon a time")
    panel.get_by_text("Poem", exact=True).click()
    expect(panel.get_by_test_id("stText").first).to_contain_text("The evening wind")
    settle(page)

    page.get_by_text("FR", exact=True).click()
    panel = page.get_by_role("tabpanel", name="Lecture de texte")
    expect(panel.get_by_role("radio", name="Poème")).to_be_checked()
    expect(panel.get_by_test_id("stText").first).to_contain_text("Le vent du soir")
    page.reload()
    expect(page).to_have_title("Clonage de voix")
    sample = page.get_by_label("Texte à dire")
    expect(sample).to_have_value(re.compile("^Bonjour !"))
    sample.fill("Mon texte.")
    sample.blur()
    settle(page)
    page.get_by_text("EN", exact=True).click()
    expect(page.get_by_label("Text to speak")).to_have_value("Mon texte.")
    context.close()


def test_a_player_whose_connection_breaks_resumes_or_offers_a_retry(page: Page) -> None:
    player = page.get_by_test_id("player")
    page.route("**/sound/**", lambda route: route.abort(), times=1)
    page.get_by_role("button", name="Générer").click()
    expect(player).to_have_attribute("data-heard", re.compile("^[1-9]"))
    expect(page.get_by_role("link", name="Télécharger en WAV")).to_be_visible()

    settle(page)
    page.route("**/sound/**", lambda route: route.abort())
    page.get_by_label("Texte à dire").fill("Une autre phrase, plus courte.")
    page.get_by_role("button", name="Générer").click()
    expect(player).to_have_attribute("data-state", "failed")
    expect(player.get_by_role("alert")).to_contain_text("Le son n’est pas arrivé")
    page.unroute("**/sound/**")
    player.get_by_role("button", name="Réessayer").click()
    expect(player.locator("audio")).to_be_visible()
    column = page.get_by_label("Texte à dire").bounding_box()
    audio = player.locator("audio").bounding_box()
    assert column is not None
    assert audio is not None
    assert audio["x"] >= column["x"] - 2
    assert audio["x"] + audio["width"] <= column["x"] + column["width"] + 2


def test_one_player_plays_at_a_time_and_continues_in_another_tab(page: Page) -> None:
    page.get_by_label("Texte à dire").fill(LONG)
    page.get_by_role("button", name="Générer").click()
    quick = page.get_by_role("tabpanel", name="Synthèse rapide")
    player = quick.get_by_test_id("player")
    expect(player).to_have_attribute("data-state", "playing")
    panel = open_tab(page, "Lecture de texte")
    elsewhere = page.get_by_test_id("playing-elsewhere")
    expect(elsewhere).to_be_visible()
    settle(page)
    panel.get_by_role("button", name="Lire", exact=True).click()
    expect(panel.get_by_test_id("player")).to_have_attribute("data-state", "playing")
    expect(elsewhere).to_have_count(0)
    open_tab(page, "Synthèse rapide")
    expect(player).to_have_attribute("data-state", re.compile("paused|ready|ended"))


def test_a_cancelled_speech_keeps_the_audio_that_was_made(page: Page) -> None:
    page.get_by_label("Texte à dire").fill(LONG * 8)
    page.get_by_role("button", name="Générer").click()
    expect(page.get_by_test_id("player")).to_have_attribute("data-heard", re.compile("^[1-9]"))
    page.get_by_role("button", name="Annuler").click()
    expect(page.get_by_text("Annulé.")).to_be_visible()
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Télécharger en MP3").click()
    assert waiting.value.suggested_filename.startswith("Bonjour à tous")
    assert soundfile.info(waiting.value.path()).duration > 1


def test_speed_seed_and_pronunciations_next_to_the_text_are_used(page: Page) -> None:
    panel = page.get_by_role("tabpanel", name="Synthèse rapide")
    panel.get_by_text("Graine et prononciations").click()
    panel.get_by_label("Graine", exact=True).fill("77")
    panel.get_by_label("Graine", exact=True).press("Enter")
    panel.get_by_role("textbox", name="Prononciations").fill("Nguyen = Nouyène")
    panel.get_by_label("Texte à dire").fill("Voici M. Nguyen.")
    panel.get_by_text("Voir le texte comme il sera dit").click()
    expect(panel.locator(".st-key-quick_spoken_text")).to_contain_text("Nouyène")
    settle(page)
    panel.get_by_role("button", name="Générer").click()
    expect(panel.get_by_text("Graine : 77")).to_be_visible()
    panel = open_tab(page, "Paramètres avancés")
    expect(panel.get_by_text("--form-string seed=77").first).to_be_visible()


def test_a_page_in_french_has_no_english_and_no_addresses(page: Page, tmp_path: Path) -> None:
    foreign = re.compile(r"\b(Upload|per file|Record|Browse|Press|Drag|Choose|http)\b|\bspeed\b")
    for name in ("Synthèse rapide", "Enregistrer ma voix", "Mes voix", "Lecture de texte"):
        panel = open_tab(page, name)
        settle(page)
        expect(panel.get_by_text(foreign)).to_have_count(0)

    panel.get_by_text("Fichier", exact=True).click()
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.4 nothing")
    documents = panel.get_by_test_id("stFileUploader").filter(has_text="Document").locator("input")
    documents.set_input_files(broken)
    expect(panel.get_by_text("Ce document ne peut pas être lu")).to_be_visible()
    expect(panel.get_by_text(re.compile("Error|PdfStream|readable"))).to_have_count(0)
    program = tmp_path / "program.exe"
    program.write_bytes(b"MZ")
    documents.set_input_files(program)
    expect(panel.get_by_text(re.compile("ne sont pas acceptés"))).to_be_visible()
    expect(panel.get_by_text("not allowed")).to_have_count(0)


@contextmanager
def silent_service() -> Iterator[tuple[str, list[socket.socket]]]:
    """Accept connections and never answer, as a service that hangs; yield its address and the connections."""
    connections: list[socket.socket] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connections.append(listening.accept()[0])
            except OSError:
                return

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", connections
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for connection in connections:
            connection.close()


def test_clicks_do_not_ask_a_service_that_hangs(chrome: Browser) -> None:
    port = free_port()
    pages = f"http://127.0.0.1:{port}"
    with (
        silent_service() as (service, connections),
        process("ui", ready_url=f"{pages}/_stcore/health", UI_PORT=str(port), SERVICE_URL=service),
    ):
        page = open_page(chrome, pages)
        panel = page.get_by_role("tabpanel", name="Synthèse rapide")
        expect(panel.get_by_test_id("stFileUploader")).to_have_count(1)
        before = len(connections)
        began_s = time.monotonic()
        clicks = 12
        for click in range(clicks):
            panel.get_by_text(("Standard", "Streaming")[click % 2], exact=True).click()
            settle(page)
        elapsed_s = time.monotonic() - began_s
        # four requests, each repeated 5 s after the last attempt, and none by a click
        assert len(connections) - before <= 4 * (elapsed_s / 5 + 1)
        expect(page.get_by_text("Le service ne répond pas").first).to_be_visible()
        expect(page.get_by_text(service)).to_have_count(0)
        page.context.close()


def resident_bytes(process_id: int) -> int:
    status = Path(f"/proc/{process_id}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def test_the_memory_of_recordings_is_returned_after_the_page_is_closed(
    chrome: Browser, running: Place, tmp_path: Path
) -> None:
    assert RECONNECT_S + SWEEP_S < 60, "a minute after the page was closed at the latest"
    port = free_port()
    pages = f"http://127.0.0.1:{port}"
    settings = {"UI_PORT": str(port), "SERVICE_URL": running.service}
    with process("ui", ready_url=f"{pages}/_stcore/health", **settings) as started:
        page = open_page(chrome, pages)
        before = resident_bytes(started.process.pid)
        panel = page.get_by_role("tabpanel", name="Synthèse rapide")
        for index in range(3):
            file = recording(tmp_path, f"voice{index}.wav", 600.0 + index)  # 29 MB
            upload(panel, file)
            expect(panel.get_by_role("combobox", name="Voix").first).to_have_value(file.name)
            settle(page)
        held = resident_bytes(started.process.pid) - before
        assert held > 60_000_000
        page.context.close()
        give_up_s = time.monotonic() + 600
        while resident_bytes(started.process.pid) - before > held / 3:
            assert time.monotonic() < give_up_s, "the memory is not returned"
            time.sleep(1)
