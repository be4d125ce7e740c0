"""The decoder process: a path on each line of stdin, an answer for each on stdout, until stdin ends.

It is started by `decoder`, reads bytes that strangers sent, and so may do little: its memory and its processor time
have limits, and it can write no file.
"""

import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
import numpy as np

from services.common.audio.clip import Clip
from services.common.audio.wav import write_wav
from services.common.wire.failures import UnusableReference
from services.http_edge.reference.answer import Answer
from services.http_edge.reference.decoding import RATE_HZ
from services.http_edge.reference.search import find_speech
from services.http_edge.reference.speakers import encoder, two_take_turns

_SEVERAL: Final = "speakers: it sounds like more than one person; send one person alone"
_MEMORY_BYTES: Final = 1024**3  # address space: 0.2 GB when warm, and ten minutes of stereo take 0.3 more
_PROCESSOR_S: Final = 80  # for one file; ends a decoder that hangs after the edge itself was killed


def prepare(path: Path) -> tuple[Answer, bytes]:
    """Return the answer for one file, and the WAV that follows it."""
    try:
        selected = find_speech(path)
    except UnusableReference as refusal:
        return Answer(refusal=str(refusal)), b""
    except MemoryError:
        return Answer(refusal="the audio needs too much memory to decode; send 6-30 s of it"), b""
    wav = write_wav(selected.clip)
    warnings = (*selected.warnings, *([_SEVERAL] if two_take_turns(selected.clip) else []))
    return Answer(wav_bytes=len(wav), seconds=selected.clip.seconds, warnings=warnings), wav


def main() -> None:
    """Warm up, say that it is ready, then answer until stdin ends."""
    answers = _own_stdout()
    _warm_up()
    _limit(resource.RLIMIT_AS, _MEMORY_BYTES)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    _say(answers, Answer())
    for line in sys.stdin.buffer:
        _limit(resource.RLIMIT_CPU, int(time.process_time()) + _PROCESSOR_S)
        _say(answers, *prepare(Path(os.fsdecode(line.removesuffix(b"\n")))))


def _own_stdout() -> BinaryIO:
    """Keep stdout for the answers and stderr for a Python traceback; what decoders print goes nowhere."""
    answers = os.fdopen(os.dup(1), "wb")
    sys.stderr = os.fdopen(os.dup(2), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    return answers


def _warm_up() -> None:
    """Load every library and the speaker encoder: take a file that is no sound and a sound that is no speech all the
    way."""
    encoder()
    with tempfile.NamedTemporaryFile() as file:
        for content in (b"no sound", write_wav(Clip(np.sin(np.arange(4.0 * RATE_HZ, dtype=np.float32)), RATE_HZ))):
            file.seek(0)
            file.write(content)
            file.flush()
            prepare(Path(file.name))


def _limit(kind: int, most: int) -> None:
    """Lower a soft limit; the hard one stays, so that it can be raised again for the next file."""
    resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))


def _say(answers: BinaryIO, answer: Answer, wav: bytes = b"") -> None:
    answers.write(msgspec.json.encode(answer) + b"\n" + wav)
    answers.flush()


if __name__ == "__main__":
    main()
