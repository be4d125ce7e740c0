"""Thousands of small cases in few tests: collecting a test takes longer than normalizing a sentence."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import pytest

Given = TypeVar("Given")
Result = TypeVar("Result")


def assert_each(cases: Iterable[tuple[Given, Result]], function: Callable[[Given], Result]) -> None:
    """Compare the function's result with the expected one for each pair of an input and that.

    Fails after the last case, and names every case that differs with its input, the expected and the actual result. An
    exception counts as a different result. No cases at all are a failure too.
    """
    count = 0
    differing = []

    for given, expected in cases:
        count += 1
        try:
            result = function(given)
        except Exception as failure:  # noqa: BLE001 - the other cases must run
            shown = f"{type(failure).__name__}: {failure}"
        else:
            if result == expected:
                continue
            shown = repr(result)
        differing.append(f"{given!r}\n  expected {expected!r}\n  got      {shown}")

    assert count, "no cases"
    if differing:
        pytest.fail("\n".join([f"{len(differing)} of {count} cases:", *differing]), pytrace=False)
