"""The spoken form is bounded by the length of the text, and segmentation by memory."""

import asyncio
from typing import Any

import pytest

from services.common.wire.failures import TextTooLong
from services.common.wire.options import TextOptions
from services.common.wire.parts import Passage
from services.splitter.normalization.text.alignment import MOST_CHARACTERS, most_spoken
from services.splitter.segmentation import process
from services.splitter.segmentation.process import SegmentationTask, divide
from services.splitter.segmentation.sentences import MOST_SENTENCES, split

DIGITS = {"a": "9" * 100}


def task(
    text: str, *, language: str = "en", passages: tuple[Passage, ...] = (), **options: Any
) -> SegmentationTask:
    return SegmentationTask(
        text,
        language,
        250,
        TextOptions(**options),
        passages,
        limits={"en": 250, language: 250},
    )


@pytest.mark.parametrize("characters", [2_000, 18_000, 100_000, 400_000])
async def test_pronunciations_that_make_a_text_many_times_longer_are_refused_by_name(
    characters: int,
) -> None:
    with pytest.raises(TextTooLong, match="pronunciations"):
        await divide(task("a " * (characters // 2), pronunciations=DIGITS))


@pytest.mark.parametrize(
    ("text", "language"),
    [("≤" * 50_000, "nl"), ("ﷺ" * 50_000, "ar"), ("9" * 50_000 + "ﷺ" * 50_000, "en")],
)
async def test_signs_that_make_a_text_many_times_longer_are_refused(
    text: str, language: str
) -> None:
    with pytest.raises(TextTooLong, match="numbers and signs"):
        await divide(task(text, language=language))


async def test_a_document_of_many_short_parts_is_bounded_as_a_whole() -> None:
    parts = (
        "<speak>" + "<s><say-as interpret-as='characters'>w%w%w%w%</say-as></s>" * 900 + "</speak>"
    )
    assert (await divide(task(parts, text_type="ssml"))).sentences
    words = "<speak>" + "<s>a a a</s>" * 9_000 + "</speak>"
    with pytest.raises(TextTooLong, match="pronunciations"):
        await divide(task(words, text_type="ssml", pronunciations=DIGITS, spoken_forms=False))
    text = "a a a a\n\n" * 9_000
    passages = tuple(Passage(start, start + 9, "en") for start in range(0, len(text), 9))
    with pytest.raises(TextTooLong, match="pronunciations"):
        await divide(task(text, passages=passages, pronunciations=DIGITS, spoken_forms=False))


async def test_short_texts_may_be_all_signs_and_long_ones_have_figures_among_their_words() -> None:
    assert (
        await divide(task("SQL " * 40, pronunciations={"SQL": "structured query language"}))
    ).sentences
    assert (await divide(task("≤" * 1_000))).sentences
    assert (await divide(task("In 1984 there were 1,234 of them. " * 6_000))).sentences
    assert most_spoken(2_000_000) == MOST_CHARACTERS


def test_a_text_of_too_many_sentences_is_refused() -> None:
    with pytest.raises(TextTooLong, match="sentences"):
        split("Yes.\n\n" * (MOST_SENTENCES + 1), "en", max_characters=100)


async def test_a_segmentation_that_needs_too_much_memory_fails_and_is_not_retried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    child = process.CHILD_BYTES
    small = f"from services.splitter.segmentation import process;process.CHILD_BYTES = {child // 6}; process.main()"
    asked = asyncio.create_subprocess_exec

    async def with_little_memory(
        python: str, *_arguments: str, **pipes: object
    ) -> asyncio.subprocess.Process:
        return await asked(python, "-c", small, **pipes)  # type: ignore[arg-type]

    monkeypatch.setattr(process.asyncio, "create_subprocess_exec", with_little_memory)
    with pytest.raises(TextTooLong, match="memory") as refused:
        await divide(task("Yes.\n\n" * 95_000))
    assert not refused.value.retryable


@pytest.mark.parametrize("end", ["os.abort()", "os._exit(errno.ENOMEM)"])
async def test_native_code_that_aborts_for_want_of_memory_is_a_text_too_long(
    monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    asked = asyncio.create_subprocess_exec

    async def aborting(
        python: str, *_arguments: str, **pipes: object
    ) -> asyncio.subprocess.Process:
        return await asked(
            python, "-c", f"import errno, os, sys; sys.stdin.buffer.read(); {end}", **pipes
        )  # type: ignore[arg-type]

    monkeypatch.setattr(process.asyncio, "create_subprocess_exec", aborting)
    with pytest.raises(TextTooLong, match="memory"):
        await divide(task("Yes.\n\n" * 95_000))


async def test_long_texts_are_divided_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    running, most = 0, 0

    async def counted(_task: SegmentationTask) -> process.SegmentationResult:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return process.SegmentationResult()

    monkeypatch.setattr(process, "_divide_in_child", counted)
    children = asyncio.Semaphore(process.MOST_CHILDREN)
    await asyncio.gather(*(divide(task("word " * 5_000), children) for _ in range(7)))
    assert most == process.MOST_CHILDREN
