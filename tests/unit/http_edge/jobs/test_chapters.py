"""The sentences and times of chapters."""

from services.common.wire.parts import Chapter, Span
from services.http_edge.jobs.chapters import ChapterTimes, LocatedChapter, located, timed

SENTENCES = [Span(0, 10), Span(11, 20), Span(22, 30), Span(31, 40)]


def test_a_chapter_has_the_sentences_from_its_start_to_the_next_one() -> None:
    found = located([Chapter("One", 0), Chapter("Two", 22)], SENTENCES)
    assert found == (LocatedChapter("One", 0, 0, 2), LocatedChapter("Two", 22, 2, 4))


def test_text_before_the_first_chapter_belongs_to_none() -> None:
    assert located([Chapter("One", 10)], SENTENCES) == (LocatedChapter("One", 10, 1, 4),)


def test_a_sentence_over_the_start_of_a_chapter_is_the_first_of_it() -> None:
    assert located([Chapter("One", 0), Chapter("Two", 15)], SENTENCES)[1].first == 1


def test_a_chapter_without_a_sentence_is_left_out() -> None:
    chapters = [Chapter("Empty", 0), Chapter("One", 5), Chapter("After the end", 40)]
    assert [each.title for each in located(chapters, SENTENCES)] == ["One"]


def test_chapters_in_any_order_are_sorted() -> None:
    found = located([Chapter("Two", 22), Chapter("One", 0)], SENTENCES)
    assert [each.title for each in found] == ["One", "Two"]


def test_only_chapters_that_are_spoken_completely_have_times() -> None:
    found = located([Chapter("One", 0), Chapter("Two", 22)], SENTENCES)
    assert timed(found, [20, 40, 60]) == [ChapterTimes("One", 0, 30)]
    assert timed(found, [20, 40, 60, 2]) == [
        ChapterTimes("One", 0, 30),
        ChapterTimes("Two", 30, 61),
    ]
