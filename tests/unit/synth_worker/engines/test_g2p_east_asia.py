"""Own rules for Korean, Mandarin and Japanese, checked against the standards that they follow."""

import pytest

from services.synth_worker.engines.embedded.g2p.languages.chinese import Chinese, syllable_symbols
from services.synth_worker.engines.embedded.g2p.languages.japanese import mora_symbols
from services.synth_worker.engines.embedded.g2p.languages.korean import (
    Korean,
    phones,
    pronounced,
    syllables,
    symbols,
)
from services.synth_worker.engines.embedded.g2p.languages.numerals import KOREAN, MANDARIN, spelled

# Examples of the Standard Pronunciation of Korean, as written and as pronounced.
HEARD = [
    ("닦다", "닥따"),
    ("키읔과", "키윽꽈"),
    ("앉다", "안따"),
    ("넓다", "널따"),
    ("값", "갑"),
    ("닭", "닥"),
    ("맑다", "막따"),
    ("맑게", "말께"),
    ("닮다", "담따"),
    ("놓고", "노코"),
    ("많고", "만코"),
    ("닳지", "달치"),
    ("닿소", "다쏘"),
    ("놓는", "논는"),
    ("않네", "안네"),
    ("낳은", "나은"),
    ("싫어도", "시러도"),
    ("맏형", "마텽"),
    ("꽂히다", "꼬치다"),
    ("못하다", "모타다"),
    ("깎아", "까까"),
    ("꽃을", "꼬츨"),
    ("넋이", "넉씨"),
    ("앉아", "안자"),
    ("굳이", "구지"),
    ("같이", "가치"),
    ("굳히다", "구치다"),
    ("벼훑이", "벼훌치"),
    ("먹는", "멍는"),
    ("국물", "궁물"),
    ("닫는", "단는"),
    ("밥물", "밤물"),
    ("담력", "담녁"),
    ("종로", "종노"),
    ("막론", "망논"),
    ("협력", "혐녁"),
    ("신라", "실라"),
    ("칼날", "칼랄"),
    ("국밥", "국빱"),
    ("옷고름", "옫꼬름"),
    ("핥다", "할따"),
    ("다쳐", "다처"),
    ("희망", "히망"),
]


@pytest.mark.parametrize(("written", "heard"), HEARD)
def test_korean_is_pronounced_by_the_standard(written: str, heard: str) -> None:
    assert pronounced(written) == syllables_of_seven(heard)


def syllables_of_seven(heard: str) -> list[object]:
    return list(syllables(heard))


@pytest.mark.parametrize(
    ("text", "like"),
    [("밟는", "밤는"), ("십육", "심뉵"), ("할 것을", "할껏을"), ("ㄱ", "기역"), ("15일", "십오일")],
)
def test_korean_exceptions_are_read_like_their_spelling_by_ear(text: str, like: str) -> None:
    assert Korean().phonemes(text) == Korean().phonemes(like)


def test_a_double_lateral_of_korean_is_written_with_l() -> None:
    assert symbols(phones(pronounced("신라"))) == "ɕilla"


@pytest.mark.parametrize(
    ("written", "ipa"),
    [("가까", "ɡ\u0325ak\u0348a"), ("있다", "it\u031at\u0348a"), ("차비", "ʨʰabi")],
)
def test_korean_ipa_distinguishes_lax_tense_and_unreleased_stops(written: str, ipa: str) -> None:
    assert phones(pronounced(written)) == ipa
    assert not set(symbols(ipa)) & set("\u0325\u0348\u031a")


@pytest.mark.parametrize(
    ("pinyin", "expected"),
    [
        ("zhong1", "ꭧʊ→ŋ"),
        ("guo2", "kwo↗"),
        ("shi4", "ʂɨ↘"),
        ("xue2", "ɕɥe↗"),
        ("yuan2", "ɥɛ↗n"),
        ("nv3", "ny↓"),
        ("er2", "ɚ↗"),
        ("liu4", "ljou↘"),
        ("gui4", "kwei↘"),
        ("lun2", "lwə↗n"),
        ("jun1", "ʨy→n"),
        ("xiong2", "ɕjʊ↗ŋ"),
        ("weng1", "wə→ŋ"),
        ("you3", "jou↓"),
        ("yan4", "jɛ↘n"),
        ("bo1", "pwo→"),
        ("de5", "tɤ"),
        ("o1", "ɔ→"),
        ("xx", ""),
    ],
)
def test_a_syllable_of_pinyin_has_its_tone_after_the_vowel(pinyin: str, expected: str) -> None:
    assert syllable_symbols(pinyin) == expected


def test_every_syllable_of_pypinyin_has_symbols() -> None:
    from pypinyin import Style, lazy_pinyin
    from pypinyin.constants import PINYIN_DICT

    common = "".join(chr(code) for code in PINYIN_DICT if 0x4E00 <= code <= 0x9FFF)
    found = {
        s
        for s in lazy_pinyin(list(common), style=Style.TONE3, neutral_tone_with_five=True)
        if s[-1] in "12345"
    }
    assert len(found) > 1000
    assert {syllable for syllable in found if not syllable_symbols(syllable)} <= {"hm5", "hng5"}


def test_a_character_with_two_readings_is_read_by_its_word() -> None:
    chinese = Chinese()
    assert chinese.phonemes("银行") == "i↗nxa↗ŋ"
    assert chinese.phonemes("行走") == "ɕi↗ŋʦou↓"


@pytest.mark.parametrize(
    ("katakana", "expected"),
    [
        ("トーキョー", "toːkʲoː"),
        ("シンブン", "ɕimbɯɴ"),
        ("カンコー", "kaŋkoː"),
        ("ホンヤ", "hoɴja"),
        ("アンナイ", "annai"),
        ("ガッコー", "ɡaʔkoː"),
        ("チュウイ", "ʨɨɯi"),
        ("ジャ", "ʥa"),
        ("デス’", "desɨ"),
        ("ティー", "tʲiː"),
    ],
)
def test_kana_become_morae(katakana: str, expected: str) -> None:
    assert mora_symbols(katakana) == expected


@pytest.mark.parametrize(
    ("figures", "mandarin", "korean"),
    [
        ("0", "零", "영"),
        ("10", "十", "십"),
        ("15", "十五", "십오"),
        ("101", "一百零一", "백일"),
        ("110", "一百一十", "백십"),
        ("1,234", "一千二百三十四", "천이백삼십사"),
        ("10000", "一万", "만"),
        ("10050", "一万零五十", "만오십"),
        ("20260", "二万零二百六十", "이만이백육십"),
        ("100000000", "一亿", "일억"),
        ("3.14", "三点一四", "삼점일사"),
        ("50%", "百分之五十", "오십 퍼센트"),
        ("-5", "负五", "마이너스 오"),
        ("007", "零零七", "영영칠"),
        (
            "12345678901234567",
            "一二三四五六七八九零一二三四五六七",
            "일이삼사오육칠팔구영일이삼사오육칠",
        ),
    ],
)
def test_figures_are_spelled_as_they_are_pronounced(
    figures: str, mandarin: str, korean: str
) -> None:
    assert spelled(figures, MANDARIN) == mandarin
    assert spelled(figures, KOREAN) == korean
