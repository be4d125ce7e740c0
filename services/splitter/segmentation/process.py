"""Divides long texts in a child process: a thread would delay every short request by up to a second.

The child process (`common.runtime.child.process`) receives one `SegmentationTask`, replies with one
`SegmentationResult` and exits.
"""

import asyncio
import os
import sys
from contextlib import nullcontext
from typing import Final

import msgspec

from services.common.runtime.child.environment import without_secrets
from services.common.runtime.child.framing import read_frame, write_frame
from services.common.runtime.child.limits import OUT_OF_MEMORY, memory_limit
from services.common.runtime.child.process import ChildProcess, child_process
from services.common.wire.failures import (
    EmptyText,
    MalformedSsml,
    SynthesisFailed,
    TextTooLong,
    UnspeakableText,
)
from services.common.wire.options import DEFAULT_TEXT_OPTIONS, TextOptions
from services.common.wire.parts import Mark, Passage
from services.splitter.segmentation.boundaries import Span
from services.splitter.segmentation.document import (
    SplitOptions,
    split_dialogue,
    split_passages,
    split_ssml,
)
from services.splitter.segmentation.sentences import Sentence, SplitText, split

# divided inline: takes a millisecond, less than to start a thread or a process
SHORT_CHARACTERS: Final = 2_000
# up to this length a thread is used: it finishes before a child process would have started
LONG_CHARACTERS: Final = 20_000
# concurrent child processes: with their memory limit they stay under a splitter's 1 GiB
MOST_CHILDREN: Final = 2
# address space; 1.5 M characters of prose take 80 to 160 MiB
CHILD_BYTES: Final = 384 * 1024 * 1024
_TIMEOUT_S: Final = 120.0
_NICENESS: Final = 10  # short requests on the same core run first


class SegmentationTask(msgspec.Struct, frozen=True):
    """A text to divide."""

    text: str
    language: str
    max_characters: int
    options: TextOptions = DEFAULT_TEXT_OPTIONS
    passages: tuple[Passage, ...] = ()
    limits: dict[str, int] = {}  # of the engine's other languages
    speakers: tuple[str, ...] = ()  # names in a dialogue


class SegmentationResult(msgspec.Struct, frozen=True):
    """The sentences, or why there are none."""

    sentences: tuple[Sentence, ...] = ()
    dropped: tuple[Span, ...] = ()
    marks: tuple[Mark, ...] = ()
    left_out: tuple[Span, ...] = ()
    empty: str | None = None
    unspeakable: str | None = None
    malformed: str | None = None  # SSML
    too_long: str | None = None


class SegmentationCrashed(SynthesisFailed):
    """The child process exited without a result, or timed out; another attempt may succeed."""

    retryable = True


async def divide(task: SegmentationTask, children: asyncio.Semaphore | None = None) -> SplitText:
    """Divide a text of any length without blocking the event loop. `children` limits the number of
    child processes.

    Raises EmptyText, UnspeakableText, MalformedSsml, TextTooLong, SegmentationCrashed.
    """
    characters = _most_read(task)
    if characters <= SHORT_CHARACTERS:
        return _split(task)
    if characters <= LONG_CHARACTERS:
        return await asyncio.to_thread(_split, task)
    async with children or nullcontext():
        answer = await _divide_in_child(task)
    if answer.empty is not None:
        raise EmptyText(answer.empty)
    if answer.unspeakable is not None:
        raise UnspeakableText(answer.unspeakable)
    if answer.malformed is not None:
        raise MalformedSsml(answer.malformed)
    if answer.too_long is not None:
        raise TextTooLong(answer.too_long)
    return SplitText(answer.sentences, answer.dropped, answer.marks, answer.left_out)


def _most_read(task: SegmentationTask) -> int:
    """Return how many characters there are at most when the pronunciations are put in."""
    pronunciations = task.options.pronunciations
    growth = max((len(spoken) / len(word) for word, spoken in pronunciations.items()), default=1.0)

    return round(len(task.text) * max(1.0, growth))


def _split(task: SegmentationTask) -> SplitText:
    limits = task.limits | {task.language: task.max_characters}
    whole = SplitOptions(task.language, limits, task.options)

    if task.options.text_type == "ssml":
        return split_ssml(task.text, whole)
    if task.options.text_type == "dialogue":
        return split_dialogue(task.text, task.speakers, task.passages, whole)
    if task.passages:
        return split_passages(task.text, task.passages, whole)
    return split(task.text, task.language, max_characters=task.max_characters, options=task.options)


async def _divide_in_child(task: SegmentationTask) -> SegmentationResult:
    """Divide a text in a child process. Raises SegmentationCrashed."""
    async with child_process(
        __name__, environment=without_secrets(os.environ), niceness=_NICENESS
    ) as child:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                reply = await child.exchange(msgspec.msgpack.encode(task))
            return msgspec.msgpack.decode(reply, type=SegmentationResult)
        except EOFError:
            return await _result_of_exit(child)
        except (TimeoutError, msgspec.DecodeError):
            raise _crashed() from None


async def _result_of_exit(child: ChildProcess) -> SegmentationResult:
    """Return the result of a child process that exited without one. Raises SegmentationCrashed."""
    if await child.exit_status() in OUT_OF_MEMORY:
        return SegmentationResult(
            too_long="the text takes too much memory to divide; send it in parts"
        )
    raise _crashed()


def _crashed() -> SegmentationCrashed:
    return SegmentationCrashed("the text could not be divided; send it in parts")


def main() -> None:
    """Divide the text of one task, within bounded memory."""
    with memory_limit(CHILD_BYTES):
        task = msgspec.msgpack.decode(read_frame(sys.stdin.buffer) or b"", type=SegmentationTask)
        write_frame(sys.stdout.buffer, msgspec.msgpack.encode(_result(task)))


def _result(task: SegmentationTask) -> SegmentationResult:
    try:
        found = _split(task)
    except EmptyText as failure:
        return SegmentationResult(empty=str(failure))
    except UnspeakableText as failure:
        return SegmentationResult(unspeakable=str(failure))
    except MalformedSsml as failure:
        return SegmentationResult(malformed=str(failure))
    except TextTooLong as failure:
        return SegmentationResult(too_long=str(failure))
    return SegmentationResult(found.sentences, found.dropped, found.marks, found.left_out)


if __name__ == "__main__":
    main()
