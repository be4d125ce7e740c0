"""Detects signs within a formula: between operands, with another sign of a formula next to them.
Pure."""

from typing import Final

import regex

_OPERAND: Final = r"(?:[\d²³⁰-⁹₀-₉)\]}′'%°π]|(?<![\p{L}\p{M}'’])\p{L})"
_LEFT: Final = regex.compile(rf"{_OPERAND}[^\S\n]?$")
_RIGHT: Final = regex.compile(r"[^\S\n]?(?:[-−+±√(]?\d|[-−+±√]?\p{L}(?![\p{L}\p{M}'’])|[(√∞π])")
_FORMULA_SIGN: Final = regex.compile(r"[=+×÷·*/^<>≤≥≠≈√±−]|(?<=\d[^\S\n])-(?=[^\S\n]\d)")
_VERSION: Final = regex.compile(r"\d\.\d+\.\d+$")
_OPENS: Final = regex.compile(r"<\s\w{1,10}\s?$")  # Alt-F < n >
_CLOSES: Final = regex.compile(r"\s?\w{1,10}\s>")
_WINDOW: Final = 40  # characters searched on either side for the rest of a formula
_WORD: Final = regex.compile(
    r"[\p{L}\p{M}]{2,}|(?<=[\d\p{L}]\s)\p{L}(?=\s[\d\p{L}])|\n|[.,!?;](?:\s|$)|[，。、；！？]"
)


def in_formula(text: str, start: int, end: int, sign: str) -> bool:
    """Return whether the sign between spaces at text[start:end] is between operands of a
    formula."""
    left, right = text[max(0, start - _WINDOW) : start], text[end : end + _WINDOW]
    if not _LEFT.search(left) or not _RIGHT.match(right):
        return False
    if sign in "<>":
        return not (_CLOSES.match(right) if sign == "<" else _OPENS.search(left))  # a < b
    if (
        sign in "*x−+"
        and left.rstrip()[-1:].isdecimal()
        and (right.lstrip()[:1].isdecimal() or right.lstrip()[:1] == "(")
    ):
        return True  # 5 * 3
    return _FORMULA_SIGN.search(_rest(left, right)) is not None


def in_equation(text: str, start: int, end: int) -> bool:
    """Return whether a hyphen without spaces between operands is a minus; only an equals sign
    proves it: 2x-1=5."""
    left, right = text[max(0, start - _WINDOW) : start], text[end : end + _WINDOW]
    if not _LEFT.search(left) or not _RIGHT.match(right) or _VERSION.search(left):
        return False
    return any(sign in _rest(left, right) for sign in "=≤≥≠")


def _rest(left: str, right: str) -> str:
    """Return the text on either side of a sign, up to the next words: the rest of its formula."""
    words = list(_WORD.finditer(left))
    left = left[words[-1].end() :] if words else left
    word = _WORD.search(right)
    return f"{left}\n{right[: word.start()] if word else right}"
