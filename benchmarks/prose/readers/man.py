"""Manual pages: the paragraphs of running text. Tables, examples, the synopsis and the lists of names are left out."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.prose.readers.plain import decoded

_SPECIAL: Final = {
    "-": "-", "em": "—", "en": "–", "aq": "'", "cq": "’", "oq": "‘", "lq": "“", "rq": "”", "dq": '"', "co": "©",
    "bu": "•", "ha": "^", "ti": "~", "rs": "\\", "Bq": "„", "Fo": "«", "Fc": "»", "Po": "£", "Eu": "€", "mu": "×",
    "+-": "±", "<=": "≤", ">=": "≥", "->": "→", "de": "°", "12": "½", "sc": "§", "ss": "ß", "ga": "`", "aa": "´",
}  # fmt: skip
_ESCAPE: Final = re.compile(
    r"\\(?:\((?P<two>..)|\[(?P<named>[^]]*)\]|f(?:\[[^]]*\]|\(..|.)|[sm](?:\[[^]]*\]|[+-]?\d*)|\*(?:\[[^]]*\]|\(..|.)|"
    r"h'[^']*'|v'[^']*'|(?P<blank>[ ~0])|(?P<dash>-)|(?P<back>[e\\])|[&|^/,:%c)]|(?P<quote>['`]))"
)
_FONTS: Final = frozenset(
    ("B", "I", "BR", "RB", "BI", "IB", "IR", "RI", "SM", "SB", "Nm", "Fl", "Ar", "Pa", "Em", "Xr")
)
_BREAKS: Final = frozenset(
    [
        "P",
        "PP",
        "LP",
        "IP",
        "TP",
        "TQ",
        "HP",
        "SH",
        "SS",
        "RS",
        "RE",
        "Sh",
        "Ss",
        "Pp",
        "It",
        "br",
        "sp",
    ]
)
_VERBATIM: Final = {
    "nf": "fi",
    "EX": "EE",
    "TS": "TE",
    "Bd": "Ed",
    "SY": "YS",
    "ig": ".",
    "de": ".",
}
_SKIPPED_SECTIONS: Final = frozenset(["NAME", "SYNOPSIS", "NOM", "NOMBRE"])


def man(path: Path) -> Iterator[str]:
    """Yield the paragraphs of a page."""
    text = decoded(path)
    if text.startswith(".so "):
        return
    paragraph: list[str] = []
    for line in [*_running(text), ""]:
        if line:
            paragraph.append(line)
        elif paragraph:
            yield "\n".join(paragraph)
            paragraph = []


def _running(text: str) -> Iterator[str]:
    """Yield the lines of running text; an empty one where a paragraph ends."""
    until, drop_next, skipped = "", False, False
    for line in text.replace("\\\n", "").splitlines():
        name, rest = _request(line)
        if until:
            until = "" if name == until else until
        elif name in _VERBATIM:
            until = _VERBATIM[name]
            yield ""
        elif name in _BREAKS:
            skipped = _is_skipped(rest) if name in {"SH", "Sh"} else skipped
            drop_next = name in {"TP", "TQ"}  # its next line is what is explained, not running text
            yield ""
        elif drop_next or skipped:
            drop_next = False
        elif name in _FONTS:
            yield _plain(_arguments(rest, joined=len(name) == 2))
        elif not name:
            yield _plain(line)


def _request(line: str) -> tuple[str, str]:
    found = re.match(r"[.'][ \t]*([A-Za-z]+|\.|\\\")?[ \t]*(.*)", line)
    return ((found[1] or "\\"), found[2]) if found else ("", line)


def _is_skipped(title: str) -> bool:
    return title.strip('" ').upper() in _SKIPPED_SECTIONS


def _arguments(rest: str, *, joined: bool) -> str:
    parts = re.findall(r'"((?:[^"]|"")*)"|(\S+)', rest)
    return ("" if joined else " ").join(quoted or word for quoted, word in parts)


def _plain(line: str) -> str:
    return _ESCAPE.sub(_character, line.partition('\\"')[0]).strip()


def _character(found: re.Match[str]) -> str:
    name = found["two"] or found["named"]
    if name is not None:
        code = re.fullmatch(r"u([0-9A-F]{4,5})", name)
        return chr(int(code[1], 16)) if code else _SPECIAL.get(name, "")
    return (
        " " * bool(found["blank"])
        or "-" * bool(found["dash"])
        or "\\" * bool(found["back"])
        or found["quote"]
        or ""
    )
