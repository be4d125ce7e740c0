"""`task xtts:gpu` runs all steps on a CPU, and a step that breaks costs nothing but itself."""

import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.xtts_gpu import __main__ as command
from benchmarks.xtts_gpu.bench import FULL, RATE_HZ, SMALL, Bench, ragged_texts
from benchmarks.xtts_gpu.findings import Findings, outcome_of, table_of
from benchmarks.xtts_gpu.traffic import Listener

ROOT = Path(__file__).parents[3]
FORKED = multiprocessing.get_context("fork")


def test_all_steps_pass_in_their_small_form_on_a_cpu(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.xtts_gpu", "--device", "cpu", "--small", "--out", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "COQUI_TOS_AGREED": "", "XTTS_MODEL_DIR": ""},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    report = json.loads((tmp_path / "xtts-gpu.json").read_text())
    steps = {step["step"]: (step["verdict"], step["error"]) for step in report["steps"]}
    assert steps == dict.fromkeys(command.STEPS, ("passed", "")), ran.stderr[-2000:]
    assert ran.returncode == 0
    assert report["weights"] == "random"
    table = (tmp_path / "xtts-gpu.md").read_text()
    assert all(f"| {step} | passed |" in table for step in command.STEPS)
    assert "not measured: the GPU" in table


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench("cpu", tmp_path, released=False, tiny=tmp_path, sizes=SMALL, out=tmp_path)


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (lambda _bench, _findings: os._exit(7), "ended with status 7"),
        (lambda _bench, findings: findings.check("a claim", 1 / 0), "ZeroDivisionError"),
    ],
)
def test_a_step_whose_process_ends_or_raises_is_a_failed_step(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, step: object, reason: str
) -> None:
    monkeypatch.setitem(command.STEPS, "speed", (step, 60))
    outcome = command.run("speed", bench, FORKED)
    assert outcome.verdict == "failed"
    assert reason in outcome.error


def test_a_step_that_hangs_ends_with_its_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = FORKED.Event()
    monkeypatch.setitem(command.STEPS, "speed", (lambda _bench, _findings: never.wait(), 0))
    outcome = command.run("speed", bench, FORKED)
    assert (outcome.verdict, outcome.error) == ("failed", "it did not end within 0 s")


def test_a_step_fails_with_a_claim_that_does_not_hold_and_the_table_names_it() -> None:
    findings = Findings()
    findings.check("one", holds=True)
    findings.check("another", holds=False, found=3)
    findings.skip("the rest", "no time")
    outcome = outcome_of("speed", 1.0, findings)
    assert outcome.verdict == "failed"
    assert "DOES NOT HOLD: another (3)" in table_of([outcome])
    assert outcome_of("speed", 1.0, Findings()).verdict == "not measured"


def test_the_limits_of_all_steps_together_are_about_ten_minutes() -> None:
    assert sum(limit_s for _, limit_s in command.STEPS.values()) <= 660


def test_the_longest_stop_of_playback_is_a_listeners_underrun() -> None:
    listener = Listener(arrived_s=10.0, waiting=[])
    for now_s, seconds in ((10.2, 1.0), (11.1, 0.5), (11.9, 1.0)):
        listener.receive(now_s, int(seconds * RATE_HZ))
    assert listener.first_audio_s == pytest.approx(0.2)
    assert listener.worst_s == pytest.approx(0.2)  # played until 11.7, and the next came at 11.9
    assert listener.audio_s == pytest.approx(2.5)


def test_texts_are_of_ragged_lengths() -> None:
    lengths = sorted(len(text) for text in ragged_texts(200))
    assert lengths[0] < 30
    assert 60 < lengths[100] < 120
    assert 180 < lengths[-1] <= FULL.longest + 20
