"""Divides long texts in a child process: a thread would hold up every short request for a second.

The child process reads one `SegmentationTask` from stdin, writes one `SegmentationResult` to stdout
and exits. It also exits when its splitter is killed.
"""

import asyncio
import errno
import os
import resource
import signal
import sys
from contextlib import nullcontext, suppress
from typing import Final

import msgspec

from services.common.runtime.child.confinement import without_secrets
from services.common.runtime.child.parent_death import with_parent_death
from services.common.wire.failures import (
    EmptyText,
    MalformedSsml,
    SynthesisFailed,
    TextTooLong,
    UnspeakableText,
)
from services.common.wire.messages import Mark, Passage, TextType
from services.splitter.segmentation.boundaries import Span
from services.splitter.segmentation.document import SplitOptions, split_passages, split_ssml
from services.splitter.segmentation.sentences import Sentence, SplitText, split

# divided within a millisecond, sooner than anything else would have begun
SHORT_CHARACTERS: Final = 2_000
# in between a thread will do: it is done before a child would have started
LONG_CHARACTERS: Final = 20_000
# at once: with their memory they stay under the 1 GiB that a splitter is given
MOST_CHILDREN: Final = 2
# address space; 1.5 M characters of prose take 80 to 160 MiB
CHILD_BYTES: Final = 384 * 1024 * 1024
# Exit statuses of a child without memory: native libraries abort, or use the null pointer.
_OUT_OF_MEMORY: Final = frozenset({errno.ENOMEM, -signal.SIGABRT, -signal.SIGSEGV})
_PATIENCE_S: Final = 120.0
_NICENESS: Final = 10  # a greeting on the same core goes first


class SegmentationTask(msgspec.Struct, frozen=True):
    """A text to divide; as the arguments of `split`."""

    text: str
    language: str
    max_characters: int
    enable_text_splitting: bool
    spoken_forms: bool
    pronunciations: dict[str, str] = {}
    text_type: TextType = "text"
    passages: tuple[Passage, ...] = ()
    limits: dict[str, int] = {}  # of the engine's other languages


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
    """The child ended without an answer, or took too long; another attempt may have more luck."""

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
        answer = await _asked(task)
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
    growth = max(
        (len(spoken) / len(word) for word, spoken in task.pronunciations.items()), default=1.0
    )
    return round(len(task.text) * max(1.0, growth))


def _split(task: SegmentationTask) -> SplitText:
    if task.text_type == "ssml" or task.passages:
        manner = SplitOptions(
            language=task.language,
            limits=task.limits | {task.language: task.max_characters},
            splitting=task.enable_text_splitting,
            spoken_forms=task.spoken_forms,
            pronunciations=task.pronunciations,
        )
        if task.text_type == "ssml":
            return split_ssml(task.text, manner)
        return split_passages(task.text, task.passages, manner)
    return split(
        task.text,
        task.language,
        max_characters=task.max_characters,
        enable_text_splitting=task.enable_text_splitting,
        spoken_forms=task.spoken_forms,
        pronunciations=task.pronunciations,
    )


async def _asked(task: SegmentationTask) -> SegmentationResult:
    """Return the answer of a child; whatever happens, none is left behind."""
    child = await asyncio.create_subprocess_exec(
        *with_parent_death(sys.executable, "-m", __name__),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=without_secrets(os.environ),
    )
    with suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PROCESS, child.pid, _NICENESS)
    try:
        said, _ = await asyncio.wait_for(
            child.communicate(msgspec.msgpack.encode(task)), _PATIENCE_S
        )
        if child.returncode in _OUT_OF_MEMORY:
            return SegmentationResult(
                too_long="the text takes too much memory to divide; send it in parts"
            )
        return msgspec.msgpack.decode(said, type=SegmentationResult)
    except (TimeoutError, msgspec.DecodeError):
        raise SegmentationCrashed("the text could not be divided; send it in parts") from None
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await asyncio.shield(child.wait())


def main() -> None:
    """Divide one text, within bounded memory."""
    resource.setrlimit(resource.RLIMIT_AS, (CHILD_BYTES, CHILD_BYTES))
    try:
        _answer()
    except MemoryError:
        os._exit(errno.ENOMEM)  # nothing else can be trusted to work without memory


def _answer() -> None:
    task = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=SegmentationTask)
    try:
        found = _split(task)
        answer = SegmentationResult(found.sentences, found.dropped, found.marks, found.left_out)
    except EmptyText as failure:
        answer = SegmentationResult(empty=str(failure))
    except UnspeakableText as failure:
        answer = SegmentationResult(unspeakable=str(failure))
    except MalformedSsml as failure:
        answer = SegmentationResult(malformed=str(failure))
    except TextTooLong as failure:
        answer = SegmentationResult(too_long=str(failure))
    sys.stdout.buffer.write(msgspec.msgpack.encode(answer))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
