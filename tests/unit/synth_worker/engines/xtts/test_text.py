import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.common.wire.failures import EngineUnavailable, UnspeakableText
from services.common.wire.languages import LANGUAGES
from services.synth_worker.engines.xtts.text.tokenizer import (
    MAX_CHARACTERS,
    TextEncoder,
    missing_extras,
)
from tests.support.cases import assert_each

LIMIT = 402
SENTENCES = {
    "fr": "Il a payé 12,50 € à M. Dupond le 1er mai.",
    "en": "Dr. Smith paid $20 for 3 of the 1,250 seats, on the 2nd of May!",
    "es": "La Sra. García llegó a las 10 y se fue con 3 maletas.",
    "de": "Frau Dr. Müller ging am 3. Mai um 10 Uhr weg.",
    "it": "Il Sig. Rossi abita al 14° piano, e costa 20 €.",
    "pt": "A Sra. Silva comprou 15 maçãs, e pagou 20%.",
    "pl": "Było 50 żołnierzy, a potem 120.",
    "tr": "Dr. Ayşe burada, 50 asker vardı.",
    "ru": "Там было 50 солдат, и г-н Иванов.",
    "nl": "Dhr. Jansen heeft 14% van de 300 stoelen.",
    "cs": "Bylo tam 50 vojáků, a pan Novák.",
    "ar": "كان هناك 50 جنديا في المدينة.",
    "zh": "有50名士兵,在12.5秒内。",
    "hu": "Dr. Szabó itt van, és 50 katona volt.",
    "ko": "50 명의 병사가 있었다.",
    "ja": "今日は天気がいいですね。",
    "hi": "यह एक अच्छा दिन है।",
}
_NUMBERS = """
5. 12,5 3.14. 1.2.3 1,2 2024. 5.5.2024 1.234.567.890.123.456 1.234.567.890.123.456.789.012 $1,234.56 10.5€ £3 5º 1st 5%
1/2 10-20 -5 0007 1,00,000 ٣.٥ १२ ５ ² ½ 1e400 999999999999999 9999999999999999 €0.001 5번째 5वां 1.er
"""
NUMBERS = _NUMBERS.split()


@pytest.fixture(scope="module")
def encoder(checkpoint_folder: Path) -> TextEncoder:
    return TextEncoder(checkpoint_folder / "vocab.json")


def spoken(encoder: TextEncoder, text: str, language: str) -> str:
    """Return what the decoder reads, as text."""
    return str(encoder._tokenizer.decode(encoder.encode(text, language, LIMIT)))


def test_all_languages_of_the_service_have_a_limit() -> None:
    assert set(MAX_CHARACTERS) == set(LANGUAGES)
    assert (MAX_CHARACTERS["en"], MAX_CHARACTERS["ja"]) == (250, 71)


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_ordinary_sentence_has_the_ids_that_stock_gives_it(
    encoder: TextEncoder, stock: Any, language: str
) -> None:
    text = SENTENCES[language]
    # as stock's own inference calls it
    expected = stock.tokenizer.encode(text.strip().lower(), language)
    assert encoder.encode(text, language, LIMIT) == expected


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_number_of_any_kind_can_be_spoken(encoder: TextEncoder, language: str) -> None:
    texts = [text for number in NUMBERS for text in (f"a {number}", f"{number} a", f"a {number}.")]
    assert len(texts) >= 3 * 32
    assert_each(
        [(text, True) for text in texts],
        lambda text: bool(encoder.encode(text, language, 2 * LIMIT)),
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_number_of_four_hundred_digits_is_refused_for_its_length(
    encoder: TextEncoder, language: str
) -> None:
    with pytest.raises(
        UnspeakableText, match=r"and the model accepts (about \d+|401); send shorter sentences"
    ):
        encoder.encode("9" * 400, language, LIMIT)


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    text=st.one_of(
        st.text(max_size=60),
        st.text(alphabet="0123456789.,-–/ %$€£°º:'\"[]()٣५abcdest\n", max_size=40),
        st.text(
            alphabet=st.characters(categories=["Lo", "Nd", "No", "Sc", "Po", "Cs"]), max_size=30
        ),
    ),
    language=st.sampled_from(list(LANGUAGES)),
)
def test_a_text_gives_ids_within_the_vocabulary_or_a_named_failure(
    encoder: TextEncoder, text: str, language: str
) -> None:
    try:
        ids = encoder.encode(text, language, LIMIT)
    except UnspeakableText:
        return
    names = [encoder._tokenizer.tokenizer.id_to_token(token) for token in ids]
    assert names[0] == ("[zh-cn]" if language == "zh" else f"[{language}]")
    assert not {name for name in names[1:] if len(name) > 3 and name.startswith("[")} - {
        "[UNK]",
        "[SPACE]",
    }
    assert len(ids) < LIMIT


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Test 5.", "test pět."),
        ("5. května", "pět května"),
        ("Roku 1989. Konec.", "roku tisíc devětset osmdesát devět konec."),
        ("č.5. a", "č.pět a"),
        ("bylo .5. x", "bylo .pět x"),
    ],
)
def test_a_czech_number_before_a_full_stop_is_spoken_as_a_cardinal(
    encoder: TextEncoder, text: str, words: str
) -> None:
    assert spoken(encoder, text, "cs") == f"[cs]{words}"


def test_a_hindi_number_is_spoken_in_words(encoder: TextEncoder) -> None:
    assert spoken(encoder, "12.5 किलो", "hi").split() == ["[hi]बारह", "दशमलव", "पाँच", "किलो"]


def test_digits_of_other_scripts_are_numbers_in_every_language(encoder: TextEncoder) -> None:
    assert spoken(encoder, "٣ ५ ７", "en") == "[en]three five seven"


def test_a_number_without_a_name_is_spoken_digit_by_digit(encoder: TextEncoder) -> None:
    assert spoken(encoder, "1234567890123456", "en").startswith("[en]one two three four five")
    assert spoken(encoder, "1.234.567.890.123.456.789.012", "tr").startswith("[tr]bir iki üç")


def test_a_turkish_capital_is_one_letter(encoder: TextEncoder) -> None:
    assert spoken(encoder, "İstanbul", "tr") == "[tr]istanbul"


@pytest.mark.parametrize(
    "text", ["salut [de] hallo", 'salut [d"e] hallo', "salut ［ｄｅ］", "[STOP] salut [START]"]
)
def test_a_text_cannot_change_its_language_nor_end_itself(encoder: TextEncoder, text: str) -> None:
    special = {
        encoder._tokenizer.tokenizer.token_to_id(name) for name in ("[de]", "[START]", "[STOP]")
    }
    assert not special & set(encoder.encode(text, "fr", LIMIT))


def test_a_text_at_the_limit_is_refused_with_count_and_limit(encoder: TextEncoder) -> None:
    count = len(encoder.encode("x" * 40, "en", LIMIT))
    assert len(encoder.encode("x" * 40, "en", count + 1)) == count
    with pytest.raises(UnspeakableText, match=f"has {count} text tokens .* accepts {count - 1};"):
        encoder.encode("x" * 40, "en", count)


@pytest.mark.parametrize("text", ["", "  ", "...", "—?!", "\u200b"])
def test_a_text_without_words_is_refused(encoder: TextEncoder, text: str) -> None:
    with pytest.raises(UnspeakableText, match="nothing that can be spoken"):
        encoder.encode(text, "en", LIMIT)


def test_letters_that_the_model_does_not_know_are_refused(encoder: TextEncoder) -> None:
    with pytest.raises(UnspeakableText, match="no token for these letters in 'en'"):
        encoder.encode("ฉันรัก", "en", LIMIT)


def test_a_language_that_the_model_does_not_speak_is_a_failure_without_the_text(
    encoder: TextEncoder,
) -> None:
    with pytest.raises(UnspeakableText, match="does not speak 'xx'; choose one of en, ") as failure:
        encoder.encode("a secret", "xx", LIMIT)
    assert "secret" not in str(failure.value)


def test_no_language_lacks_its_packages_here() -> None:
    assert missing_extras(LANGUAGES) == {}


@pytest.mark.parametrize(
    ("module", "language", "packages"),
    [
        ("pypinyin", "zh", "pypinyin"),
        ("cutlet", "ja", "cutlet, fugashi, unidic-lite"),
        ("unidic_lite", "ja", "cutlet, fugashi, unidic-lite"),
    ],
)
def test_a_language_that_lacks_a_package_is_reported(
    module: str, language: str, packages: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    assert missing_extras(LANGUAGES) == {language: packages}


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        ("{", "is not the vocabulary"),
        ("{}", "is not the vocabulary"),
        (None, "is not the vocabulary"),
    ],
)
def test_a_vocabulary_of_something_else_is_refused(
    tmp_path: Path, content: str | None, advice: str
) -> None:
    if content is not None:
        (tmp_path / "vocab.json").write_text(content)
    with pytest.raises(EngineUnavailable, match=advice):
        TextEncoder(tmp_path / "vocab.json")


def test_a_vocabulary_without_a_language_does_not_speak_it(
    checkpoint_folder: Path, tmp_path: Path
) -> None:
    content = (checkpoint_folder / "vocab.json").read_text("utf-8")
    (tmp_path / "vocab.json").write_text(content.replace("[hi]", "[xx]"), "utf-8")
    encoder = TextEncoder(tmp_path / "vocab.json")
    assert set(MAX_CHARACTERS) - set(encoder.languages) == {"hi"}
    with pytest.raises(UnspeakableText, match="does not speak 'hi'"):
        encoder.encode("नमस्ते", "hi", LIMIT)
    assert encoder.encode("Good morning.", "en", LIMIT)


def test_a_vocabulary_without_any_language_is_refused(
    checkpoint_folder: Path, tmp_path: Path
) -> None:
    content = (checkpoint_folder / "vocab.json").read_text("utf-8")
    for language in MAX_CHARACTERS:
        tag = {"zh": "zh-cn"}.get(language, language)
        content = content.replace(f"[{tag}]", f"[x-{tag}]")
    (tmp_path / "vocab.json").write_text(content, "utf-8")
    with pytest.raises(EngineUnavailable, match="lacks the tag of every language"):
        TextEncoder(tmp_path / "vocab.json")


@pytest.mark.parametrize(
    ("language", "text"), [("fr", "1997, 1998, 1999."), ("de", "12.345.678"), ("ja", "1997年")]
)
def test_numbers_count_by_what_is_spoken_for_them(
    encoder: TextEncoder, language: str, text: str
) -> None:
    assert encoder.spoken_characters(text, language) > len(text) + 3
    assert encoder.spoken_characters("Bonjour", language) == len("Bonjour")


def test_a_text_of_many_times_the_length_is_refused_before_it_is_read(encoder: TextEncoder) -> None:
    with pytest.raises(UnspeakableText, match="characters"):
        encoder.encode("1.000 " * 5000, "de", LIMIT)
