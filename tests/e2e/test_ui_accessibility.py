"""Accessibility of the web interface: rules of WCAG, keyboard, screen reader, contrast, direction of text."""

import asyncio
import re
import threading
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Place
from tests.e2e.test_ui import open_tab
from tests.support import node
from tests.support.browser import open_page, settle
from tests.unit.ui.test_documents import book

TABS = (
    "Synthèse rapide",
    "Enregistrer ma voix",
    "Mes voix",
    "Lecture de texte",
    "Test de langues",
    "Paramètres avancés",
)
BOOK = {"one": "<h2>Monday</h2><p>It rains.</p>", "two": "<h2>Tuesday</h2><p>The sun shines.</p>"}
FRENCH = re.compile(r"\b(Chapitre|Télécharger|Lire|Voix|Lecture|Écouter|durée)\b")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@pytest.fixture(scope="module")
def axe() -> str:
    """Return the source of axe-core (https://github.com/dequelabs/axe-core)."""
    folders: list[Path] = []

    def install() -> None:  # in its own thread: Playwright's event loop occupies this one
        folders.append(asyncio.run(node.installed(Path(__file__).with_name("axe"))))

    thread = threading.Thread(target=install)
    thread.start()
    thread.join()
    [folder] = folders
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


WINDOW = (1366, 768)


def violations(page: Page, axe: str) -> list[str]:
    """Return what breaks a rule of level A or AA, with its elements."""
    settle(page)
    page.evaluate(axe)
    found = page.evaluate(
        "rules => axe.run(document, { runOnly: { type: 'tag', values: rules } })", RULES
    )
    return [
        f"{broken['id']}: {each['html'][:200]}: {each['failureSummary']}"
        for broken in found["violations"]
        for each in broken["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_tab_breaks_a_rule_of_wcag(
    chrome: Browser, running: Place, axe: str, scheme: str
) -> None:
    page = open_page(
        chrome, running.pages, viewport={"width": 1366, "height": 768}, color_scheme=scheme
    )
    page.get_by_role("button", name="Générer").click()
    expect(page.get_by_role("link", name="Télécharger en WAV")).to_be_visible()
    expect(page.get_by_text("Conservé jusqu’au")).to_be_visible()
    page.get_by_text("Refaire une phrase").click()
    expect(page.get_by_label("Mots de la phrase")).to_be_visible()
    settle(page)
    page.get_by_text("Historique", exact=True).click()
    expect(page.get_by_role("button", name="Écouter")).to_be_visible()
    settle(page)  # the box grows while its content arrives
    page.get_by_role("button", name="Écouter").click()
    expect(page.locator(".st-key-history").get_by_test_id("player")).to_be_visible()
    assert violations(page, axe) == []
    for name in TABS[1:]:
        panel = open_tab(page, name)
        settle(page)
        if name == "Lecture de texte":
            panel.get_by_role("button", name="Lire", exact=True).click()
            expect(panel.get_by_role("link", name="WAV")).to_be_visible()
        assert violations(page, axe) == [], name
    page.context.close()


def test_the_keyboard_alone_makes_a_speech_and_a_screen_reader_announces_it(page: Page) -> None:
    button = page.get_by_role("button", name="Générer")
    button.focus()
    page.keyboard.press("Enter")
    told = page.get_by_test_id("announced")
    expect(told).to_have_attribute("role", "status")
    expect(page.get_by_role("link", name="Télécharger en WAV")).to_be_visible()
    expect(told).to_contain_text("La synthèse est terminée")
    expect(button).to_be_focused()


def test_sentences_are_buttons_for_the_keyboard(page: Page) -> None:
    panel = open_tab(page, "Lecture de texte")
    panel.get_by_text("Actualités", exact=True).click()
    panel.get_by_role("button", name="Lire", exact=True).click()
    expect(panel.get_by_role("link", name="WAV")).to_be_visible()
    player = panel.get_by_test_id("player")
    sentences = player.get_by_role("group").get_by_role("button")
    expect(sentences).to_have_count(3)
    sentences.nth(0).focus()
    page.keyboard.press("ArrowRight")
    expect(sentences.nth(1)).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(sentences.nth(2)).to_have_attribute("aria-current", "true")


def test_a_text_from_right_to_left_is_shown_so(page: Page) -> None:
    field = page.get_by_label("Texte à dire")
    field.fill("مرحبا بكم.")
    expect(field).to_have_css("direction", "rtl")
    field.fill("Bonjour.")
    expect(field).to_have_css("direction", "ltr")

    panel = open_tab(page, "Lecture de texte")
    panel.get_by_role("combobox", name="Langue du texte").click()
    page.get_by_role("option", name="العربية (ar)").click()
    shown = panel.get_by_test_id("stText").first
    expect(shown).to_contain_text("طحان")
    expect(shown).to_have_css("unicode-bidi", "plaintext")


def test_the_button_is_in_sight_on_a_laptop_and_within_reach_on_a_phone(
    chrome: Browser, running: Place
) -> None:
    laptop = open_page(chrome, running.pages, viewport={"width": 1366, "height": 768})
    expect(laptop.get_by_role("button", name="Générer")).to_be_in_viewport(ratio=1)
    laptop.context.close()

    phone = open_page(chrome, running.pages, viewport={"width": 390, "height": 844}, has_touch=True)
    expect(phone.get_by_role("button", name="Générer")).to_be_in_viewport(ratio=1)
    for name in TABS:
        expect(phone.get_by_role("tab", name=name)).to_be_in_viewport(ratio=1)
    assert phone.evaluate("document.documentElement.scrollWidth <= innerWidth")
    phone.context.close()


def test_the_english_page_with_chapters_breaks_no_rule_and_has_no_french_word(
    page: Page, address: str, axe: str, tmp_path: Path
) -> None:
    page.goto(f"{address}/?lang=en")
    page.get_by_role("tab").first.wait_for()
    settle(page)
    file = tmp_path / "two.epub"
    file.write_bytes(book(BOOK, list(BOOK), title="Two days"))
    panel = open_tab(page, "Read a text")
    panel.get_by_text("File", exact=True).click()
    uploader = panel.get_by_test_id("stFileUploader").filter(has_text="Document")
    uploader.locator("input").set_input_files(file)
    opened = panel.get_by_text(re.compile("^Chapters"))
    expect(opened).to_be_visible()
    settle(page)
    opened.click()
    assert violations(page, axe) == []
    panel.get_by_role("button", name="Read", exact=True).click()
    expect(panel.get_by_role("link", name="M4B")).to_be_visible()
    settle(page)
    assert violations(page, axe) == []
    expect(page.get_by_text(FRENCH)).to_have_count(0)
