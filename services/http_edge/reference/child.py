"""The decoder process: a path on each line of stdin, an answer for each on stdout, until stdin ends."""

import resource
import sys
from pathlib import Path
from typing import Final

import msgspec

from services.common.audio.wav import write_wav
from services.common.wire.failures import UnusableReference
from services.http_edge.reference.answer import Answer
from services.http_edge.reference.decoding import decode
from services.http_edge.reference.selection import select

_MEMORY_BYTES: Final = 2 * 1024**3  # address space; ten minutes of decoded sound take a tenth of it


def prepare(path: Path) -> tuple[Answer, bytes]:
    """Return the answer for one file, and the WAV that follows it."""
    try:
        selected = select(decode(path))
    except UnusableReference as refusal:
        return Answer(refusal=str(refusal)), b""
    except MemoryError:
        return Answer(refusal="the audio needs too much memory to decode; send 6-30 s of it"), b""
    wav = write_wav(selected.clip)
    return Answer(wav_bytes=len(wav), seconds=selected.clip.seconds, warnings=tuple(selected.warnings)), wav


def say(answer: Answer, wav: bytes = b"") -> None:
    """Write one answer."""
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n" + wav)
    sys.stdout.buffer.flush()


def main() -> None:
    """Say that it is ready, then answer until stdin ends."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    say(Answer())
    for line in sys.stdin:
        say(*prepare(Path(line.rstrip("\n"))))


if __name__ == "__main__":
    main()
