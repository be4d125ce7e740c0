"""espeak-ng as a child process: text in, IPA out.

espeak-ng is GPL-3 and stays outside our process. One child lives as long as the worker, because an answer from it
takes 0.1 ms where a start of the program takes 12 to 25 ms. The child loads the library out of the wheel
`espeakng-loader`, which every installation has: so all workers speak alike, whatever espeak-ng a machine may have on
its PATH. Only where the wheel has no library for the platform does the system's own library serve.
"""

import ctypes.util
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from services.common.wire.failures import EngineUnavailable, SynthesisFailed, UnspeakableText
from services.synth_worker.engines.embedded.g2p.espeak.line_program import LineProgram, ProgramDied

WHEEL: Final = "espeakng-loader"
WHEEL_VERSION: Final = "0.2.4"

PROGRAM: Final = Path(__file__).with_name("program.py")
_START_SECONDS: Final = 20.0


class Espeak:
    """A child process that is started again when it dies. Not for two threads at a time."""

    def __init__(self, answer_seconds: float = 5.0, program: Path = PROGRAM) -> None:
        """`answer_seconds` limits the wait for every answer; `program` speaks the protocol of `espeak_child.py`."""
        self._answer_seconds = answer_seconds
        self._program = program
        self._child: LineProgram | None = None

    @property
    def process_id(self) -> int | None:
        """The number of the child's process, if there is one."""
        return self._child.process_id if self._child else None

    def start(self) -> str:
        """Start the child and return the version of espeak-ng.

        Raises EngineUnavailable where espeak-ng is missing or does not start.
        """
        self.close()
        return self._started()[1]

    def clauses(self, voice: str, texts: Sequence[str]) -> list[list[str]]:
        """Return the IPA of each of `texts`, clause by clause; affricates and diphthongs are tied by `^`.

        Raises UnspeakableText where the child dies of the text twice, SynthesisFailed where it takes too long.
        """
        request = json.dumps({"voice": voice, "texts": list(texts)}).encode() + b"\n"
        try:
            return self._ask(request)
        except ProgramDied:
            self.close()
        try:
            return self._ask(request)
        except ProgramDied as error:
            self.close()
            raise UnspeakableText(
                "the pronunciation of this sentence cannot be found; reword it"
            ) from error

    def close(self) -> None:
        """End the child, if there is one."""
        child, self._child = self._child, None
        if child is not None:
            child.end()

    def _started(self) -> tuple[LineProgram, str]:
        alarm_seconds = int(self._answer_seconds) + 1
        child = self._child = LineProgram(self._program, [*espeak_library(), str(alarm_seconds)])
        try:
            return child, str(json.loads(child.first_line(_START_SECONDS))["version"])
        except (ProgramDied, TimeoutError) as error:
            self.close()
            raise EngineUnavailable(
                f"espeak-ng does not start; reinstall the package {WHEEL}=={WHEEL_VERSION} that brings it"
            ) from error

    def _ask(self, request: bytes) -> list[list[str]]:
        child = self._child or self._started()[0]
        try:
            answer = json.loads(child.ask(request, self._answer_seconds))
        except TimeoutError as error:
            self.close()
            raise SynthesisFailed(
                "espeak-ng did not answer in time; send the sentence again"
            ) from error
        if "error" in answer:
            raise EngineUnavailable(
                f"espeak-ng has {answer['error']}; reinstall {WHEEL}=={WHEEL_VERSION}"
            )
        clauses: list[list[str]] = answer["clauses"]
        return clauses


def espeak_library() -> tuple[str, str]:
    """Find the library and the folder of its data, which is "-" if the library finds it on its own.

    Raises EngineUnavailable where there is none.
    """
    wheel = importlib.util.find_spec("espeakng_loader")  # found, not imported
    if wheel is not None and wheel.origin is not None:
        folder = Path(wheel.origin).parent
        for library in (folder / "libespeak-ng.so", folder / "libespeak-ng.dylib"):
            if library.is_file():
                return str(library), str(folder)
    system = ctypes.util.find_library("espeak-ng")
    if system is None:
        raise EngineUnavailable(
            f"espeak-ng is missing; install the package {WHEEL}=={WHEEL_VERSION}, or the system's libespeak-ng"
        )
    return system, "-"
