"""Sentences of the seventeen languages: own texts with abbreviations, decimals, dates, quotations and ellipses."""

import pytest

from services.common.wire.languages import LANGUAGES
from services.splitter.sentences import split

# language -> sentences; joined by spaces (or by nothing in zh and ja) they are the text.
GOLD = {
    "fr": [
        "M. Dupont a payé 3,50 € à Mme Martin.",
        "« Vraiment ? » demanda-t-il...",
        "Oui, c'est vrai !",
        "Cf. p. 12 du livre.",
        "Il est 5 h. du matin à Paris.",
    ],
    "en": [
        "Dr. Smith paid $3.50 to Mr. Brown at 5 p.m. on Jan. 3rd.",
        '"Yes, I did!" he said loudly.',
        "It's about 3.14 metres.",
        "The U.S. troops left, e.g. this one.",
        'He asked, "Why not?" and left.',
    ],
    "es": ["El Sr. García pagó 3,50 € a la Sra. López.", "¿De verdad lo hizo?", "Vive en la Avda. Mayor."],
    "de": [
        "Am 3. Oktober kam Dr. Meier z.B. nach Hause.",
        "Er sagte: „Hallo, mein Freund!“",
        "Dann ging er usw. weiter.",
        "Das kostet 3,50 Euro.",
    ],
    "it": ["Il Sig. Rossi ha pagato 3,50 euro.", "Davvero lo ha fatto?", "Vedi pag. 12 del libro."],
    "pt": ["O Sr. Silva pagou 3,50 € à Sra. Costa.", "É verdade isso?", "Ver pág. 12 do livro."],
    "pl": [
        "Prof. Nowak mieszka przy ul. Długiej 5.",
        "Czy to prawda?",
        "Tak, np. wczoraj był tu.",
        "W 1990 r. wyjechał.",
    ],
    "tr": ["Dr. Yılmaz saat 5'te geldi.", "Gerçekten mi geldi?", "Evet, örn. dün geldi!", "Prof. Demir de oradaydı."],
    "ru": ["Он жил на ул. Ленина, д. 5.", "Это было в 1990 г. в Москве.", "Правда ли это?", "И т.д. и т.п."],
    "nl": [
        "Dhr. Jansen betaalde 3,50 euro.",
        "Is dat echt waar?",
        "Ja, bijv. gisteren nog!",
        "Mevr. de Vries kwam ook.",
    ],
    "cs": ["Bydlel v ul. 5. května.", "Např. takto to šlo.", "Dne 3. 5. 2020 přišel domů."],
    "ar": ["هذا هو البيت.", "هل هذا صحيح؟", "نعم هذا صحيح!", "الثمن 3.5 دولار."],
    "zh": ["他来了。", "“你好吗？”我问。", "价格是3.5元。", "真的是这样吗！！", "好吧，我们走……"],
    "hu": ["Dr. Kovács a Fő u. 5. alatt lakik.", "Igaz ez az egész?", "Igen, pl. tegnap is!", "Kb. 3,5 kilométer."],
    "ko": [
        "안녕하세요, 여러분 모두요.",
        "만나서 정말 반갑습니다!",
        "가격은 모두 3.5원입니다.",
        "정말로 그렇습니까, 선생님?",
    ],
    "ja": ["今日は晴れです。", "「本当ですか？」と彼は言った。", "値段は3.5円です！", "そうですね。"],
    "hi": ["यह एक वाक्य है।", "क्या यह सच है?", "हाँ, यह सच है!"],
}


def spoken(text: str, language: str, limit: int = 200) -> list[str]:
    return [sentence.spoken for sentence in split(text, language, max_characters=limit).sentences]


def test_every_language_has_a_gold_text() -> None:
    assert list(GOLD) == list(LANGUAGES)


@pytest.mark.parametrize("language", GOLD)
def test_a_text_is_divided_where_a_reader_would_pause(language: str) -> None:
    separator = "" if language in ("zh", "ja") else " "
    assert spoken(separator.join(GOLD[language]), language) == GOLD[language]


@pytest.mark.parametrize("language", GOLD)
def test_paragraphs_are_divided_the_same_way(language: str) -> None:
    assert spoken("\n\n".join(GOLD[language]), language) == GOLD[language]


def test_very_short_sentences_are_joined_to_their_neighbours() -> None:
    assert spoken("No. Yes. Perhaps that is how it was.", "en") == ["No. Yes. Perhaps that is how it was."]
    assert spoken("That is how it was. Or not.", "en") == ["That is how it was. Or not."]


def test_a_long_sentence_is_cut_at_a_clause_before_words_and_at_words_before_letters() -> None:
    clauses = "One clause of a long sentence, and another clause of it, and a third one that ends it."
    assert spoken(clauses, "en", 60) == [
        "One clause of a long sentence, and another clause of it,",
        "and a third one that ends it.",
    ]
    assert spoken("several words without any mark between them", "en", 20) == [
        "several words",
        "without any mark",
        "between them",
    ]
    assert spoken("x" * 50, "en", 20) == ["x" * 20, "x" * 20, "x" * 10]
    assert spoken("Das kostet 1,234,567 Euro", "de", 12) == ["Das kostet", "1,234,567", "Euro"]


def test_a_cut_never_parts_a_letter_from_its_marks() -> None:
    text = "क्षि" * 30
    for piece in spoken(text, "hi", 10):
        assert piece[0] == "क"


def test_pauses_follow_what_ends_a_sentence() -> None:
    text = (
        "This is how it begins. Is this a question? This one trails off... A long one, which is cut here, goes on."
        "\n\nA new paragraph. The end of it"
    )
    pauses = [s.pause_after_ms for s in split(text, "en", max_characters=32).sentences]
    assert pauses == [280, 320, 400, 120, 600, 280, 0]


def test_without_splitting_a_text_stays_whole_as_far_as_the_engine_allows() -> None:
    text = "One sentence here. Another sentence there.\n\nA paragraph."
    whole = split(text, "en", max_characters=100, enable_text_splitting=False).sentences
    assert [s.spoken for s in whole] == ["One sentence here. Another sentence there. A paragraph."]
    assert len(split(text, "en", max_characters=30, enable_text_splitting=False).sentences) > 1


def test_items_of_a_list_are_sentences_though_no_mark_ends_them() -> None:
    text = "What we need today:\n- apples and pears\n- bread from the baker\n- a litre of milk"
    assert len(spoken(text, "en")) == 4


def test_invisible_characters_and_wide_digits_do_not_reach_the_engine() -> None:
    assert spoken("Zero\u200bwidth, soft\u00adhyphen,\tand １２３ ＡＢＣ.", "en") == [
        "Zerowidth, softhyphen, and 123 ABC."
    ]
