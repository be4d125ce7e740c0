"""A test of many cases: it reports each case that fails."""

import pytest
from _pytest.outcomes import Failed

from tests.support.cases import assert_each


def test_cases_that_are_as_expected_pass() -> None:
    assert_each([("a", "A"), ("b", "B")], str.upper)


def test_every_case_that_differs_is_named_with_its_input_and_both_results() -> None:
    with pytest.raises(Failed) as failed:
        assert_each([("a", "A"), ("b", "C"), ("c", "C"), ("d", "E")], str.upper)
    assert str(failed.value).splitlines() == [
        "2 of 4 cases:",
        "'b'",
        "  expected 'C'",
        "  got      'B'",
        "'d'",
        "  expected 'E'",
        "  got      'D'",
    ]


def test_an_exception_fails_its_case_and_the_others_run() -> None:
    with pytest.raises(Failed, match=r"(?s)2 of 3 cases.*'x'.*ValueError.*'2'.*got +2"):
        assert_each([("1", 1), ("x", 2), ("2", 3)], int)


def test_no_cases_are_a_failure() -> None:
    with pytest.raises(AssertionError, match="no cases"):
        assert_each([], str.upper)
