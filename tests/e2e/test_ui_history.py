"""Results that the service stores: found after a reload, compared, changed by a sentence, used again, deleted."""

import json
import re
import time

import pytest
import requests
import soundfile
from playwright.sync_api import Locator, Page, expect

from tests.e2e.conftest import Place
from tests.support.browser import settle

ENGLISH = re.compile(r"\b(Listen|Stored|Delete|Compare|Use again|sentence|seed|built-in)\b")


def generate(page: Page, text: str) -> None:
    """Speak a text, and wait until its result is shown."""
    field = page.get_by_label("Texte à dire")
    field.fill(text)
    field.blur()
    settle(page)
    page.get_by_role("button", name="Générer").click()
    expect(page.get_by_text("Premier son")).to_be_visible()
    settle(page)


def generate_stored(page: Page, running: Place, text: str) -> None:
    """Speak a text, and wait until the service stores the result."""
    before = len(stored_ids(running, page))
    generate(page, text)
    give_up_s = time.monotonic() + 120
    while len(stored_ids(running, page)) == before:
        assert time.monotonic() < give_up_s, "the result is not stored"
        page.wait_for_timeout(200)
    expect(page.get_by_text("Conservé jusqu’au")).to_be_visible()
    settle(page)


def history(page: Page) -> Locator:
    """Open the history and return it."""
    box = page.locator(".st-key-history")
    box.get_by_text("Historique", exact=True).click()
    settle(page)
    return box


def stored_ids(running: Place, page: Page) -> list[str]:
    """Return the ids of this browser's stored results, newest first."""
    cookies = {cookie.get("name"): cookie.get("value") for cookie in page.context.cookies()}
    if "results" not in cookies:  # the page sets it when it is shown
        return []
    url = f"{running.service}/jobs?origin=request&label={cookies['results']}"
    return [job["id"] for job in requests.get(url, timeout=60).json()["jobs"]]


def test_results_are_found_after_a_reload_compared_used_again_and_deleted(
    page: Page, running: Place
) -> None:
    generate_stored(page, running, "Le premier essai.")
    generate_stored(page, running, "Un second essai, un peu plus long.")
    newest, oldest = stored_ids(running, page)

    page.reload()
    settle(page)
    box = history(page)
    entries = box.locator("[class*=st-key-history_]").filter(has=page.get_by_text("Reprendre"))
    expect(entries).to_have_count(2)
    expect(entries.first).to_contain_text("Un second essai")
    expect(entries.first).to_contain_text(re.compile("graine [0-9]+ .*conservé jusqu’au"))
    entries.last.get_by_role("button", name="Écouter").click()
    player = box.get_by_test_id("player")
    expect(player).to_contain_text("Le premier essai.")
    expect(player.locator("audio")).to_be_visible()
    settle(page)
    with page.expect_download() as waiting:
        box.get_by_role("link", name="Télécharger en MP3").click()
    assert soundfile.info(waiting.value.path()).duration > 0.5
    entries.first.get_by_role("button", name="Comparer").click()
    expect(player).to_have_count(2)
    expect(box.get_by_text(ENGLISH)).to_have_count(0)
    settle(page)

    entries.last.get_by_role("button", name="Reprendre").click()
    expect(page.get_by_label("Texte à dire")).to_have_value("Le premier essai.")
    settle(page)
    entries.first.get_by_role("button", name="Supprimer").click()
    expect(entries).to_have_count(1)
    assert stored_ids(running, page) == [oldest]
    assert requests.get(f"{running.service}/jobs/{newest}", timeout=60).status_code == 404


def test_a_sentence_of_a_result_is_spoken_again_and_the_files_follow(
    page: Page, running: Place
) -> None:
    generate_stored(page, running, "Bonjour. Il est tard.")
    [job] = stored_ids(running, page)
    before = requests.get(f"{running.service}/jobs/{job}", timeout=60).json()
    page.get_by_text("Refaire une phrase").click()
    words = page.get_by_label("Mots de la phrase")
    expect(words).to_have_value("Bonjour.")
    settle(page)
    words.fill("Bonsoir à toutes et à tous.")
    words.blur()
    settle(page)
    page.get_by_role("button", name="La dire de nouveau").click()
    expect(page.get_by_test_id("stAlert")).to_contain_text("La phrase 1 est remplacée")
    player = page.get_by_test_id("player")
    expect(player).to_have_count(1)  # the one of the new revision has replaced the other
    expect(player).to_contain_text("Bonsoir à toutes et à tous. Il est tard.")
    settle(page)

    with page.expect_download() as waiting:
        page.get_by_role("link", name="Télécharger en WAV").click()
    after = requests.get(f"{running.service}/jobs/{job}", timeout=60).json()
    assert after["revision"] == 1
    assert soundfile.info(waiting.value.path()).duration == pytest.approx(
        after["audio_seconds"], abs=0.01
    )
    assert after["audio_seconds"] > before["audio_seconds"]
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Télécharger en SRT").click()
    assert "Bonsoir à toutes et à tous." in waiting.value.path().read_text(encoding="utf-8")


def test_nothing_is_stored_of_a_result_while_that_is_off(page: Page, running: Place) -> None:
    before = json.loads(requests.get(f"{running.service}/jobs", timeout=60).content)
    page.get_by_text("Conserver les résultats").click()
    page.wait_for_url(re.compile("store=no"))
    page.reload()
    settle(page)
    generate(page, "Rien ne reste.")
    expect(page.get_by_text("Conservé jusqu’au")).to_have_count(0)
    expect(history(page)).to_contain_text("Aucun résultat n’est conservé.")
    assert json.loads(requests.get(f"{running.service}/jobs", timeout=60).content) == before
