"""A dialogue in the pages: its speakers are found, each gets a voice, and one file has all of them."""

import requests
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Place
from tests.e2e.test_ui import open_tab
from tests.e2e.test_ui_history import history, stored_ids
from tests.support.browser import settle

LINES = "Anna : Bonjour, Paul.\nPaul : Bonjour. Il est tard.\nAnna : Oui, il est tard."


def test_each_name_of_a_dialogue_is_spoken_in_its_own_voice(page: Page, running: Place) -> None:
    field = page.get_by_label("Texte à dire")
    field.fill(LINES)
    field.blur()
    settle(page)
    page.get_by_text("Un dialogue : une voix pour chaque nom").click()
    chosen = page.get_by_role("combobox", name="Voix de Anna")
    expect(chosen).to_be_visible()
    settle(page)
    voices = [
        page.get_by_role("combobox", name=f"Voix de {name}").input_value()
        for name in ("Anna", "Paul")
    ]
    assert len(set(voices)) == 2, "they begin with different voices"
    page.get_by_role("button", name="Générer").click()
    expect(page.get_by_text("Premier son")).to_be_visible()
    expect(page.get_by_text("Conservé jusqu’au")).to_be_visible()
    settle(page)

    [job] = stored_ids(running, page)
    url = f"{running.service}/jobs/{job}/sentences"
    sentences = requests.get(url, timeout=60).json()["sentences"]
    assert [sentence["text"] for sentence in sentences] == [
        "Bonjour, Paul.",
        "Bonjour.",
        "Il est tard.",
        "Oui, il est tard.",
    ]
    spoken_by = [sentence["voice"] for sentence in sentences]
    assert spoken_by[1] == spoken_by[2] != spoken_by[0] == spoken_by[3]

    page.reload()
    settle(page)
    box = history(page)
    box.get_by_role("button", name="Reprendre").click()
    expect(page.get_by_label("Texte à dire")).to_have_value(LINES)
    settle(page)
    for name, voice in zip(("Anna", "Paul"), voices, strict=True):
        expect(page.get_by_role("combobox", name=f"Voix de {name}")).to_have_value(voice)

    panel = open_tab(page, "Paramètres avancés")
    command = panel.get_by_test_id("stCode").first
    expect(command).to_contain_text("text_type=dialogue")
    expect(command).to_contain_text('voices={"Anna": "builtin:')
