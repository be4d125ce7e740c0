"""Temporary folders do not outlive their program for longer than until the next one starts."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from services.common.runtime.scratch import scratch_folder

HOLDER = """
import sys
from services.common.runtime.scratch import scratch_folder
with scratch_folder("voice-test-") as folder:
    (folder / "voices").mkdir()
    (folder / "voices" / "clip.wav").write_bytes(b"x")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def held() -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_folder_is_removed_with_all_that_is_in_it() -> None:
    with scratch_folder("voice-test-") as folder:
        (folder / "file").write_text("x")
        assert folder.stat().st_mode & 0o77 == 0
    assert not folder.exists()


def test_the_folder_of_a_killed_program_is_removed_by_the_next_one() -> None:
    process, left = held()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (left / "voices" / "clip.wav").exists()
    with scratch_folder("voice-test-"):
        assert not left.exists()


def test_the_folder_of_a_program_that_lives_is_left_alone() -> None:
    process, theirs = held()
    with scratch_folder("voice-test-") as folder:
        assert folder != theirs
        assert (theirs / "voices" / "clip.wav").exists()
    process.communicate("")
    assert not theirs.exists()


def test_what_only_looks_like_such_a_folder_is_left_alone(temporary: Path) -> None:
    (temporary / "voice-test-of-somebody").mkdir()
    (temporary / "voice-test-file").write_text("x")
    (temporary / "elsewhere").mkdir()
    (temporary / "elsewhere" / "in-use").write_text("")
    (temporary / "voice-test-link").symlink_to(temporary / "elsewhere")
    with scratch_folder("voice-test-"):
        pass
    assert sorted(path.name for path in temporary.iterdir()) == [
        "elsewhere",
        "voice-test-file",
        "voice-test-link",
        "voice-test-of-somebody",
    ]
