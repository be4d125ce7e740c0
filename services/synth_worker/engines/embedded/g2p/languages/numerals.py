"""Figures -> words for readers without numerals: Mandarin and Sino-Korean, which count alike."""

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Numerals:
    """The characters of a language that counts in myriads."""

    digits: str  # 0-9
    tens: tuple[str, str, str, str]  # nothing, ten, hundred, thousand
    myriads: tuple[str, ...]  # nothing, 10^4, 10^8, 10^12
    point: str
    minus: str
    percent: tuple[str, str]  # before and after the number
    zero_inside: bool  # a gap is spoken: 一百零一
    one_inside: bool  # the one before a ten is spoken: 一百


MANDARIN: Final = Numerals(
    "零一二三四五六七八九",
    ("", "十", "百", "千"),
    ("", "万", "亿", "兆"),
    "点",
    "负",
    ("百分之", ""),
    True,
    True,
)
KOREAN: Final = Numerals(
    "영일이삼사오육칠팔구",
    ("", "십", "백", "천"),
    ("", "만", "억", "조"),
    "점",
    "마이너스 ",
    ("", " 퍼센트"),
    zero_inside=False,
    one_inside=False,
)
_NUMBER: Final = re.compile(r"([-−]?)(\d+(?:,\d{3})*)(?:\.(\d+))?(%?)", re.ASCII)
_LONGEST: Final = 16  # digits; more are read one by one


def spelled(text: str, numerals: Numerals) -> str:
    """Write out every figure in `text`: integers, decimals, percentages, figures grouped by commas."""
    return _NUMBER.sub(lambda found: _number(found, numerals), text)


def _number(found: re.Match[str], numerals: Numerals) -> str:
    sign, whole, fraction, percent = found.groups()
    spoken = _whole(whole.replace(",", ""), numerals)
    if fraction:
        spoken += numerals.point + _one_by_one(fraction, numerals)
    # A hyphen between two figures is a range or a telephone number.
    if sign and not found.string[: found.start()].rstrip()[-1:].isalnum():
        spoken = numerals.minus + spoken
    return spoken.join(numerals.percent) if percent else spoken


def _one_by_one(digits: str, numerals: Numerals) -> str:
    return "".join(numerals.digits[int(digit)] for digit in digits)


def _whole(digits: str, numerals: Numerals) -> str:
    if len(digits) > _LONGEST or (len(digits) > 1 and digits[0] == "0"):
        return _one_by_one(digits, numerals)
    groups = [int(digits[max(0, end - 4) : end]) for end in range(len(digits), 0, -4)]
    spoken = ""
    for power in reversed(range(len(groups))):
        group = groups[power]
        if group == 0:
            continue
        gap = numerals.zero_inside and spoken and group < 1000
        one_myriad = power == 1 and group == 1 and not spoken and not numerals.one_inside
        spoken += numerals.digits[0] if gap else ""
        spoken += ("" if one_myriad else _group(group, numerals)) + numerals.myriads[power]
    if spoken.startswith("一十"):
        spoken = spoken[1:]
    return spoken or numerals.digits[0]


def _group(group: int, numerals: Numerals) -> str:
    """Spell 1..9999."""
    spoken = ""
    gap = False
    for power in (3, 2, 1, 0):
        digit = group // 10**power % 10
        if digit == 0:
            gap = bool(spoken)
            continue
        spoken += numerals.digits[0] if gap and numerals.zero_inside else ""
        gap = False
        silent_one = digit == 1 and power > 0 and not numerals.one_inside
        spoken += ("" if silent_one else numerals.digits[digit]) + numerals.tens[power]
    return spoken
