"""The detection of the languages of a text."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from services.common.wire.failures import UnsupportedLanguage
from services.common.wire.parts import Passage
from services.http_edge.intake import language as detection
from services.http_edge.intake.language import detected, preload
from tests.unit.splitter.normalization.gold import GOLD


@pytest.mark.parametrize("language", GOLD)
def test_a_page_of_a_language_is_detected(language: str) -> None:
    assert detected("\n".join(marked.replace("|", "") for marked in GOLD[language])) == (
        language,
        (),
    )


def test_nearly_all_of_194_one_line_texts_are_detected() -> None:
    def known(language: str, text: str) -> bool:
        try:
            return detected(text)[0] == language
        except UnsupportedLanguage:
            return False

    told = [
        known(language, marked.replace("|", ""))
        for language, texts in GOLD.items()
        for marked in texts
    ]
    assert sum(told) >= 0.97 * len(told)


FRENCH = "Une phrase courte, écrite en français."
ENGLISH = "This is rather longer, and it is in English. " * 3
GERMAN = "Guten Morgen, wie geht es Ihnen heute? Das Wetter ist schön."


@pytest.mark.parametrize("border", ["\n\n", "\n", "\n \n\t\n"])
def test_each_paragraph_of_a_mixed_text_is_in_its_own_language(border: str) -> None:
    text = border.join((FRENCH, ENGLISH, "OK.", GERMAN))
    language, passages = detected(text)
    assert language == "en"
    assert [(text[span.start : span.end].strip(), span.language) for span in passages] == [
        (FRENCH, "fr"),
        (GERMAN, "de"),
    ]


def test_adjacent_paragraphs_of_one_language_are_one_passage_that_includes_short_ones() -> None:
    text = "\n\n".join((ENGLISH, FRENCH, "Oui !", FRENCH, ENGLISH))
    [passage] = detected(text)[1]
    assert text[passage.start : passage.end].strip() == "\n\n".join((FRENCH, "Oui !", FRENCH))


def test_wrapped_lines_are_not_separate_paragraphs() -> None:
    wrapped = ENGLISH.replace(" and", "\nand")
    assert detected(f"{GERMAN * 9}\n{wrapped}") == (
        "de",
        (Passage(len(GERMAN) * 9 + 1, len(GERMAN * 9) + 1 + len(wrapped), "en"),),
    )


def test_an_unsupported_language_is_refused_with_the_list_of_supported_ones() -> None:
    with pytest.raises(UnsupportedLanguage, match="seems to be in sv"):
        detected("Hej, jag heter Anna och bor i Stockholm med min familj.")


@pytest.mark.parametrize("text", ["ok", "123", "...", "Hola"])
def test_a_text_without_a_detectable_language_is_refused(text: str) -> None:
    with pytest.raises(UnsupportedLanguage, match="send the field language"):
        detected(text)


def test_the_first_requests_load_the_model_once_between_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loads = []
    all_wait = threading.Barrier(4)
    all_load = threading.Barrier(4)  # which never happens: one loads

    class Identifier:
        @staticmethod
        def from_model_file(path: str, **_options: bool) -> str:
            loads.append(path)
            with suppress(threading.BrokenBarrierError):
                all_load.wait(0.3)
            return "a model"

    def first_request() -> None:
        all_wait.wait(60)
        preload()

    detection._model.cache_clear()
    monkeypatch.setattr(detection, "LanguageIdentifier", Identifier)
    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(first_request) for _ in range(4)]:
            done.result()
    detection._model.cache_clear()
    assert len(loads) == 1
