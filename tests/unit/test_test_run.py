"""The run of all tests: what it does with tests that fail."""

from pathlib import Path

import pytest

from tests.__main__ import MAX_REPEATED, QUICK, ROOT, WITH_MODELS, run_phase

PHASE = ("-n", "0", "-q")


def run_of(folder: Path, code: str) -> tuple[int, list[str]]:
    (folder / "test_made.py").write_text(code)
    (folder / "pytest.ini").write_text("[pytest]\n")
    flaky: list[str] = []
    status = run_phase(PHASE, ["-c", str(folder / "pytest.ini"), str(folder)], flaky)
    return status, flaky


def test_a_test_that_passes_the_second_time_is_named_as_flaky(tmp_path: Path) -> None:
    status, flaky = run_of(
        tmp_path,
        "from pathlib import Path\n"
        "def test_a():\n"
        "    seen = Path(__file__).with_name('seen')\n"
        "    assert seen.exists() or seen.touch()\n"
        "def test_b(): pass\n",
    )
    assert status == 0
    assert flaky == ["test_made.py::test_a"]


@pytest.mark.parametrize("failing", [1, MAX_REPEATED + 1])
def test_a_run_fails_whose_tests_fail_again(failing: int, tmp_path: Path) -> None:
    tests = "".join(f"def test_{number}(): assert False\n" for number in range(failing))
    assert run_of(tmp_path, tests) == (1, [])


def test_more_failures_than_a_few_are_not_run_again(tmp_path: Path) -> None:
    once = (
        "from pathlib import Path\n"
        "import pytest\n"
        f"@pytest.mark.parametrize('n', range({MAX_REPEATED + 1}))\n"
        "def test_a(n):\n"
        "    seen = Path(__file__).with_name(f'seen{n}')\n"
        "    assert seen.exists() or seen.touch()\n"
    )
    assert run_of(tmp_path, once) == (1, [])


def test_what_a_quick_run_leaves_out_are_unit_and_contract_tests() -> None:
    for name in WITH_MODELS:
        assert (ROOT / name).exists(), name
        assert name.startswith(tuple(f"{folder}/" for folder in QUICK)), name
