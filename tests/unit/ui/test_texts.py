"""The interface's words: the same in both languages, and none missing."""

import re
import string
from pathlib import Path

import pytest

from services.common.wire.languages import LANGUAGES
from ui.presets import KINDS, presets
from ui.translations import TONGUES, words

# What a program does wrong that these pages do not do, or what has words under another name.
OF_PROGRAMS = {
    "malformed_message", "bad_request", "unknown_clip", "upload_stalled", "request_id_taken", "unknown_request",
    "idempotency_key_reused", "range_not_satisfiable",
}  # fmt: skip
UI = Path(__file__).parents[3] / "ui"


def values_of(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_have_the_same_texts_with_the_same_values() -> None:
    french, english = (words(tongue) for tongue in TONGUES)
    assert french.keys() == english.keys()
    assert {name for name in french if values_of(french[name]) != values_of(english[name])} == set()


def test_every_text_of_the_pages_exists() -> None:
    sources = "\n".join(file.read_text() for file in UI.rglob("*.py"))
    named = set(re.findall(r'\bt\(\s*"([a-z_.]+)"', sources))
    assert len(named) > 50
    assert named - words("fr").keys() == set()


def test_every_failure_of_the_service_has_its_own_text() -> None:
    table = (UI.parent / "docs" / "wire.md").read_text().partition("## Failure codes")[2]
    codes = set(re.findall(r"^\| `([a-z_]+)` \|", table, re.MULTILINE))
    assert len(codes) > 15
    assert {f"refusal.{code}" for code in codes - OF_PROGRAMS} - words("fr").keys() == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_a_tale_news_a_poem_and_a_sentence(language: str) -> None:
    texts = [presets()[language][kind] for kind in (*KINDS, "test")]
    assert all(len(text) > 10 for text in texts)
    assert len(set(texts)) == 4
