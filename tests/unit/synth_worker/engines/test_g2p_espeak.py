"""The espeak-ng child process: it answers, it is restarted after a crash, and every wait for it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.common.wire.failures import EngineUnavailable, SynthesisFailed, UnspeakableText
from services.synth_worker.engines.embedded.g2p.espeak.client import PROGRAM, Espeak, espeak_library

READY = 'print(\'{"version": "0"}\', flush=True)\n'


@pytest.fixture
def espeak() -> Iterator[Espeak]:
    child = Espeak()
    child.start()
    yield child
    child.close()


def process_of(espeak: Espeak) -> int:
    assert espeak.process_id is not None
    return espeak.process_id


def is_running(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def program(tmp_path: Path, after_ready: str) -> Path:
    path = tmp_path / "child.py"
    path.write_text(f"import os, sys, time\n{READY}{after_ready}\n", encoding="utf-8")
    return path


def test_it_reports_its_version_and_reads_texts_in_order(espeak: Espeak) -> None:
    assert espeak.start() == "1.52.0"
    assert espeak.clauses("fr", ["bonjour", "le monde"]) == [["bɔ̃ʒˈuʁ"], ["lə- mˈɔ̃d"]]


def test_an_answer_does_not_depend_on_what_was_asked_before(espeak: Espeak) -> None:
    alone = espeak.clauses("en-us", ["I read a book about wind"])
    espeak.clauses("de", ["Straße", "she will", "I have"])
    espeak.clauses("en-us", ["they want to", "I have"])
    assert espeak.clauses("en-us", ["I read a book about wind"]) == alone


def test_a_killed_child_is_replaced_without_the_caller_seeing_it(espeak: Espeak) -> None:
    before = espeak.clauses("cs", ["dobrý den"])
    killed = process_of(espeak)
    os.kill(killed, signal.SIGKILL)
    assert espeak.clauses("cs", ["dobrý den"]) == before
    assert process_of(espeak) != killed


def test_a_child_that_hangs_is_given_up_within_the_limit_and_leaves_no_process(
    tmp_path: Path,
) -> None:
    child = Espeak(answer_seconds=0.2, program=program(tmp_path, "time.sleep(60)"))
    child.start()
    process = process_of(child)
    start = time.monotonic()
    with pytest.raises(SynthesisFailed):
        child.clauses("en-us", ["hello"])
    assert time.monotonic() - start < 20  # and not 60
    assert not is_running(process)


def test_a_child_that_does_not_read_is_given_up_within_the_limit(tmp_path: Path) -> None:
    child = Espeak(answer_seconds=0.2, program=program(tmp_path, "time.sleep(60)"))
    start = time.monotonic()
    with pytest.raises(SynthesisFailed):
        child.clauses("en-us", ["a text that no pipe holds " * 20_000])
    assert time.monotonic() - start < 20  # and not 60


def test_a_text_that_kills_the_child_twice_is_unspeakable(tmp_path: Path) -> None:
    child = Espeak(program=program(tmp_path, "sys.stdin.readline(); os._exit(11)"))
    with pytest.raises(UnspeakableText):
        child.clauses("en-us", ["hello"])
    child.close()


def test_a_child_that_does_not_start_names_the_package_to_install(tmp_path: Path) -> None:
    path = tmp_path / "child.py"
    path.write_text("raise OSError\n", encoding="utf-8")
    with pytest.raises(EngineUnavailable, match="espeakng-loader"):
        Espeak(program=path).start()


def test_a_missing_voice_names_the_package_to_install(espeak: Espeak) -> None:
    with pytest.raises(EngineUnavailable, match="xx"):
        espeak.clauses("xx", ["hello"])


def test_the_child_exits_when_its_input_ends() -> None:
    command = [sys.executable, "-I", "-S", str(PROGRAM), *espeak_library(), "5"]
    ended = subprocess.run(command, input=b"", capture_output=True, timeout=10, check=True)
    assert ended.stdout == b'{"version": "1.52.0"}\n'


def test_it_works_wherever_the_package_is_installed(tmp_path: Path) -> None:
    library, folder = espeak_library()
    deep = tmp_path / ("a" * 120) / ("b" * 120)  # the library itself keeps paths in 160 bytes
    deep.mkdir(parents=True)
    (deep / "espeak-ng-data").symlink_to(Path(folder) / "espeak-ng-data")
    command = [sys.executable, "-I", "-S", str(PROGRAM), library, str(deep), "5"]
    request = json.dumps({"voice": "it", "texts": ["ciao"]}).encode() + b"\n"
    ended = subprocess.run(command, input=request, capture_output=True, timeout=10, check=True)
    assert json.loads(ended.stdout.splitlines()[1]) == {"clauses": [["t^ʃˈao"]]}


def test_close_ends_the_child_and_may_be_called_twice(espeak: Espeak) -> None:
    process = process_of(espeak)
    espeak.close()
    espeak.close()
    assert not is_running(process)
