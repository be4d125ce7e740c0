"""The names of Kokoro's 54 voices."""

from collections.abc import Mapping
from typing import Final

# the letters of language and register -> the rest of the names
_NAMES: Final[Mapping[str, str]] = {
    "af": "alloy aoede bella heart jessica kore nicole nova river sarah sky",
    "am": "adam echo eric fenrir liam michael onyx puck santa",
    "bf": "alice emma isabella lily",
    "bm": "daniel fable george lewis",
    "ef": "dora",
    "em": "alex santa",
    "ff": "siwis",
    "hf": "alpha beta",
    "hm": "omega psi",
    "if": "sara",
    "im": "nicola",
    "jf": "alpha gongitsune nezumi tebukuro",
    "jm": "kumo",
    "pf": "dora",
    "pm": "alex santa",
    "zf": "xiaobei xiaoni xiaoxiao xiaoyi",
    "zm": "yunjian yunxi yunxia yunyang",
}
VOICES: Final = tuple(
    f"{letters}_{name}" for letters, names in _NAMES.items() for name in names.split()
)
REGISTERS: Final[Mapping[str, str]] = {"high": "f", "low": "m"}  # the second letter of a name
