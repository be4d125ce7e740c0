"""Korean numbers in words, for texts on which the tokenizer's own number rules fail, such as "100번"."""

from typing import Final

import regex

_DIGITS: Final = "영일이삼사오육칠팔구"
_UNITS: Final = ("", "십", "백", "천")
_GROUPS: Final = ("", "만", "억", "조")  # of four digits each
_NUMBER: Final = regex.compile(r"\d(?:[\d,]*\d)?(?:\.\d+)?")


def with_numbers_in_words(text: str) -> str:
    """Return a text with its numbers in Sino-Korean words, each followed by a space."""
    return str(_NUMBER.sub(lambda number: f"{_words(number[0])} ", text))


def _words(number: str) -> str:
    whole, _, fraction = number.replace(",", "").partition(".")
    spoken = _one_by_one(whole) if _is_a_code(whole) else _counted(int(whole))
    return f"{spoken} 점 {_one_by_one(fraction)}" if fraction else spoken


def _is_a_code(digits: str) -> bool:
    """Return whether digits are read one by one: with a leading zero, or too many."""
    return (len(digits) > 1 and digits[0] == "0") or len(digits) > 4 * len(_GROUPS)


def _one_by_one(digits: str) -> str:
    return "".join(_DIGITS[int(digit)] for digit in digits)


def _counted(number: int) -> str:
    """Return a number below 10^16."""
    if number == 0:
        return _DIGITS[0]
    groups = []
    for name in _GROUPS:
        number, four = divmod(number, 10_000)
        words = _below_ten_thousand(four)
        if words:
            groups.append("만" if (words, name) == ("일", "만") else words + name)
    return " ".join(reversed(groups))


def _below_ten_thousand(number: int) -> str:
    words = ""
    for unit in _UNITS:
        number, digit = divmod(number, 10)
        if digit:
            words = ("" if digit == 1 and unit else _DIGITS[digit]) + unit + words
    return words
