"""Converts TeX formulas to plain characters: $6{x}_{1} \\leq 24$ is 6x₁ ≤ 24. Pure and linear.

Only marked formulas are converted: between dollars with TeX's own signs inside, or between \\( and
\\).
"""

from collections.abc import Iterator
from types import MappingProxyType
from typing import Final

import regex

from services.splitter.normalization.text.alignment import Aligned, Edit

_FORMULA: Final = regex.compile(
    r"\$\$(?P<tex>[^$]{1,400})\$\$|\$(?!\s)(?P<tex>[^$\n]{1,200}?)(?<!\s)\$(?!\d)"
    r"|\\\((?P<tex>.{1,400}?)\\\)|\\\[(?P<tex>.{1,400}?)\\\]",
    regex.S,
)
_MARKED: Final = regex.compile(r"[\\^_{}]")
_BRACED: Final = r"\{((?:[^{}]|\{[^{}]*\}){0,200})\}"
_FRACTION: Final = regex.compile(rf"\\[dt]?frac\s*{_BRACED}\s*{_BRACED}")
_ROOT: Final = regex.compile(rf"\\sqrt\s*{_BRACED}")
_RAISED: Final = regex.compile(rf"([\^_])(?:{_BRACED}|([\p{{L}}\p{{N}}]))")
_BARE_HINT: Final = regex.compile(r"\^[-−+{(\d]|_\{?\d|\d[eE][-−+]\d")
_BARE: Final = regex.compile(
    r"(?<=[\p{L}\d)\]])\^(?:\{(?P<power>[-−+]?\d{1,9})\}|\((?P<power>[-−+]?\d{1,9})\)|(?P<power>[-−+]?\d{1,9}))(?![\p{L}\d^])"
    r"|(?<=(?<![\p{L}\d_])\p{L})_(?:\{(?P<index>\d{1,4})\}|(?P<index>\d{1,4}))(?![\p{L}\d_])"
    r"|(?<=(?<![\w.,])\d{1,9}(?:[.,]\d{1,9})?)[eE](?P<exponent>[-−+]\d{1,3})(?!\w)"
)
_COMMAND: Final = regex.compile(r"\\([A-Za-z]+)\s*|\\(.)", regex.S)
_GREEK: Final = "αβγδεζηθικλμνξπρστφχψωΓΔΘΛΣΦΨΩ"
_GREEK_NAMES: Final = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau phi chi psi omega "
    "Gamma Delta Theta Lambda Sigma Phi Psi Omega"
)
_SIGNS: Final = MappingProxyType(
    {
        **dict.fromkeys(("leq", "le", "leqslant"), " ≤ "),
        **dict.fromkeys(("geq", "ge", "geqslant"), " ≥ "),
        **dict.fromkeys(("neq", "ne"), " ≠ "),
        **dict.fromkeys(("approx", "simeq"), " ≈ "),
        **dict.fromkeys(("times", "cdot", "ast"), " × "),
        **dict.fromkeys(("to", "rightarrow", "Rightarrow", "implies"), " → "),
        **dict.fromkeys(("div",), " ÷ "),
        **dict.fromkeys(("pm",), " ± "),
        **dict.fromkeys(("lt",), " < "),
        **dict.fromkeys(("gt",), " > "),
        "infty": "∞",
        "%": "%",
        "$": "$",
        "&": "&",
        **{name: name for name in ("sin", "cos", "tan", "log", "ln", "exp", "lim", "max", "min")},
        **dict(zip(_GREEK_NAMES.split(), _GREEK, strict=True)),
    }
)
_RAISED_CHARACTERS: Final = str.maketrans("0123456789+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")
_LOWERED_CHARACTERS: Final = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def plain_tex(aligned: Aligned) -> Aligned:
    """Return the text with TeX formulas and similar notation (10^6, x_1, 2e-5) in plain
    characters."""
    if "$" in aligned.text or "\\" in aligned.text:
        aligned = aligned.edited(_edits(aligned.text))
    if _BARE_HINT.search(aligned.text):
        aligned = aligned.edited(_bare_edits(aligned.text))
    return aligned


def _edits(text: str) -> Iterator[Edit]:
    for found in _FORMULA.finditer(text):
        tex = next(part for part in found.captures("tex") if part is not None)
        if _MARKED.search(tex) or found[0].startswith("$$"):
            yield Edit(found.start(), found.end(), _plain(tex), "tex")


def _bare_edits(text: str) -> Iterator[Edit]:
    for found in _BARE.finditer(text):
        if exponent := found["exponent"]:
            yield Edit(
                found.start(), found.end(), f"×10{raised(exponent.removeprefix('+'))}", "tex"
            )
        elif found.captures("power"):
            yield Edit(
                found.start(),
                found.end(),
                raised(found.captures("power")[0].removeprefix("+")),
                "tex",
            )
        else:
            yield Edit(found.start(), found.end(), lowered(found.captures("index")[0]), "tex")


def raised(written: str) -> str:
    """Return figures and signs as superscripts; anything else unchanged."""
    compact = written.replace(" ", "")
    return (
        compact.translate(_RAISED_CHARACTERS)
        if regex.fullmatch(r"[0-9+−-]{1,9}", compact)
        else written
    )


def lowered(written: str) -> str:
    """Return figures as subscripts; anything else unchanged."""
    return (
        written.translate(_LOWERED_CHARACTERS)
        if regex.fullmatch(r"[0-9]{1,9}", written)
        else written
    )


def _plain(tex: str) -> str:
    tex = _FRACTION.sub(lambda found: f"{_operand(found[1])} / {_operand(found[2])}", tex)
    tex = _ROOT.sub(lambda found: f"√{_operand(found[1])}", tex)
    tex = regex.sub(r"\{(\p{L})\}", r"\1", tex)
    tex = _RAISED.sub(_moved, tex)
    tex = _COMMAND.sub(lambda found: _SIGNS.get(found[1] or found[2], " "), tex)
    return " ".join(regex.sub(r"[{}~]", " ", tex).split())


def _operand(written: str) -> str:
    written = written.strip()
    return written if len(written) == 1 or written.isalnum() else f"({written})"


def _moved(found: "regex.Match[str]") -> str:
    content = (found[2] if found[2] is not None else found[3]).strip()
    if found[1] == "^":
        moved = raised(content)
        return moved if moved != content else f" ^ {content} "
    return lowered(content) if content.isdecimal() else f" {content} "
