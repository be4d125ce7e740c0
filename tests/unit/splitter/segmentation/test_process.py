"""Texts are divided the same way inline, in a thread and in a child process, whose crash costs one
attempt."""

import sys
from pathlib import Path

import pytest

from services.common.wire.failures import EmptyText
from services.splitter.segmentation import process
from services.splitter.segmentation.process import (
    LONG_CHARACTERS,
    SHORT_CHARACTERS,
    SegmentationCrashed,
    SegmentationTask,
    divide,
)
from services.splitter.segmentation.sentences import split

SENTENCE = "Ça va « bien », dit-il à 3,14 personnes. "


@pytest.mark.parametrize("characters", [100, SHORT_CHARACTERS + 1, LONG_CHARACTERS + 1])
async def test_a_text_of_any_length_is_divided_as_it_would_be_at_once(characters: int) -> None:
    text = (SENTENCE * (characters // len(SENTENCE) + 1))[:characters]
    assert await divide(SegmentationTask(text, "fr", 120)) == split(text, "fr", max_characters=120)


async def test_a_long_text_without_a_word_is_refused() -> None:
    with pytest.raises(EmptyText, match="no word"):
        await divide(SegmentationTask("… " * LONG_CHARACTERS, "fr", 120))


async def test_a_divider_that_dies_costs_one_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashing = tmp_path / "python"
    crashing.write_text("#!/bin/sh\nkill -9 $$\n")
    crashing.chmod(0o755)
    monkeypatch.setattr(process.sys, "executable", str(crashing))
    with pytest.raises(SegmentationCrashed) as died:
        await divide(SegmentationTask(SENTENCE * 1_000, "fr", 120))
    assert died.value.retryable
    assert sys.executable == str(crashing)


async def test_a_segmentation_process_yields_the_cpu_to_short_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    telling, told = tmp_path / "python", tmp_path / "niceness"
    telling.write_text(f"#!/bin/sh\ncat > /dev/null\nnice > {told}\n")
    telling.chmod(0o755)
    monkeypatch.setattr(process.sys, "executable", str(telling))
    with pytest.raises(SegmentationCrashed):
        await divide(SegmentationTask(SENTENCE * 1_000, "fr", 120))
    assert int(told.read_text("ascii")) >= 10
