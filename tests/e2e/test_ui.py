"""The web interface as its users meet it: chromium, the pages, the edge, a splitter and the embedded engine."""

import io
import os
import re
import time
import wave
from pathlib import Path

import av
import pytest
import requests
import soundfile
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.e2e.conftest import Place
from tests.support.browser import open_page, settle
from tests.support.recordings import CLIP_FILE

LONG = (
    "Bonjour à tous. "
    + "Voici une phrase assez longue pour que la synthèse dure un peu de temps. " * 6
)


WINDOW = (900, 800)


def picture(page: Page, name: str) -> None:
    """Save a picture for the README, if requested."""
    if folder := os.environ.get("SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        size = page.viewport_size
        assert size is not None
        height = page.get_by_test_id("stMain").evaluate("main => main.scrollHeight")
        page.set_viewport_size({"width": size["width"], "height": max(size["height"], height)})
        page.wait_for_timeout(300)  # until the fade-in has ended
        page.screenshot(path=f"{folder}/{name}.png")
        page.set_viewport_size(size)


def open_tab(page: Page, name: str) -> Locator:
    page.get_by_role("tab", name=name).click()
    return page.get_by_role("tabpanel", name=name)


def downloaded(page: Page, button: Locator) -> bytes:
    with page.expect_download(timeout=180_000) as waiting:
        button.click(timeout=180_000)
    return waiting.value.path().read_bytes()


def wav_seconds(content: bytes) -> float:
    with wave.open(io.BytesIO(content)) as file:
        assert file.getframerate() == 24_000
        return file.getnframes() / file.getframerate()


def heard(player: Locator) -> float:
    return float(player.get_attribute("data-heard") or 0)


def test_streaming_plays_before_it_is_whole_and_continues_while_the_page_changes(
    page: Page,
) -> None:
    page.get_by_label("Texte à dire").fill(LONG)
    expect(page.get_by_text(f"{len(LONG)} caractères")).to_be_visible()
    page.get_by_label("Texte à dire").blur()
    page.get_by_role("button", name="Générer").click()
    player = page.get_by_test_id("player")
    expect(player).to_have_attribute("data-state", "playing")
    expect(player).to_have_attribute("data-heard", re.compile(r"^(0\.[2-9]|[1-9])"))
    received, before = float(player.get_attribute("data-received") or 0), heard(player)
    expect(page.get_by_text(re.compile(r"Phrase \d+ sur 7 · .* premier son après"))).to_be_visible()
    picture(page, "quick")

    page.get_by_text("EN", exact=True).click()
    expect(page.get_by_role("tab", name="Quick synthesis")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(player).to_have_attribute("data-state", "playing")
    assert heard(player) > before, "a new run of the script restarted the audio"

    seconds = wav_seconds(downloaded(page, page.get_by_role("link", name="Download as WAV")))
    assert seconds > 15
    assert received < seconds - 3, "it played only when all had arrived"
    expect(page.get_by_text("First sound:")).to_be_visible()


def test_a_document_in_ssml_is_spoken_as_its_tags_say(page: Page) -> None:
    page.get_by_label("Texte à dire").fill('<speak>Bonjour.<break time="7s"/>Au revoir.</speak>')
    page.get_by_label("Texte à dire").blur()
    expect(page.get_by_text("Document SSML")).to_be_visible()
    page.get_by_role("button", name="Générer").click()
    seconds = wav_seconds(downloaded(page, page.get_by_role("link", name="Télécharger en WAV")))
    assert 8 < seconds < 12, "seven seconds of silence between two greetings, and no tag read aloud"


def test_a_text_is_shown_as_it_will_be_spoken_and_what_is_left_out_is_named(page: Page) -> None:
    panel = page.get_by_role("tabpanel", name="Synthèse rapide")
    panel.get_by_label("Texte à dire").fill("Elle a payé 5 € à M. Nguyễn. Et สวัสดี, bonsoir.")
    panel.get_by_label("Texte à dire").blur()
    spoken = panel.locator(".st-key-quick_spoken_text")
    expect(spoken).to_have_count(0)
    panel.get_by_text("Voir le texte comme il sera dit").click()
    expect(spoken).to_contain_text("Elle a payé cinq euros à")
    expect(spoken).to_contain_text("Nguyen.")
    expect(panel.get_by_text("aucune voix de cette langue ne sait le dire : สวัสดี")).to_have_count(1)
    panel.get_by_text("Voir le texte comme il sera dit").click()
    expect(spoken).to_have_count(0)
    panel.get_by_role("button", name="Générer").click()
    expect(panel.get_by_text("aucune voix de cette langue ne sait le dire : สวัสดี")).to_have_count(
        1, timeout=180_000
    )


def test_a_text_of_letters_that_no_voice_speaks_is_refused_and_lists_them(page: Page) -> None:
    panel = open_tab(page, "Lecture de texte")
    panel.get_by_text("Écrire", exact=True).click()
    panel.get_by_label("Texte à lire").fill("שלום עולם")
    panel.get_by_label("Texte à lire").blur()
    panel.get_by_role("combobox", name="Langue du texte").click()
    page.get_by_role("option", name="English (en)").click()
    panel.get_by_text("Voir le texte comme il sera dit").click()
    expect(panel.get_by_text("Aucune voix de cette langue ne sait dire ce texte.")).to_be_visible()
    expect(panel.get_by_text("the text is written in Hebrew")).not_to_be_visible()
    panel.get_by_text("Détails du service (en anglais)").click()
    expect(panel.get_by_text("the text is written in Hebrew")).to_be_visible()


def test_an_uploaded_voice_speaks_once_its_owner_agrees(page: Page, tmp_path: Path) -> None:
    voice = tmp_path / "mine.mp3"
    samples, rate_hz = soundfile.read(io.BytesIO(CLIP_FILE.read_bytes()))
    soundfile.write(voice, samples[: 5 * rate_hz], rate_hz, format="MP3")
    panel = page.get_by_role("tabpanel", name="Synthèse rapide")
    panel.get_by_test_id("stFileUploader").locator("input").set_input_files(voice)
    expect(panel.get_by_text("Un peu court")).to_be_visible()
    expect(
        panel.get_by_role("img", name=re.compile("Forme d’onde .* 5,0 secondes"))
    ).to_be_visible()
    button = page.get_by_role("button", name="Générer")
    expect(button).to_be_disabled()
    settle(page)
    panel.get_by_text("La personne qui parle est d’accord").click()
    expect(button).to_be_enabled()
    settle(page)
    panel.get_by_text("Standard").click()
    expect(button).to_be_enabled()
    button.click()
    audio = page.get_by_test_id("player").locator("audio")
    expect(audio).to_be_visible()
    audio.evaluate("audio => audio.play()")
    expect(page.get_by_test_id("player")).to_have_attribute("data-heard", re.compile("^[1-9]"))
    audio.evaluate("audio => { audio.currentTime = 0.5 }")  # ranges: it can seek
    expect(page.get_by_test_id("player")).to_have_attribute("data-heard", re.compile(r"^0\.[5-9]"))


def test_a_recording_is_tried_at_once_and_serves_in_every_tab(page: Page) -> None:
    panel = open_tab(page, "Enregistrer ma voix")
    panel.get_by_role("button", name="Enregistrer", exact=True).click()
    page.wait_for_timeout(7_000)
    panel.get_by_role("button", name="Arrêter l’enregistrement").click()
    expect(
        panel.get_by_role("img", name=re.compile(r"Forme d’onde .* \d+,. secondes"))
    ).to_be_visible()
    expect(panel.get_by_text("Bon enregistrement")).to_be_visible()
    recorded = downloaded(page, panel.get_by_role("button", name="Télécharger l’enregistrement"))
    with wave.open(io.BytesIO(recorded)) as file:
        assert file.getframerate() == 48_000
    expect(panel.get_by_role("button", name="Essayer ma voix")).to_be_disabled()
    panel.get_by_text("La personne qui parle est d’accord").click()
    panel.get_by_role("button", name="Essayer ma voix").click()
    expect(panel.get_by_test_id("player")).to_have_attribute("data-state", "playing")
    picture(page, "recording")
    expect(panel.get_by_text("« Ma voix 1 » est gardée")).to_be_visible()
    for name in ("Synthèse rapide", "Lecture de texte", "Test de langues"):
        other = open_tab(page, name)
        expect(other.get_by_role("combobox", name=re.compile("Voix")).first).to_have_value(
            "Ma voix 1"
        )
        expect(
            other.get_by_role("checkbox", name=re.compile("La personne qui parle"))
        ).to_be_checked()


def test_a_text_is_read_with_its_sentence_marked_and_taken_home(page: Page, running: Place) -> None:
    panel = open_tab(page, "Lecture de texte")
    settle(page)
    panel.get_by_text("Actualités", exact=True).click()
    settle(page)
    panel.get_by_role("button", name="Lire", exact=True).click()
    page.wait_for_url(re.compile("reading="))
    job = re.findall(r"reading=(\w+)", page.url)[0]
    request = requests.get(f"{running.service}/jobs/{job}/request", timeout=60).json()
    assert request["parameters"] == {}
    marked = panel.locator("[aria-current]")
    expect(marked).to_contain_text("La ville ouvre ce samedi")
    expect(marked).to_contain_text("Elle compte douze mille livres")
    picture(page, "reading")
    with_sound = panel.get_by_role("link", name="WAV")
    seconds = wav_seconds(downloaded(page, with_sound))
    mp3 = downloaded(page, panel.get_by_role("link", name="MP3"))
    with av.open(io.BytesIO(mp3), mode="r") as file:
        decoded = sum(frame.samples / frame.sample_rate for frame in file.decode(audio=0))
    assert decoded == pytest.approx(seconds, abs=0.15)
    srt = downloaded(page, panel.get_by_role("button", name="SRT")).decode()
    assert srt.startswith("1\n00:00:00,000 --> 00:00:0")
    assert srt.count(" --> ") == 3
    assert downloaded(page, panel.get_by_role("button", name="VTT")).startswith(b"WEBVTT")


def test_a_document_is_read_and_its_reading_stopped_on_the_service(
    page: Page, running: Place, tmp_path: Path
) -> None:
    book = tmp_path / "book.md"
    book.write_text(
        "# Le livre\n\n" + "\n\n".join(f"**Chapitre** {number}. {LONG}" for number in range(20))
    )
    panel = open_tab(page, "Lecture de texte")
    panel.get_by_text("Fichier", exact=True).click()
    panel.get_by_test_id("stFileUploader").filter(has_text="Document").locator(
        "input"
    ).set_input_files(book)
    panel.get_by_role("button", name="Lire", exact=True).click()
    expect(panel.get_by_text(re.compile(r"Phrase [1-9]\d* sur \d+ · encore"))).to_be_visible()
    expect(panel.get_by_test_id("player")).to_contain_text("Chapitre 0. Bonjour à tous.")
    panel.get_by_role("button", name="Annuler").click()
    expect(panel.get_by_text("Annulé.")).to_be_visible()
    _until_nothing_is_owed(running)


def test_languages_are_spoken_side_by_side_and_one_that_fails_spoils_no_other(page: Page) -> None:
    panel = open_tab(page, "Test de langues")
    panel.get_by_text("Textes d’essai").click()
    panel.get_by_label("Deutsch", exact=True).fill("...")
    panel.get_by_label("Deutsch", exact=True).blur()
    panel.get_by_text("日本語").click()
    panel.get_by_role("button", name="Essayer toutes ces langues").click()
    rows = panel.locator("[class*=st-key-many_row_]")
    expect(rows.locator("audio")).to_have_count(4, timeout=180_000)
    refused = rows.filter(has_text="Deutsch").filter(has_text="Il n’y a rien à dire dans ce texte")
    expect(refused).to_have_count(1)
    # the page has run again, as all have ended; until then a row can be there twice
    expect(panel.get_by_role("button", name="Annuler")).to_have_count(0)
    expect(rows).to_have_count(5)
    for language in ("français", "English", "español", "日本語"):
        expect(rows.filter(has_text=language)).to_contain_text(re.compile(r"\d,\d s\s*\d,\d\d"))
    settle(page)
    rows.filter(has_text="English").get_by_text("Spectrogramme").click()
    expect(rows.filter(has_text="English").locator("img")).to_be_visible()
    picture(page, "languages")


def test_the_service_is_shown_and_its_examples_follow_the_choices(
    page: Page, running: Place
) -> None:
    panel = open_tab(page, "Paramètres avancés")
    expect(panel.get_by_text("embedded")).to_be_visible()
    speed = panel.get_by_role("slider").first
    speed.focus()
    for _ in range(5):
        speed.press("ArrowRight")
    expect(panel.get_by_text("--form-string speed=1.25").first).to_be_visible()
    expect(
        panel.get_by_text(f"curl http://localhost:{running.service.rpartition(':')[2]}/synthesize")
    ).to_be_visible()
    picture(page, "service")
    panel.get_by_role("button", name="Remettre à zéro").click()
    expect(panel.get_by_text("--form-string speed=1.25")).to_have_count(0)


def test_a_recording_of_the_service_is_recognized_and_one_of_a_person_is_not(
    page: Page, running: Place, tmp_path: Path
) -> None:
    text = "It was a bright cold day in April, and the clocks were striking thirteen. Nobody looked up."
    form = {"text": (None, text), "language": (None, "en")}
    spoken = requests.post(f"{running.service}/synthesize", files=form, timeout=300)
    assert spoken.status_code == 200
    own = tmp_path / "own.wav"
    own.write_bytes(spoken.content)

    panel = open_tab(page, "Paramètres avancés")
    panel.get_by_text("D’où vient un enregistrement").click()
    upload = panel.get_by_test_id("stFileUploader").locator("input")
    upload.set_input_files(own)
    go = panel.get_by_role("button", name="Examiner")
    expect(go).to_be_visible()
    settle(page)
    go.click()
    expect(panel.get_by_text("porte le filigrane")).to_be_visible(timeout=120_000)
    request = panel.get_by_text(f"Requête {spoken.headers['Request-Name']}")
    expect(request).to_contain_text("exactement comme elles ont été dites")

    settle(page)
    upload.set_input_files(CLIP_FILE)
    expect(panel.get_by_text("porte le filigrane")).to_have_count(0)
    settle(page)
    go.click()
    expect(panel.get_by_text("Aucun filigrane")).to_be_visible(timeout=120_000)
    expect(panel.get_by_text("Aucune de ses phrases")).to_be_visible()


def test_a_cancelled_speech_stops_on_the_service(page: Page, running: Place) -> None:
    page.get_by_label("Texte à dire").fill(LONG * 8)
    page.get_by_label("Texte à dire").blur()
    page.get_by_role("button", name="Générer").click()
    expect(page.get_by_test_id("player")).to_have_attribute("data-state", "playing")
    page.get_by_role("button", name="Annuler").click()
    expect(page.get_by_text("Annulé.")).to_be_visible()
    _until_nothing_is_owed(running)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone_in_light_and_dark(
    chrome: Browser, running: Place, scheme: str
) -> None:
    page = open_page(
        chrome, running.pages, viewport={"width": 390, "height": 844}, color_scheme=scheme
    )
    expect(page.get_by_role("button", name="Générer")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    background = page.get_by_test_id("stApp").evaluate(
        "app => getComputedStyle(app).backgroundColor"
    )
    brightness = sum(map(int, re.findall(r"\d+", background)[:3]))
    assert brightness > 600 if scheme == "light" else brightness < 150
    page.context.close()


def _until_nothing_is_owed(running: Place) -> None:
    """Wait until the service works on nothing: far sooner than it would have spoken."""
    give_up_at_s = time.monotonic() + 60
    while time.monotonic() < give_up_at_s:
        metrics = requests.get(f"{running.service}/metrics", timeout=60).text
        if re.search(r"^tts_queued_audio_seconds 0\.0$", metrics, re.MULTILINE) and re.search(
            r'^tts_queue_depth{stream="TTS_SENTENCES"} 0\.0$', metrics, re.MULTILINE
        ):
            return
        time.sleep(0.2)
    pytest.fail("the work goes on")


def test_widgets_whose_code_loads_late_keep_their_values(page: Page, running: Place) -> None:
    late = page.context.new_page()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    late.route(re.compile(r"/(Slider|Checkbox|TextArea)\.[^/]*js$"), hold)
    late.goto(running.pages)
    late.get_by_role("tab").first.wait_for()
    settle(late)
    late.get_by_text("Standard").click()  # the page's script runs again
    settle(late)
    assert len(held) == 3
    for route in held:
        route.continue_()
    panel = late.get_by_role("tabpanel", name="Synthèse rapide")
    expect(panel.get_by_label("Texte à dire")).to_have_value(re.compile("^Bonjour"))
    expect(panel.get_by_test_id("stSliderThumbValue")).to_have_text("1.00")
    switch = panel.get_by_role("switch", name="Conserver les résultats")
    expect(switch).to_be_checked()
    settle(late)
    assert "store=" not in late.url
