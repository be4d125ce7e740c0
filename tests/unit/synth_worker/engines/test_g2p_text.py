"""Text around the readers: where it is cut, which reader gets a word, and how IPA becomes Kokoro's symbols."""

import pytest

from services.synth_worker.engines.embedded.g2p.espeak.ipa import kokoro_symbols
from services.synth_worker.engines.embedded.g2p.punctuation import Stretch, stretches
from services.synth_worker.engines.embedded.g2p.scripts import runs
from services.synth_worker.engines.embedded.g2p.vocabulary import VOCABULARY, known


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one, two.", [Stretch("one", ","), Stretch(" two", "."), Stretch("", "")]),
        ("1,000.5 at 10:30", [Stretch("1,000.5 at 10:30", "")]),
        ("Dr. No", [Stretch("Dr. No", "")]),
        ("It ended. Then", [Stretch("It ended", "."), Stretch(" Then", "")]),
        ("wait... what", [Stretch("wait", "…"), Stretch(" what", "")]),
        ("好，走。", [Stretch("好", ", "), Stretch("走", ". "), Stretch("", "")]),
        ("«oui»", [Stretch("", "“"), Stretch("oui", "”"), Stretch("", "")]),
        ("Ａ１％", [Stretch("A1%", "")]),
        ("¿sí?", [Stretch("sí", "?"), Stretch("", "")]),
        ("l’été", [Stretch("l'été", "")]),
        ("a\ud800b😀c", [Stretch("ab c", "")]),
    ],
)
def test_text_is_cut_at_pauses(text: str, expected: list[Stretch]) -> None:
    assert stretches(text) == expected


@pytest.mark.parametrize(
    ("words", "language", "expected"),
    [
        ("Hallo Welt", "de", [("de", "Hallo Welt")]),
        ("я купил iPhone 15", "ru", [("ru", "я купил "), ("en", "iPhone "), ("ru", "15")]),
        ("東京タワー", "ja", [("ja", "東京タワー")]),
        ("東京タワー", "fr", [("zh", "東京"), ("ja", "タワー")]),
        ("नमस्ते", "hi", [("hi", "नमस्ते")]),
        ("१२ ٣", "en", [("en", "12 3")]),
        ("ΩБ", "it", [("el", "Ω"), ("ru", "Б")]),
        ("ꙮa", "en", [("en", " a")]),
    ],
)
def test_every_word_goes_to_a_reader_of_its_script(
    words: str, language: str, expected: list[tuple[str, str]]
) -> None:
    assert runs(words, language) == expected


@pytest.mark.parametrize(
    ("ipa", "language", "expected"),
    [
        ("d^ʒˈe^ɪ", "en", "ʤˈA"),
        ("bˈɜːd", "en", "bˈɜɹd"),
        ("ɡˈe^ɪt ɐ bˈɔ^ɪ", "en", "ɡˈAt ə bˈY"),
        ("bʌtn\u0329", "en", "bʌtᵊn"),
        ("lə- mˈɔ̃d", "fr", "lə mˈɔ̃d"),
        ("(^e^n)smˈɪθ t^ʃ(^f^r) t^ʃ", "fr", "smˈɪθ ʧ ʧ"),
        ("tr̝̊ˈi r̝ˈeka", "cs", "trʃˈi rʒˈeka"),
        ("t^ʃønkˈø ɟˈœz", "tr", "ʧynkˈy ɡˈøz"),
        ("ˈʌ^ʊdə ʋˈɵs", "nl", "ˈWdə vˈœs"),
        ("d^ʑˈiɕ ʑˈima", "pl", "ʥˈiɕ zʲˈima"),
        ("t̪ˌa.u", "ar", "tˌau"),
    ],
)
def test_ipa_becomes_the_symbols_that_kokoro_was_trained_on(
    ipa: str, language: str, expected: str
) -> None:
    assert known(kokoro_symbols(ipa, language)) == expected


def test_the_vocabulary_is_kokoros() -> None:
    assert len(VOCABULARY) == 114
    assert (VOCABULARY[";"], VOCABULARY[" "], VOCABULARY["ə"], VOCABULARY["ᵻ"]) == (1, 16, 83, 177)


def test_punctuation_alone_is_nothing_to_say() -> None:
    assert known(" , … ˈ ") == ""
