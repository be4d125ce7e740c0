"""Letters that a language's voices cannot speak become their base letter, or are left out and
reported."""

import unicodedata
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.wire.failures import EmptyText, UnspeakableText
from services.common.wire.languages import LANGUAGES
from services.common.wire.options import TextOptions
from services.common.wire.parts import Passage
from services.splitter.normalization.text.alignment import Aligned
from services.splitter.normalization.text.alphabets import speakable
from services.splitter.normalization.text.characters import cleaned
from services.splitter.segmentation.document import SplitOptions, split_passages, split_ssml
from services.splitter.segmentation.sentences import SplitText, split
from services.synth_worker.engines.embedded.g2p.phonemizer import Phonemizer
from tests.support.cases import assert_each

LATIN = ["fr", "en", "es", "de", "it", "pt", "pl", "tr", "nl", "cs", "hu"]
VIETNAMESE = "ạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹđăơư"
FOREIGN = [
    ("Nguyễn", "Nguyen"),
    ("ĐỒNG", "DONG"),
    ("Trần Hưng Đạo", "Tran Hung Dao"),
    ("Phạm Văn Đồng", "Pham Van Dong"),
    ("Ħal Għaxaq", "Hal Ghaxaq"),
    ("Ŧ", "T"),
    ("ẹ\u0301kọ", "eko"),
    ("m\u0300", "m"),
    ("ƙƊ", "kD"),
    ("Əliyev", "Eliyev"),
    ("Hawai\u02bbi", "Hawaii"),
    ("Ⅷ", "VIII"),
    ("ℕ", "N"),
]
UNSUPPORTED = ["สวัสดีครับ", "שלום עולם", "გამარჯობა", "բարեւ", "নমস্কার", "வணக்கம்", "ሰላም"]


def said(text: str, language: str) -> str:
    return speakable(cleaned(Aligned(text)), language).aligned.text


def divided(text: str, language: str) -> SplitText:
    return split(text, language, max_characters=200)


def left_out(text: str, division: SplitText) -> list[str]:
    return [text[start:end] for start, end in division.left_out]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_foreign_letter_is_its_base_letter(language: str) -> None:
    assert_each(FOREIGN, lambda written: said(written, language))


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("fr", "À l’œuvre, un naïf garçon aperçut l’île où çà, Noël."),
        ("en", "The naïve fiancée ate crème brûlée with jalapeños in a café."),
        ("de", "Süße Grüße aus Köln"),
        ("es", "El niño pingüino comió piñata"),
        ("it", "È così perché sarà più là"),
        ("pt", "Não há coração à avó, órgãos e pêssegos"),
        ("pl", "Zażółć gęślą jaźń"),
        ("tr", "Iğdır'da ışık, İstanbul'da şöför güçlü"),
        ("nl", "één coöperatie, geïnd"),
        ("cs", "Příliš žluťoučký kůň úpěl ďábelské ódy"),
        ("hu", "Árvíztűrő tükörfúrógép"),
        ("ru", "Съешь ещё этих мягких французских булок"),
        ("ar", "مرحبًا بالعالَم"),
        ("zh", "他来了。"),
        ("ja", "スーパーの人々"),
        ("ko", "안녕하세요 ㅋㅋ"),
        ("hi", "क्षितिज ज़रूरी है"),
    ],
)
def test_a_languages_own_letters_stay(language: str, text: str) -> None:
    assert said(text, language) == cleaned(Aligned(text)).text


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("ἀρχὴ ᾧ", "αρχή ώ"),
        ("привѣтъ", "приветъ"),
        ("Қазақ Әлем", "Казак Элем"),
        ("ہاں لڑکے", "هان لرکي"),
        ("ॲप", "ऍप"),
        ("〆切", "しめ切"),
    ],
)
def test_letters_of_other_scripts_fall_back_within_their_script(written: str, spoken: str) -> None:
    assert said(written, "en") == spoken


@pytest.mark.parametrize(
    ("language", "written", "spoken"),
    [
        ("ja", "第①問と第②問", "第1問と第2問"),
        ("ja", "①②③", "1 2 3"),
        ("zh", "第㈠章", "第1章"),
        ("ko", "⑴사과 ❷배", "1사과 2배"),
        ("en", "①First ⑫second x❶", "1 First 12 second x 1"),
        ("en", "㊿", "50"),
        ("ja", "㈱山田", "株式会社山田"),
        ("ja", "㍻元年 ㈪", "平成元年 月曜"),
        ("ja", "5㌔ 10㍍ 3㌫", "5キロ 10メートル 3パーセント"),
        ("en", "5㎏, 20㎡, 21℃, 3㎧", "5kg, 20m2, 21°C, 3m/s"),
        ("en", "№ 5", "№ 5"),
        ("en", "5 µg and 5 μg", "5 μg and 5 μg"),
        ("en", "3 Ω, 3 Ω, 5 K, 1 Å", "3 Ω, 3 Ω, 5 K, 1 Å"),
        ("en", "Ⓐ 🄱", "A B"),
        ("en", "๑๒", "12"),
    ],
)
def test_characters_in_disguise_are_plain_before_figures_are_read(
    language: str, written: str, spoken: str
) -> None:
    assert cleaned(Aligned(written)).text == spoken
    assert said(written, language) == spoken


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_unsupported_script_is_left_out_and_its_span_reported(language: str) -> None:
    def reported_and_spoken(script: str) -> tuple[list[str], set[str]]:
        text = f"Hello. {script}, 中文."
        division = divided(text, language)
        spoken = "".join(sentence.spoken for sentence in division.sentences)
        return left_out(text, division), set(spoken) & set(script) - {" "}

    assert_each([(script, ([script], set())) for script in UNSUPPORTED], reported_and_spoken)


@pytest.mark.parametrize("language", LANGUAGES)
def test_supported_scripts_are_unchanged_in_every_language(language: str) -> None:
    text = "καλημέρα, привет, سلام, नमस्ते, 안녕, こんにちは, 你好"
    assert divided(text, language).left_out == ()


def test_the_error_for_an_unspeakable_text_names_its_script_and_never_its_words() -> None:
    with pytest.raises(
        UnspeakableText, match="written in Thai, which the voices of language=en"
    ) as refused:
        divided("สวัสดีครับ 😀", "en")
    assert "ส" not in str(refused.value)
    with pytest.raises(UnspeakableText, match="Hebrew, Georgian"):
        split_passages(
            "שלום გამარჯობა",
            (Passage(0, 4, "fr"),),
            SplitOptions("en", dict.fromkeys(LANGUAGES, 100)),
        )
    with pytest.raises(EmptyText):
        divided("... 😀", "en")


def test_a_pronunciation_makes_an_unspeakable_word_speakable() -> None:
    options = TextOptions(pronunciations={"สวัสดี": "sawatdee"})
    division = split("Say สวัสดี now.", "en", max_characters=100, options=options)
    assert division.left_out == ()
    assert division.sentences[0].spoken == "Say sawatdee now."


def test_places_that_are_left_out_of_a_document_count_the_document() -> None:
    source = '<speak>Hello <sub alias="x">ก</sub> שלום <lang xml:lang="fr">à ไทย</lang> &amp; end.</speak>'
    division = split_ssml(source, SplitOptions("en", dict.fromkeys(LANGUAGES, 100)))
    assert left_out(source, division) == ["שלום", "ไทย"]


@settings(deadline=None)
@given(st.text(max_size=120), st.sampled_from(list(LANGUAGES)))
def test_only_reported_letters_are_lost_and_the_step_is_idempotent(
    text: str, language: str
) -> None:
    aligned = cleaned(Aligned(text))
    spoken = speakable(aligned, language)
    again = speakable(Aligned(spoken.aligned.text), language)
    assert again.aligned.text == spoken.aligned.text
    assert again.left_out == ()
    assert all(0 <= start < end <= len(text) for start, end in spoken.left_out)
    assert list(spoken.left_out) == sorted(spoken.left_out)


@pytest.fixture(scope="module")
def phonemizer() -> Iterator[Phonemizer]:
    made = Phonemizer()
    made.load()
    yield made
    made.close()


@pytest.mark.parametrize("language", LATIN)
def test_no_supported_letter_is_spelled_by_its_name(language: str, phonemizer: Phonemizer) -> None:
    usual = len(phonemizer.phonemes("kana", language))
    letters = [
        chr(code) for code in (*range(0xDF, 0x250), *range(0x1E00, 0x1F00)) if chr(code).islower()
    ]
    spelled = [
        letter
        for letter in letters
        if len(phonemizer.phonemes(said(f"ka{letter}na", language), language)) > usual + 6
    ]
    assert spelled == []


@pytest.mark.parametrize(
    ("around", "first", "last"),
    [
        ("καXνα", 0x386, 0x3FF),
        ("καXνα", 0x1F00, 0x1FFF),
        ("каXна", 0x400, 0x52F),
        ("काXना", 0x904, 0x97F),
    ],
)
def test_letters_of_other_scripts_are_not_spelled_either(
    around: str, first: int, last: int, phonemizer: Phonemizer
) -> None:
    usual = len(phonemizer.phonemes(around.replace("X", ""), "en"))
    for code in range(first, last + 1):
        if unicodedata.category(chr(code))[0] == "L":
            spoken = said(around.replace("X", chr(code)), "en")
            assert len(phonemizer.phonemes(spoken, "en")) <= usual + 8, chr(code)


@pytest.mark.parametrize("language", LATIN)
def test_vietnamese_is_spoken_as_its_base_letters(language: str, phonemizer: Phonemizer) -> None:
    for letter in VIETNAMESE:
        base = {"đ": "d"}.get(letter, unicodedata.normalize("NFD", letter)[0])
        heard = phonemizer.phonemes(said(f"ka{letter}na", language), language)
        assert heard == phonemizer.phonemes(f"ka{base}na", language)
