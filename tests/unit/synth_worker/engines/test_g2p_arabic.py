"""Vowelled Arabic is read by its spelling; the vowels themselves come from a model."""

import pytest

from services.synth_worker.engines.embedded.g2p.languages.arabic import ArabicVowels
from services.synth_worker.engines.embedded.g2p.languages.arabic_phones import arabic_symbols


@pytest.mark.parametrize(
    ("written", "heard"),
    [
        ("كَتَبَ", "kˈataba"),
        ("كِتَاب", "kitˈaːb"),
        ("مَدْرَسَة", "mˈadɾasa"),
        ("مَدْرَسَةُ", "madɾˈasatu"),
        ("مُدَرِّس", "mudˈaɾɾis"),
        ("بَيْت", "bˈajt"),
        ("يَوْم", "jˈawm"),
        ("كَثِيرًا", "kaθˈiːɾan"),
        ("قَلَم", "qˈɑlam"),
        ("الشَّمْس", "aʃʃˈams"),
        ("القَمَر", "ˈalqɑmaɾ"),
        ("فِي البَيْتِ", "fˈilbˈajti"),
        ("مِنَ السُّوق", "mˈinassˈuːq"),
        ("وَالشَّمْس", "waʃʃˈams"),
        ("بِالْبَيْت", "bilbˈajt"),
        ("كَتَبُوا", "kˈatabuː"),
        ("هَذَا", "hˈaːðaː"),
        ("ذَلِكَ", "ðˈaːlika"),
        ("اللَّه", "allˈaːh"),
        ("آخِر", "ˈaːxiɾ"),
        ("إِلَى", "ˈilaː"),
    ],
)
def test_a_vowelled_word_is_pronounced_as_it_is_spelled(written: str, heard: str) -> None:
    assert arabic_symbols(written) == heard


def test_the_order_of_the_marks_on_a_letter_does_not_matter() -> None:
    assert arabic_symbols("مُدَرّ\u0650س") == arabic_symbols("مُدَر\u0650ّس")


def test_vowels_are_put_in_and_case_endings_left_out() -> None:
    assert ArabicVowels().vowelled("يلعب الأطفال في الحديقة") == "يَلْعَب الْأَطْفَال فِي الْحَدِيقَة"


def test_words_that_bear_vowels_keep_them() -> None:
    assert ArabicVowels().vowelled("كُتِبَ الدرس").split()[0] == "كُتِبَ"


def test_stretching_strokes_are_no_letters() -> None:
    assert ArabicVowels().vowelled("الســـلام") == ArabicVowels().vowelled("السلام")
