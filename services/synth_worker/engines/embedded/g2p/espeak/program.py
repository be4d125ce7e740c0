"""The program around the espeak-ng library; it is started by `client.py` and never imported.

espeak-ng is GPL-3, so the service does not load it: this file is a separate program, with nothing but the
standard library (and therefore its own copy of `common.runtime.child.parent_death`), that answers lines of
JSON on its standard output:

    child:    {"version": "1.52.0"}                                     once, when it is ready
    service:  {"voice": "fr", "texts": ["bonjour", "le monde"]}
    child:    {"clauses": [["bɔ̃ʒˈuʁ"], ["lə- mˈɔ̃d"]]}                  IPA, one list of clauses a text
          or  {"error": "no voice fr"}

It ends when its standard input does, and it is killed by its own alarm where the library does not come back.
Arguments: the library, the folder that holds `espeak-ng-data` (or "-" for the library's own), seconds of the alarm.
"""

import ctypes
import json
import os
import signal
import sys
from typing import Final, TypedDict

_AUDIO_OUTPUT_SYNCHRONOUS: Final = 2
_DONT_EXIT: Final = 0x8000
_UTF8: Final = 1
_IPA_TIED_WITH_CARET: Final = 0x02 | 0x80 | ord("^") << 8
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38


class Library:
    """The few functions of `speak_lib.h` that turn text into phonemes."""

    def __init__(self, path: str, data: str) -> None:
        """Load and initialise the library. Raises OSError where it or its data cannot be read."""
        self._library = ctypes.CDLL(path)
        folder = None
        if data != "-":
            # The library keeps paths in 160 bytes; a relative one always fits, wherever the package is installed.
            os.chdir(data)
            folder = b"."
        if self._library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, folder, _DONT_EXIT) < 0:
            raise OSError("espeak-ng cannot read its data")
        self._library.espeak_Info.restype = ctypes.c_char_p
        self._to_phonemes = self._library.espeak_TextToPhonemes
        self._to_phonemes.restype = ctypes.c_char_p
        self._to_phonemes.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, ctypes.c_int]

    def version(self) -> str:
        """Return the version, such as `1.52.0`."""
        return str(self._library.espeak_Info(None).decode().split()[0])

    def choose(self, voice: str) -> bool:
        """Set the voice; false where there is none of that name."""
        return int(self._library.espeak_SetVoiceByName(voice.encode())) == 0

    def clauses(self, text: str) -> list[str]:
        """Return the IPA of each clause of `text`; the tie is a caret."""
        buffer = ctypes.create_string_buffer(text.encode())
        rest = ctypes.c_void_p(ctypes.addressof(buffer))
        found = []
        while rest.value:
            found.append(
                (self._to_phonemes(ctypes.byref(rest), _UTF8, _IPA_TIED_WITH_CARET) or b"").decode()
            )
        return found


class Request(TypedDict):
    """A request of the service."""

    voice: str
    texts: list[str]


def answer(library: Library, request: Request) -> dict[str, object]:
    """Answer one request."""
    # Set the voice each time (0.01 ms): so an answer never depends on what was asked before.
    if not library.choose(request["voice"]):
        return {"error": f"no voice {request['voice']}"}
    return {"clauses": [library.clauses(text) for text in request["texts"]]}


def give_up_privileges() -> None:
    """Exit with the parent process, and disable set-user-id programs (Linux)."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def main() -> None:
    """Answer until the input ends."""
    path, data, alarm_seconds = sys.argv[1:]
    give_up_privileges()
    # Ctrl-C goes to the whole group; the parent stops this process
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    library = Library(path, data)
    print(json.dumps({"version": library.version()}), flush=True)  # noqa: T201 - the protocol
    for line in sys.stdin:
        signal.alarm(int(alarm_seconds))
        print(json.dumps(answer(library, json.loads(line))), flush=True)  # noqa: T201 - the protocol
        signal.alarm(0)


if __name__ == "__main__":
    main()
