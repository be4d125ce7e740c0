"""The decoder process.

Reads a task and a path from each frame of stdin and writes a reply to stdout, until stdin ends.

It is started by `decoder` and reads no untrusted bytes itself: it opens the file and forks, and the
fork decodes under `confinement`, with hardly any permission. Without confined forks, on systems
other than Linux, it decodes itself.
"""

import importlib
import io
import os
import pkgutil
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import av
import msgspec
import numpy as np
import soundfile

from services.common.audio.clip import Clip
from services.common.audio.watermark.detection import detect
from services.common.audio.wav import write_wav
from services.common.runtime.child.confinement import (
    Outcome,
    ProcessLimits,
    hide_from_other_processes,
    leave_shared_namespaces,
    run_confined,
)
from services.common.runtime.child.framing import read_frame, write_frame
from services.common.runtime.child.parent_death import die_with_parent
from services.common.wire.failures import UnusableReference
from services.http_edge.intake.reference.answer import (
    INSPECTED_S,
    MOST_ANSWER_BYTES,
    DecodeAnswer,
    DecodeResult,
    FoundWatermark,
    Ready,
    Task,
)
from services.http_edge.intake.reference.decoding import RATE_HZ, WINDOW_S, recordings
from services.http_edge.intake.reference.files import tracks_of
from services.http_edge.intake.reference.search import find_speech
from services.http_edge.intake.reference.source import OpenableFile, OpenFile
from services.http_edge.intake.reference.speakers import encoder, two_take_turns

_SEVERAL: Final = "speakers: it sounds like more than one person; send one person alone"
# address space: 0.2 GB when warmed up, and 0.3 more for ten minutes of stereo
_MEMORY_BYTES: Final = 1024**3
_SEARCH_SHARE: Final = 0.8  # of the processor time; the speaker encoder takes some
_MOST_FAULT: Final = 4_000  # characters
_CONFINES: Final = sys.platform == "linux"
_LOADED_LATE: Final = (
    "encodings.idna",
    "encodings.latin_1",
    "encodings.utf_16",
    "encodings.cp1252",
    "linecache",
)

Answered = Callable[[tuple[str, ...]], bytes]


@dataclass(frozen=True)
class Bounds:
    """The time limits of one file."""

    processor_s: int
    wall_s: float


# at startup, while other services start too
_SELF_TEST: Final = Bounds(processor_s=20, wall_s=50.0)


class DecoderProcess:
    """Prepares files, each in a separate process."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._without: tuple[str, ...] = ()  # layers of confinement that are left out

    def warm_up(self) -> tuple[str, ...]:
        """Load every library and the speaker encoder.

        Return the layers of confinement under which files are decoded.

        Raises OSError if a test recording cannot be decoded.
        """
        encoder()
        _load_late_modules()
        with tempfile.NamedTemporaryFile() as file:
            for content in _recordings():
                file.seek(0)
                file.truncate()
                file.write(content)
                file.flush()
                source = OpenFile.of(file.fileno())
                prepare(source, _SELF_TEST.processor_s, "inspection")
                expected = prepare(source, _SELF_TEST.processor_s)
            if not _CONFINES:
                self._limit_here()
                return ()
            shared = leave_shared_namespaces()
            hide_from_other_processes()
            self._without = _left_out(source, expected)
        held = _confined(lambda layers: " ".join(layers).encode(), _SELF_TEST, self._without)
        return shared + tuple(held.content.decode().split())

    def outcome(self, task: Task, path: Path) -> Outcome:
        """Decode one file for a task. Raises OSError if it does not exist."""
        processor_s = self._bounds.processor_s
        with path.open("rb", buffering=0) as file:
            source = OpenFile.of(file.fileno())
            if _CONFINES:
                return _confined(
                    lambda _: prepare(source, processor_s, task),
                    self._bounds,
                    self._without,
                    source.descriptor,
                )
            self._limit_processor_here()
            return Outcome(0, prepare(source, processor_s, task), 0.0, 0)

    @staticmethod
    def _limit_here() -> None:
        for name, most in (("RLIMIT_AS", _MEMORY_BYTES), ("RLIMIT_FSIZE", 0), ("RLIMIT_CORE", 0)):
            with suppress(AttributeError, ValueError, OSError):
                resource.setrlimit(getattr(resource, name), (most, most))

    def _limit_processor_here(self) -> None:
        """Set only the soft limit, which has to be raised again for the next file."""
        soft = int(time.process_time()) + self._bounds.processor_s + 1
        resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _confined(
    work: Answered, bounds: Bounds, without: tuple[str, ...], *descriptors: int
) -> Outcome:
    return run_confined(
        work,
        ProcessLimits(memory_bytes=_MEMORY_BYTES, processor_s=bounds.processor_s),
        descriptors=descriptors,
        without=without,
        most_bytes=MOST_ANSWER_BYTES,
        most_s=bounds.wall_s,
    )


def _left_out(source: OpenFile, expected: bytes) -> tuple[str, ...]:
    """Return the layers under which a test recording cannot be decoded.

    That is none, or the system call filter, if this libc needs a call that is not on its list.
    Raises OSError if it cannot be decoded without the filter either, or not in time.
    """
    for without in ((), ("seccomp",)):
        outcome = _confined(
            lambda _: prepare(source, _SELF_TEST.processor_s),
            _SELF_TEST,
            without,
            source.descriptor,
        )
        if outcome.content == expected:
            return without
        if outcome.overrun or outcome.status == -signal.SIGXCPU:
            break
    raise OSError("the decoder cannot decode its test recording")


def _recordings() -> Iterator[bytes]:
    """Yield files that exercise all paths through the libraries; the last ones contain audio."""
    yield b"no audio"
    samples = np.sin(np.arange(4.0 * RATE_HZ, dtype=np.float32))
    for kind in ("MP3", "WAV", "FLAC"):
        file = io.BytesIO()
        soundfile.write(file, np.stack([samples, samples / 2], axis=1), RATE_HZ, format=kind)
        yield file.getvalue()


def _load_late_modules() -> None:
    """Import what the libraries import lazily.

    A confined process cannot read files, so it cannot import.
    """
    names = [f"av.{module.name}" for module in pkgutil.iter_modules(av.__path__)]
    packages = [name for name in names if not name.endswith(("__main__", "datasets"))]
    for name in (*packages, "av.subtitles.stream", "av.subtitles.codeccontext", *_LOADED_LATE):
        importlib.import_module(name)


def prepare(source: OpenableFile, processor_s: float, task: Task = "reference") -> bytes:
    """Return the answer for one file, a line feed, and its WAV."""
    answer, wav = _prepared(source, processor_s, task)
    return msgspec.json.encode(answer) + b"\n" + wav


def _prepared(source: OpenableFile, processor_s: float, task: Task) -> tuple[DecodeAnswer, bytes]:
    try:
        if task == "inspection":
            return _inspected(source)
        return _reference(source, processor_s)
    except UnusableReference as refusal:
        return DecodeAnswer(refusal=str(refusal)), b""
    except MemoryError:
        return DecodeAnswer(
            refusal="the audio needs too much memory to decode; send 6-30 s of it"
        ), b""
    except Exception:  # noqa: BLE001  # the edge logs it; this process has no log
        return DecodeAnswer(fault=traceback.format_exc()[-_MOST_FAULT:]), b""


def _reference(source: OpenableFile, processor_s: float) -> tuple[DecodeAnswer, bytes]:
    selected = find_speech(source, processor_s=_SEARCH_SHARE * processor_s)
    wav = write_wav(selected.clip)
    warnings = (*selected.warnings, *([_SEVERAL] if two_take_turns(selected.clip) else []))
    return DecodeAnswer(wav_bytes=len(wav), seconds=selected.clip.seconds, warnings=warnings), wav


def _inspected(source: OpenableFile) -> tuple[DecodeAnswer, bytes]:
    """Return the first audio of a file as it is, and its watermark."""
    recording = next(recordings(tracks_of(source)[0], share=INSPECTED_S / WINDOW_S))
    most = round(INSPECTED_S * RATE_HZ)
    clip = Clip(recording.clip.samples[:most], RATE_HZ)
    found = detect(clip)
    wav = write_wav(clip)
    answer = DecodeAnswer(
        wav_bytes=len(wav),
        seconds=clip.seconds,
        watermark=FoundWatermark(
            marked=found.marked,
            log10_false_alarm=found.log10_false_alarm,
            marked_s=min(found.marked_s, clip.seconds),
        ),
        cut=recording.cut or len(recording.clip.samples) > most,
    )
    return answer, wav


def main() -> None:
    """Warm up, report it, then decode files until stdin ends."""
    bounds = Bounds(processor_s=int(sys.argv[1]), wall_s=float(sys.argv[2]))
    for number in (signal.SIGINT, signal.SIGTERM):
        # only the edge handles them, and it kills this process when it stops
        signal.signal(number, signal.SIG_IGN)
    answers = _own_stdout()
    decoder = DecoderProcess(bounds)
    layers = decoder.warm_up()
    die_with_parent()
    write_frame(answers, msgspec.json.encode(Ready(layers=layers)))

    while (asked := read_frame(sys.stdin.buffer)) is not None:
        task, _, path = asked.partition(b"\n")
        kind: Task = "inspection" if task == b"inspection" else "reference"
        outcome = decoder.outcome(kind, Path(os.fsdecode(path)))
        ended = DecodeResult(
            status=outcome.status,
            processor_s=outcome.processor_s,
            peak_bytes=outcome.peak_bytes,
            overrun=outcome.overrun,
        )
        write_frame(answers, msgspec.json.encode(ended))
        write_frame(answers, outcome.content)


def _own_stdout() -> BinaryIO:
    """Reserve stdout for replies and stderr for Python tracebacks.

    What decoders print is discarded.
    """
    answers = os.fdopen(os.dup(1), "wb")
    sys.stderr = os.fdopen(os.dup(2), "w")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.close(null)
    return answers


if __name__ == "__main__":
    main()
