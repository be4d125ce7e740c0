"""Portions: the sentences of a request that asks for a limited number of audio seconds."""

import msgspec
import pytest
from msgspec import UNSET

from services.common.wire.parts import Portion
from services.splitter.conversion import seconds_of
from services.splitter.segmentation.portions import (
    Divisions,
    first_lane,
    portion_of,
    reported_portion,
)
from services.splitter.segmentation.process import SegmentationTask
from services.splitter.segmentation.sentences import Sentence, SplitText
from tests.support.service import speech_request

# of 5 s each
SENTENCES = tuple(Sentence(100 * index, 100 * index + 99, "a" * 70, 0) for index in range(10))
REQUEST = speech_request("ab" * 32)


def asked(audio_s: float, first_sentence: int = 0) -> Portion:
    request = msgspec.structs.replace(REQUEST, portion_s=audio_s, first_sentence=first_sentence)
    return portion_of(request, seconds_of(request, SENTENCES))


def test_a_request_without_seconds_is_spoken_to_its_end() -> None:
    assert portion_of(REQUEST, seconds_of(REQUEST, SENTENCES)) == Portion(0, 10)
    assert reported_portion(REQUEST, Portion(0, 10)) is UNSET
    assert first_lane(REQUEST) == "express"


@pytest.mark.parametrize(
    ("audio_s", "first", "until"),
    [
        (0.001, 0, 1),
        (5.0, 0, 1),
        (5.1, 0, 2),
        (20.0, 3, 7),
        (86_400.0, 0, 10),
        (1.0, 9, 10),
        (100.0, 9, 10),
    ],
)
def test_a_portion_is_whole_sentences_at_least_one_and_ends_with_the_text(
    audio_s: float, first: int, until: int
) -> None:
    assert asked(audio_s, first) == Portion(first, until)


def test_portions_one_after_another_are_the_whole_text_once() -> None:
    first, spoken = 0, list[int]()
    while first < len(SENTENCES):
        portion = asked(12.0, first)
        spoken += range(portion.first, portion.until)
        first = portion.until
    assert spoken == list(range(10))


async def test_a_long_text_in_portions_is_divided_once_and_other_texts_are_not_cached() -> None:
    divided: list[str] = []

    async def divide(task: SegmentationTask) -> SplitText:
        divided.append(task.text)
        return SplitText(SENTENCES, ())

    divisions = Divisions(divide)
    book = SegmentationTask("b" * 3_000, "en", 250)
    for _ in range(3):
        assert (await divisions.of(book, in_portions=True)).sentences == SENTENCES
    assert len(divided) == 1
    await divisions.of(book, in_portions=False)
    await divisions.of(msgspec.structs.replace(book, language="fr"), in_portions=True)
    assert len(divided) == 3
    for number in range(3):
        await divisions.of(
            msgspec.structs.replace(book, text=str(number) * 1_900_000), in_portions=True
        )
    assert len(divisions._cache) == 2
