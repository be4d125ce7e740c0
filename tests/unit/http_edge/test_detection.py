"""Which language a text is in."""

import pytest

from services.common.wire.failures import UnsupportedLanguage
from services.http_edge.detection import detected, language_of
from tests.unit.splitter.gold import GOLD


@pytest.mark.parametrize("language", GOLD)
def test_a_page_of_a_language_is_known(language: str) -> None:
    assert detected("\n".join(marked.replace("|", "") for marked in GOLD[language])) == language


def test_of_194_texts_of_one_line_nearly_all_are_known() -> None:
    def known(language: str, text: str) -> bool:
        try:
            return detected(text) == language
        except UnsupportedLanguage:
            return False

    told = [known(language, marked.replace("|", "")) for language, texts in GOLD.items() for marked in texts]
    assert sum(told) >= 0.97 * len(told)


def test_the_language_of_most_of_a_mixed_text_is_taken() -> None:
    assert detected("Une phrase courte en français.\n\n" + "This is rather longer, and it is in English. " * 3) == "en"


def test_another_language_is_refused_with_those_that_are_spoken() -> None:
    with pytest.raises(UnsupportedLanguage, match="seems to be in sv"):
        detected("Hej, jag heter Anna och bor i Stockholm med min familj.")


@pytest.mark.parametrize("text", ["ok", "123", "...", "Hola"])
def test_a_text_that_tells_too_little_is_refused(text: str) -> None:
    with pytest.raises(UnsupportedLanguage, match="send the field language"):
        detected(text)


async def test_a_language_that_was_asked_for_is_taken_as_it_is() -> None:
    assert await language_of("Guten Morgen, wie geht es Ihnen heute?", "fr") == "fr"
    assert await language_of("Guten Morgen, wie geht es Ihnen heute?", "auto") == "de"
