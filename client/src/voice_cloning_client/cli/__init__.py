"""The command line: `voice-cloning COMMAND`.

Exit codes: 0 done, 1 the service refused or failed, 2 wrong arguments or files, 3 no response,
4 incomplete audio, 5 overloaded even after retries, 130 interrupted, 143 terminated.
"""

import asyncio
import io
import os
import signal
import sys
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final

from voice_cloning_client.cli.arguments import parser
from voice_cloning_client.cli.terminal import say
from voice_cloning_client.errors import (
    IncompleteAudio,
    InvalidInput,
    Overloaded,
    ServiceError,
    Unauthorized,
    Unavailable,
    VoiceCloningError,
)
from voice_cloning_client.settings import KEY, KEY_FILE

FAILED: Final = 1
_INVALID: Final = 2
_READER_ENDED: Final = 141  # as a shell reports SIGPIPE
EXIT_CODES: Final = (
    (InvalidInput, _INVALID),
    (Unavailable, 3),
    (IncompleteAudio, 4),
    (Overloaded, 5),
    (ServiceError, FAILED),
)
_SIGNALLED: Final = 128


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    _replace_unknown_characters()
    options = parser().parse_args(arguments)

    try:
        return asyncio.run(_cancellable(options.command(options)))
    except VoiceCloningError as error:
        say(f"voice-cloning: {advice(error)}")
        return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), FAILED)
    except KeyboardInterrupt:
        say("voice-cloning: interrupted")
        return _SIGNALLED + signal.SIGINT
    except _Terminated:
        return _SIGNALLED + signal.SIGTERM
    except BrokenPipeError:  # the program that reads the audio has ended
        _close_stdout()
        return _READER_ENDED
    except OSError as error:
        say(f"voice-cloning: stdout cannot be written: {error.strerror}")
        _close_stdout()
        return _INVALID


def advice(error: VoiceCloningError) -> str:
    """Return an error in one line, with what to do about it."""
    line = " ".join(str(error).split())

    if isinstance(error, Unauthorized):
        return f"{line}; set {KEY} or {KEY_FILE}"
    if isinstance(error, ServiceError) and error.retry_after_s is not None:
        return f"{line} (retry in {error.retry_after_s:.0f} s)"
    return line


class _Terminated(Exception):
    """The process received SIGTERM."""


async def _cancellable(command: Coroutine[Any, Any, None]) -> int:
    """Run a command; on SIGTERM cancel it, so that it cancels its request on the service."""
    task = asyncio.create_task(command)
    terminated = False

    def terminate() -> None:
        nonlocal terminated
        terminated = True
        task.cancel()

    with suppress(NotImplementedError):  # on Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)

    try:
        await task
    except asyncio.CancelledError:
        if terminated:
            raise _Terminated from None
        raise
    return 0


def _replace_unknown_characters() -> None:
    """Write characters that the terminal's encoding does not have as question marks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _close_stdout() -> None:
    """Keep the interpreter from writing to the closed pipe once more at its end."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
