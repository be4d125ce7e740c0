"""Books in the web interface: chapters, audio books, where the user stopped, and a sentence that is spoken again."""

import io
import re
from pathlib import Path

import av
import pytest
import requests
from playwright.sync_api import Locator, Page, expect

from tests.e2e.conftest import Place
from tests.e2e.test_ui import downloaded, heard, open_tab, picture
from tests.e2e.test_ui_workplace import job_in
from tests.support.browser import settle
from tests.unit.ui.test_documents import book

BOOK = {
    "cover": "<h1>Deux jours</h1>",
    "one": "<h2>Lundi</h2><p>Il pleut sur la ville. Les trams passent lentement.</p>",
    "two": "<h2>Mardi</h2><p>"
    + "Le soleil revient sur les toits de la vieille ville. " * 3
    + "</p>",
}


def read_book(page: Page, folder: Path) -> Locator:
    """Have a book read to its end; return the tab."""
    file = folder / "deux.epub"
    file.write_bytes(book(BOOK, list(BOOK), title="Deux jours en ville"))
    panel = open_tab(page, "Lecture de texte")
    panel.get_by_text("Fichier", exact=True).click()
    uploader = panel.get_by_test_id("stFileUploader").filter(has_text="Document")
    uploader.locator("input").set_input_files(file)
    expect(panel.get_by_text("Chapitres : 3")).to_be_visible()
    settle(page)
    panel.get_by_role("button", name="Lire", exact=True).click()
    expect(panel.get_by_role("link", name="M4B")).to_be_visible()
    settle(page)
    return panel


def chapter_titles(content: bytes) -> list[str]:
    with av.open(io.BytesIO(content)) as file:
        return [str(chapter["metadata"]["title"]) for chapter in file.chapters()]


def test_a_book_has_its_title_and_chapters_which_are_played_and_downloaded(
    page: Page, running: Place, tmp_path: Path
) -> None:
    panel = read_book(page, tmp_path)
    job = requests.get(f"{running.service}/jobs/{job_in(page)}", timeout=60).json()
    assert job["title"] == "Deux jours en ville"
    assert [chapter["title"] for chapter in job["chapters"]] == ["Deux jours", "Lundi", "Mardi"]

    player = panel.get_by_test_id("player")
    chapters = player.get_by_role("list", name="Chapitres")
    picture(page, "book")
    chapters.get_by_role("button", name="Mardi").click()
    expect(panel.locator("[aria-current]")).to_contain_text("Mardi")
    assert heard(player) >= job["chapters"][2]["begins"]

    one = downloaded(page, chapters.get_by_role("link", name="Télécharger le chapitre « Lundi »"))
    with av.open(io.BytesIO(one)) as file:
        seconds = sum(frame.samples / frame.sample_rate for frame in file.decode(audio=0))
    assert seconds == pytest.approx(job["chapters"][1]["seconds"], abs=0.15)
    for name in ("M4B", "MP3 à chapitres"):
        whole = downloaded(page, panel.get_by_role("link", name=name))
        assert chapter_titles(whole) == ["Deux jours", "Lundi", "Mardi"], name


def test_a_reading_continues_where_one_stopped_before_a_reload(page: Page, tmp_path: Path) -> None:
    panel = read_book(page, tmp_path)
    player = panel.get_by_test_id("player")
    player.get_by_role("list", name="Chapitres").get_by_role("button", name="Mardi").click()
    expect(panel.locator("[aria-current]")).to_contain_text("Le soleil revient")
    page.wait_for_function("() => localStorage.getItem('speechPositions')?.includes('[')")
    player.locator("audio").evaluate("audio => audio.pause()")
    before = heard(player)

    page.reload()
    stopped = player.get_by_text(re.compile(r"Vous vous êtes arrêté à \d\d:\d\d\."))
    expect(stopped).to_be_visible()
    expect(player).to_have_attribute("data-heard", re.compile("^[1-9]"))
    assert 0 < heard(player) <= before
    player.get_by_role("button", name="Depuis le début").click()
    expect(player).to_have_attribute("data-state", "playing")
    expect(stopped).to_be_hidden()
    expect(panel.locator("[aria-current]")).to_contain_text("Deux jours")


def test_a_sentence_of_a_reading_is_spoken_again(
    page: Page, running: Place, tmp_path: Path
) -> None:
    panel = read_book(page, tmp_path)
    panel.get_by_text("Refaire une phrase").click()
    settle(page)
    panel.get_by_label("Mots de la phrase").fill("Le tout premier titre.")
    panel.get_by_label("Mots de la phrase").blur()
    settle(page)
    panel.get_by_role("button", name="Dire de nouveau").click()
    player = panel.get_by_test_id("player")
    expect(player).to_contain_text("Le tout premier titre.")
    assert (
        requests.get(f"{running.service}/jobs/{job_in(page)}", timeout=60).json()["revision"] == 1
    )
    srt = downloaded(page, panel.get_by_role("button", name="SRT")).decode()
    assert "Le tout premier titre." in srt
    expect(player.locator("audio")).to_have_attribute("src", re.compile(r"revision=1"))
