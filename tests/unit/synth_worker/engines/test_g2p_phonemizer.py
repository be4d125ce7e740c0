"""Any text in any language becomes Kokoro's symbols, and the same text always the same ones."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.common.wire.languages import LANGUAGES
from services.synth_worker.engines.embedded.g2p import VOCABULARY, Phonemizer

languages = st.sampled_from(sorted(LANGUAGES))
# Any characters at all, lone surrogates too, with a bias to the scripts of the readers.
texts = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("aé ßжя.,!?«»12 ñ'-日本はカー中文한글ㄱعَربيदेवना।、。\u200d"),
    ),
    max_size=40,
)
few = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def phonemizer() -> Iterator[Phonemizer]:
    loaded = Phonemizer()
    loaded.load()
    yield loaded
    loaded.close()


@few
@given(text=texts, language=languages)
def test_any_text_gives_only_symbols_that_kokoro_has(
    phonemizer: Phonemizer, text: str, language: str
) -> None:
    assert set(phonemizer.phonemes(text, language)) <= VOCABULARY.keys()


@few
@given(text=texts, language=languages, other=texts, other_language=languages)
def test_phonemes_do_not_depend_on_what_was_read_before(
    phonemizer: Phonemizer, text: str, language: str, other: str, other_language: str
) -> None:
    first = phonemizer.phonemes(text, language)
    phonemizer.phonemes(other, other_language)
    assert phonemizer.phonemes(text, language) == first


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_reads_its_own_name_and_keeps_the_question_mark(
    phonemizer: Phonemizer, language: str
) -> None:
    phonemes = phonemizer.phonemes(f"{LANGUAGES[language]}?", language)
    assert phonemes.endswith("?")
    assert sum(symbol.isalpha() for symbol in phonemes) >= 4


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_speaks_figures_and_latin_words(
    phonemizer: Phonemizer, language: str
) -> None:
    without = phonemizer.phonemes(LANGUAGES[language], language)
    assert len(phonemizer.phonemes(f"{LANGUAGES[language]} 7", language)) > len(without) + 1
    assert len(phonemizer.phonemes(f"{LANGUAGES[language]} Hamburg", language)) > len(without) + 4


@pytest.mark.parametrize(
    "text", ["", " ", "...", "?!", "😀", "\ud800", "\x00\x07", "ꙮꙮ", "«»", "\u0301"]
)
def test_text_without_phones_gives_nothing(phonemizer: Phonemizer, text: str) -> None:
    assert {phonemizer.phonemes(text, language) for language in LANGUAGES} == {""}


def test_punctuation_stays_where_it_is_a_pause_and_not_inside_figures(
    phonemizer: Phonemizer,
) -> None:
    phonemes = phonemizer.phonemes("Dr. Smith paid 3.14 (really), then: “why?”", "en")
    assert phonemes == "dˈɑktəɹ smˈɪθ pˈAd θɹˈi pYnt wˈʌn fˈɔɹ (ɹˈiəli), ðˈɛn: “wˈI?”"


def test_words_of_another_script_go_to_a_reader_for_it(phonemizer: Phonemizer) -> None:
    phonemes = phonemizer.phonemes("he said 你好 and привет", "en")
    assert phonemizer.phonemes("你好", "zh") in phonemes
    assert phonemizer.phonemes("привет", "ru") in phonemes


GOLDEN = {
    "en": ("The quick brown fox jumps.", "ðə kwˈɪk bɹˈWn fˈɑks ʤˈʌmps."),
    "fr": ("Bonjour, comment allez-vous ?", "bɔ̃ʒˈuʁ, kɔmˌɑ̃ alˈevˈu?"),
    "es": ("¿Cómo estás?", "kˈomo estˈas?"),
    "it": ("Gli gnocchi sono pronti.", "ʎɪ ɲˈokːɪ sˌono prˈontɪ."),
    "pt": ("Não há coração.", "nˌɐ̃ʊ̃ a kˌoɾasˈɐ̃ʊ̃."),
    "hi": ("नमस्ते, आप कैसे हैं।", "nəmˈʌsteː, ˌaːp kˈɛːseː hɛ̃."),
    "ja": ("東京へ行きます。", "toːkʲoː e ikʲi masɨ."),
    "zh": ("我来到北京。", "wo↓ lai↗tau↘ pei↓ʨi→ŋ."),
    "ko": ("독립문에 같이 가자!", "doŋnimmune ɡaʨʰi ɡaʥa!"),
}


@pytest.mark.parametrize("language", GOLDEN)
def test_a_sentence_is_read_as_a_native_would(phonemizer: Phonemizer, language: str) -> None:
    text, phonemes = GOLDEN[language]
    assert phonemizer.phonemes(text, language) == phonemes


def test_arabic_gets_its_short_vowels(phonemizer: Phonemizer) -> None:
    assert phonemizer.phonemes("ذهب الولد", "ar").count("a") >= 5


def test_vowelled_arabic_is_read_as_it_is_written(phonemizer: Phonemizer) -> None:
    assert phonemizer.phonemes("كُتِبَ الدرس", "ar") != phonemizer.phonemes("كَتَبَ الدرس", "ar")
