"""The list of tests that run alone."""

import pytest

from tests.__main__ import QUICK
from tests.conftest import ALONE, LONGEST, ROOT


@pytest.mark.parametrize("name", ALONE)
def test_every_test_that_runs_alone_exists(name: str) -> None:
    path, _, test = name.partition("::")
    assert f"def {test}" in (ROOT / path).read_text()


def test_no_test_of_the_quick_run_runs_alone() -> None:
    assert [name for name in ALONE if name.startswith(QUICK)] == []


@pytest.mark.parametrize("name", LONGEST)
def test_every_file_that_begins_first_exists(name: str) -> None:
    assert (ROOT / name).is_file()
