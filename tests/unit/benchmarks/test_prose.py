"""The prose benchmark's pure parts: what is read from files, what counts as prose, and what verdicts are worth."""

import gzip
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.prose.judged import (
    Judgement,
    load,
    merge,
    save,
    standing,
    to_judge,
    unjudged,
    wilson,
)
from benchmarks.prose.paragraphs import Prose, one_line, words
from benchmarks.prose.readers import catalogues, man, markup, plain
from benchmarks.prose.report import precision
from benchmarks.prose.rewrites import Found, Rewrite, rewritten
from benchmarks.prose.sources import LOCALES, sources

SIX = "He said that the house was cold."


def rewrite(spoken: str = "seven", *, rule: str = "number", before: str = "He has ") -> Rewrite:
    return Rewrite("en", "fortunes", rule, before, "7", spoken, " of them.")


def judgement(spoken: str = "seven", verdict: str = "right", right: str = "") -> Judgement:
    return Judgement("number", "fortunes", "He has ", "7", spoken, " of them.", verdict, right)


def test_every_language_of_the_product_has_sources() -> None:
    assert " ".join(LOCALES) == "fr en es de it pt pl tr ru nl cs ar zh hu ko ja hi"
    assert all(len(sources(language)) > 5 for language in LOCALES)


def test_the_locales_are_filled_into_packages_and_paths() -> None:
    found = {source.name: source for source in sources("pt")}["manpages"]
    assert "manpages-pt-br" in found.packages
    assert "usr/share/man/pt_BR/man*/*.gz" in found.files


def test_sayings_are_read_without_their_separators(tmp_path: Path) -> None:
    path = tmp_path / "wit"
    path.write_text("One saying\nin two lines.\n\t\t-- Author\n%\nAnother.\n%\n")
    assert [one_line(text) for text in plain.fortunes(path) if text.strip()] == [
        "One saying in two lines.",
        "Author",
        "Another.",
    ]


def test_the_text_of_html_is_read_by_blocks_without_code() -> None:
    html = "<head><title>x</title></head><p>One <b>bold</b> word.</p><pre>code</pre><ul><li>Two<p>Three</ul><p>a&amp;b"
    assert [block for block in markup.blocks(html) if block.strip()] == [
        "One bold word.",
        "Two",
        "Three",
        "a&b",
    ]


def test_a_manual_page_is_read_without_its_synopsis_names_and_examples(tmp_path: Path) -> None:
    path = tmp_path / "x.1.gz"
    page = [
        ".SH SYNOPSIS",
        ".B x",
        ".SH DESCRIPTION",
        "Copies \\fBall\\fR",
        '.IR files ", or"',
        "none.",
        ".TP",
        "\\-v",
        "Says \\(lqmore\\(rq.",
        ".nf",
        "x = y",
        ".fi",
    ]
    path.write_bytes(gzip.compress("\n".join(page).encode()))
    assert [one_line(text) for text in man.man(path)] == [
        "Copies all files, or none.",
        "Says “more”.",
    ]


def test_a_gettext_catalogue_is_read_by_its_sentences(tmp_path: Path) -> None:
    messages = [
        b"Head: x",
        b"Il fait froid ce matin.\0Ils ont froid ce matin.",
        b"Ouvrir",
        b"Il y a %d pages.",
    ]
    table = 28 + 8 * len(messages)
    begin = table + 8 * len(messages)
    places, body = b"", b""
    for message in messages:
        places += struct.pack("<2I", len(message), begin + len(body))
        body += message + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(messages), 28, table, 0, 0)
    path = tmp_path / "x.mo"
    path.write_bytes(head + places * 2 + body)
    assert list(catalogues.mo(path)) == ["Il fait froid ce matin.", "Ils ont froid ce matin."]


def test_descriptions_are_read_by_paragraphs_and_entries() -> None:
    told = "Description-fr: court\n Il lit\n des textes.\n .\n  - une liste\n Fin.\n"
    index = f"Package: x\nDescription-md5: 0\n{told}\nPackage: y\n"
    found = [one_line(text) for text in catalogues.descriptions(index) if text]
    assert found == ["Il lit des textes.", "- une liste Fin."]


@pytest.mark.parametrize(
    "text", ["int main() { return 0; }", "ls -l /usr/share/doc and more", "Ok", "12 34 56 78 90 12"]
)
def test_code_and_scraps_are_no_prose(text: str) -> None:
    assert Prose("en").chosen([text, SIX], 100) == [SIX]


def test_english_left_in_a_french_file_is_no_french_prose() -> None:
    french = "Il a dit que la maison est froide."
    assert Prose("fr").chosen([SIX, french], 100) == [french]


def test_latin_text_is_no_prose_of_a_language_with_another_script() -> None:
    assert Prose("ar").chosen([SIX, "هذا البيت بارد جدا اليوم."], 100) == [
        "هذا البيت بارد جدا اليوم."
    ]


def test_a_paragraph_counts_once() -> None:
    assert Prose("en").chosen([SIX, f"{SIX} ", SIX.replace(" ", "\n")], 100) == [SIX]


@given(st.lists(st.integers(0, 10_000), max_size=40, unique=True), st.integers(1, 200))
def test_of_too_much_prose_an_even_part_is_taken_in_order(numbers: list[int], most: int) -> None:
    texts = [f"He said that the house number {number} was cold." for number in numbers]
    chosen = Prose("en").chosen(texts, most)
    assert chosen == [text for text in texts if text in chosen]
    assert len(chosen) == min(len(texts), -(-most // 9))


def test_chinese_words_are_counted_by_letters() -> None:
    assert words("今天天气很好。", "zh") == 3


def test_a_rewrite_is_printed_with_its_context() -> None:
    [only] = rewritten("One two three four five six 12 birds came to the old house today.", "en")
    assert (only.before, only.written, only.spoken) == ("two three four five six ", "12", "twelve")
    assert only.after == " birds came to the old"


def test_a_verdict_holds_while_the_same_is_spoken() -> None:
    found = Found("en", rewrites=[rewrite()])
    assert standing([judgement()], found).right == (rewrite(),)
    assert standing([judgement(verdict="wrong")], found).wrong == (rewrite(),)


def test_what_is_spoken_otherwise_now_is_to_be_judged_again() -> None:
    now = standing([judgement("eight", "right")], Found("en", rewrites=[rewrite()]))
    assert (now.right, now.wrong, len(now.changed)) == ((), (), 1)


def test_what_is_spoken_now_as_the_reader_asked_is_right() -> None:
    now = standing([judgement("eight", "wrong", "seven")], Found("en", rewrites=[rewrite()]))
    assert now.right == (rewrite(),)


def test_what_is_no_longer_rewritten_does_not_count() -> None:
    now = standing([judgement()], Found("en"))
    assert (now.right, now.gone) == ((), (judgement(),))


def test_verdicts_survive_being_written_and_read(tmp_path: Path) -> None:
    rows = [judgement('"seven"'), judgement("eight", "wrong", "seven")]
    save("en", rows[:1], tmp_path)
    assert load("en", tmp_path) == rows[:1]


def test_a_sample_that_was_read_becomes_judgements(tmp_path: Path) -> None:
    sample = tmp_path / "sample.tsv"
    assert to_judge(sample, [rewrite("eight"), rewrite(before="It has ")]) == 2
    head, first, second = sample.read_text().splitlines()
    sample.write_text("\n".join([head, first.removesuffix("\t\t") + "\twrong\tseven", second]))
    assert merge(sample, tmp_path / "judged") == 1
    assert load("en", tmp_path / "judged") == [judgement("eight", "wrong", "seven")]


def test_a_verdict_that_is_neither_right_nor_wrong_is_refused(tmp_path: Path) -> None:
    save("en", [judgement(verdict="maybe")], tmp_path)
    with pytest.raises(ValueError, match="right or wrong"):
        load("en", tmp_path)


def test_only_unjudged_rewrites_are_to_be_judged() -> None:
    new = rewrite("eight")
    assert unjudged([judgement()], [rewrite(), new]) == [new]
    assert unjudged([judgement("nine", "wrong", "eight")], [new]) == []


def test_the_precision_over_all_weighs_each_rule_by_how_often_it_fires() -> None:
    found = Found("en", rewrites=[rewrite(), rewrite("x", rule="date", before="On ")])
    found.rules.update({"number": 99, "date": 1})
    wrong = Judgement("date", "fortunes", "On ", "7", "x", " of them.", "wrong")
    table = precision([standing([judgement(), wrong], found)], [found])
    assert "| all | 2 | 1 | 50.0% | 9.5% to 90.5% | 99.00% |" in table
    assert "| date | 1 | 0 | 0.0% |" in table


@given(st.integers(0, 500), st.integers(1, 500))
def test_an_interval_holds_the_share(right: int, judged: int) -> None:
    right = min(right, judged)
    low, high = wilson(right, judged)
    assert 0 <= low <= right / judged + 1e-12
    assert right / judged - 1e-12 <= high <= 1
