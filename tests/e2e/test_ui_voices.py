"""The voice library in the web interface: stored with consent, chosen, listened to, renamed and deleted."""

import io
import re
from pathlib import Path

import pytest
import requests
import soundfile
from playwright.sync_api import Locator, Page, expect

from tests.e2e.conftest import Place
from tests.e2e.test_ui import downloaded, open_tab, picture
from tests.support.browser import settle
from tests.support.recordings import CLIP_FILE

WINDOW = (900, 800)


@pytest.fixture(autouse=True)
def empty_library(running: Place) -> None:
    for voice in library(running):
        requests.delete(f"{running.service}/voices/{voice['id']}", timeout=60).raise_for_status()


def library(running: Place) -> list[dict[str, object]]:
    response = requests.get(f"{running.service}/voices?kind=library", timeout=60)
    response.raise_for_status()
    voices: list[dict[str, object]] = response.json()["voices"]
    return voices


def two_files(folder: Path) -> list[Path]:
    samples, rate_hz = soundfile.read(io.BytesIO(CLIP_FILE.read_bytes()))
    files = [folder / "one.wav", folder / "two.wav"]
    for index, file in enumerate(files):
        soundfile.write(file, samples[4 * index * rate_hz : 4 * (index + 1) * rate_hz], rate_hz)
    return files


def store(page: Page, panel: Locator, name: str, files: list[Path]) -> None:
    panel.get_by_test_id("stFileUploader").locator("input").set_input_files(files)
    expect(panel.get_by_role("button", name="Garder la voix")).to_be_enabled()
    settle(page)
    panel.get_by_label("Nom de la voix").fill(name)
    panel.get_by_label("Nom de la personne").fill("Anna Weber")
    panel.get_by_text("La personne nommée a déclaré").click()
    panel.get_by_role("button", name="Garder la voix").click()


def picker(panel: Locator) -> Locator:
    return panel.get_by_role("combobox", name="Voix", exact=False).first


def test_a_voice_is_stored_with_consent_chosen_everywhere_and_still_there_after_a_reload(
    page: Page, running: Place, tmp_path: Path
) -> None:
    panel = open_tab(page, "Mes voix")
    store(page, panel, "Anna", two_files(tmp_path))
    expect(panel.get_by_text("« Anna » est dans la bibliothèque")).to_be_visible()
    [stored] = library(running)
    assert (stored["name"], stored["clips"], stored["language"]) == ("Anna", 2, "fr")
    consent = stored["consent"]
    assert isinstance(consent, dict)
    assert (consent["speaker"], consent["method"]) == ("Anna Weber", "own voice")
    assert "J’accepte que ma voix soit enregistrée" in consent["statement"]
    for name in ("Synthèse rapide", "Lecture de texte", "Test de langues"):
        expect(picker(open_tab(page, name))).to_have_value(re.compile("^Anna · bibliothèque"))

    page.reload()
    panel = open_tab(page, "Mes voix")
    expect(picker(panel)).to_have_value(re.compile("^Anna · bibliothèque"))
    panel.get_by_role("button", name="Écouter un extrait").click()
    expect(panel.locator("audio")).to_have_count(1)
    expect(panel.get_by_text(re.compile(r"2 enregistrement\(s\), \d,\d s"))).to_be_visible()
    expect(panel.get_by_text("Consentement de Anna Weber")).to_be_visible()
    picture(page, "voices")


def test_a_stored_voice_speaks_and_is_named_in_the_request(
    page: Page, running: Place, tmp_path: Path
) -> None:
    panel = open_tab(page, "Mes voix")
    store(page, panel, "Anna", two_files(tmp_path))
    expect(panel.get_by_text("« Anna » est dans la bibliothèque")).to_be_visible()
    panel = open_tab(page, "Synthèse rapide")
    expect(picker(panel)).to_have_value(re.compile("^Anna · bibliothèque"))
    settle(page)
    page.get_by_text("EN", exact=True).click()
    panel = page.get_by_role("tabpanel", name="Quick synthesis")
    expect(picker_in_english(panel)).to_have_value(re.compile("^Anna · library"))
    panel.get_by_role("button", name="Generate").click()
    expect(panel.get_by_role("link", name="Download as WAV")).to_be_visible()
    [stored] = library(running)
    page.get_by_role("tab", name="Advanced settings").click()
    expect(page.get_by_text(f"--form-string voice={stored['id']}").first).to_be_visible()


def picker_in_english(panel: Locator) -> Locator:
    return panel.get_by_role("combobox", name="Voice").first


def test_the_default_voice_speaks_where_none_is_chosen_and_built_in_voices_are_listed(
    page: Page,
) -> None:
    panel = page.get_by_role("tabpanel", name="Synthèse rapide")
    expect(picker(panel)).to_have_value("Voix par défaut de la langue")
    panel.get_by_role("button", name="Générer").click()
    expect(panel.get_by_role("link", name="Télécharger en WAV")).to_be_visible()
    picker(panel).click()
    expect(page.get_by_role("option", name=re.compile("intégrée")).first).to_be_visible()
    expect(page.get_by_role("option", name="Voix d’exemple")).to_be_visible()


def test_a_voice_is_not_stored_without_consent_or_with_a_name_that_is_taken(
    page: Page, running: Place, tmp_path: Path
) -> None:
    files = two_files(tmp_path)
    panel = open_tab(page, "Mes voix")
    panel.get_by_test_id("stFileUploader").locator("input").set_input_files(files)
    expect(panel.get_by_role("button", name="Garder la voix")).to_be_enabled()
    settle(page)
    panel.get_by_label("Nom de la voix").fill("Anna")
    panel.get_by_role("button", name="Garder la voix").click()
    expect(panel.get_by_text("Il faut l’accord de la personne qui parle")).to_be_visible()
    assert library(running) == []

    panel.get_by_label("Nom de la personne").fill("Anna Weber")
    panel.get_by_text("La personne nommée a déclaré").click()
    panel.get_by_role("button", name="Garder la voix").click()
    expect(panel.get_by_text("« Anna » est dans la bibliothèque")).to_be_visible()
    settle(page)
    panel.get_by_role("button", name="Garder la voix").click()
    expect(panel.get_by_text("Une autre voix porte déjà ce nom")).to_be_visible()
    assert len(library(running)) == 1


def test_a_voice_is_renamed_and_deleted_and_its_choice_goes_to_no_other_voice(
    page: Page, running: Place, tmp_path: Path
) -> None:
    panel = open_tab(page, "Mes voix")
    store(page, panel, "Anna", two_files(tmp_path))
    expect(panel.get_by_text("« Anna » est dans la bibliothèque")).to_be_visible()
    settle(page)
    panel.get_by_role("button", name="Renommer").click()
    page.get_by_label("Nouveau nom").fill("Anna Karénine")
    page.get_by_label("Nouveau nom").press("Enter")
    settle(page)
    page.get_by_role("button", name="Changer le nom").click()
    expect(panel.get_by_text("s’appelle maintenant « Anna Karénine »")).to_be_visible()
    assert [voice["name"] for voice in library(running)] == ["Anna Karénine"]
    quick = open_tab(page, "Synthèse rapide")
    expect(picker(quick)).to_have_value(re.compile("^Anna Karénine"))

    panel = open_tab(page, "Mes voix")
    settle(page)
    panel.get_by_role("button", name="Supprimer").click()
    expect(page.get_by_text("Supprimer « Anna Karénine » et ses enregistrements")).to_be_visible()
    page.get_by_role("button", name="Oui, supprimer").click()
    expect(panel.get_by_text("« Anna Karénine » est supprimée.")).to_be_visible()
    assert library(running) == []
    quick = open_tab(page, "Synthèse rapide")
    expect(picker(quick)).to_have_value("")
    expect(quick.get_by_role("button", name="Générer")).to_be_disabled()


def test_a_recording_is_stored_in_the_library(page: Page, running: Place) -> None:
    panel = open_tab(page, "Enregistrer ma voix")
    panel.get_by_role("button", name="Enregistrer", exact=True).click()
    page.wait_for_timeout(7_000)
    panel.get_by_role("button", name="Arrêter l’enregistrement").click()
    expect(panel.get_by_text("Bon enregistrement")).to_be_visible()
    settle(page)
    panel.get_by_text("Garder cette voix dans la bibliothèque").click()
    panel.get_by_label("Nom de la voix").fill("Moi")
    panel.get_by_label("Nom de la personne").fill("Anna Weber")
    panel.get_by_text("La personne nommée a déclaré").click()
    panel.get_by_role("button", name="Garder la voix").click()
    expect(panel.get_by_text("« Moi » est dans la bibliothèque")).to_be_visible()
    assert [voice["name"] for voice in library(running)] == ["Moi"]


def test_the_recordings_of_a_voice_are_replaced_and_the_voice_is_exported(
    page: Page, running: Place, tmp_path: Path
) -> None:
    files = two_files(tmp_path)
    panel = open_tab(page, "Mes voix")
    store(page, panel, "Anna", files)
    expect(panel.get_by_text("« Anna » est dans la bibliothèque")).to_be_visible()
    settle(page)
    exported = downloaded(page, panel.get_by_role("button", name="Exporter"))
    assert exported.startswith(b"PK"), "a ZIP file: docs/voice-file.md"

    panel.get_by_text("Remplacer les enregistrements").click()
    form = panel.get_by_test_id("stExpander").filter(has_text="Remplacer les enregistrements")
    form.get_by_test_id("stFileUploader").locator("input").set_input_files(files[0])
    expect(form.get_by_role("button", name="Remplacer", exact=True)).to_be_enabled()
    settle(page)
    form.get_by_label("Nom de la personne").fill("Anna Weber")
    form.get_by_text("La personne nommée a déclaré").click()
    form.get_by_role("button", name="Remplacer", exact=True).click()
    expect(panel.get_by_text("Les enregistrements de « Anna » sont remplacés.")).to_be_visible()
    [stored] = library(running)
    assert (stored["clips"], stored["revision"]) == (1, 2)
