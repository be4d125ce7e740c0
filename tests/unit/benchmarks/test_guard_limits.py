"""The guard's limits are checked against recordings: pauses and paces are measured as the guard sees them."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.guard_defects import DEFECTS, EARLIER, table
from benchmarks.guard_limits import judged, longest_pause_s
from benchmarks.guard_recordings import Collection, Recording, dialogues, trimmed
from benchmarks.guard_watch import watched
from benchmarks.quality.references import RATE_HZ, Samples

TEXT = "The visitors came by train, although the road had been repaired."  # some 4 s


def spoken(seconds: float) -> Samples:
    return np.full(round(seconds * RATE_HZ), 0.1, np.float32)


def quiet(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE_HZ), np.float32)


def test_the_longest_pause_within_a_recording_is_measured_without_its_ends() -> None:
    samples = np.concatenate([quiet(2), spoken(1), quiet(0.7), spoken(1), quiet(0.2), spoken(1)])
    assert longest_pause_s(samples) == pytest.approx(0.7, abs=0.001)
    assert len(trimmed(np.concatenate([samples, quiet(3)]))) == round(3.9 * RATE_HZ)


@pytest.mark.parametrize("speed", [1.0, 0.5, 0.25])
def test_a_pause_is_judged_at_every_speed_as_at_the_usual_one(speed: float) -> None:
    for pause_s, fault in ((1.3, None), (1.8, "silence")):
        samples = np.concatenate([spoken(2), quiet(pause_s), spoken(2)])
        assert watched(Recording("en", samples, TEXT), speed) == fault
        assert watched(Recording("en", samples), speed) == fault


def test_a_pace_that_is_not_human_is_a_fault_where_the_text_is_known() -> None:
    assert watched(Recording("en", spoken(20), TEXT), 1.0) == "runaway"
    assert watched(Recording("en", spoken(0.5), TEXT), 1.0) == "short"
    assert watched(Recording("en", spoken(20)), 1.0) is None


def test_the_table_counts_the_faults_by_kind_and_speed() -> None:
    recordings = [Recording("en", spoken(4.3), TEXT), Recording("en", spoken(20), TEXT)]
    row = judged(iter(recordings)).row("two")
    assert row == "| two | 2 | 0.00 s | 1.01, 2.85, 4.69 | runaway 1 | runaway 1 | runaway 1 |"


@pytest.fixture
def sentences(tmp_path: Path) -> Collection:
    """Return 15 sentences of an ordinary pace, in files."""
    for index in range(15):
        tone = np.sin(np.arange(round(4.6 * RATE_HZ)) * (0.05 + index / 1000)) * 0.3
        soundfile.write(tmp_path / f"{index}.wav", tone.astype(np.float32), RATE_HZ)
    return Collection("test", "en", {tmp_path / f"{index}.wav": TEXT for index in range(15)})


def test_the_table_compares_the_defects_that_both_limits_find(sentences: Collection) -> None:
    found = {}
    for line in table([sentences]).splitlines()[2:]:
        name, before, now = line.strip("| ").split(" | ")
        found[name] = (before, now)
    assert found.keys() == DEFECTS.keys()
    assert found["none"] == ("0.0%", "0.0%")
    assert found["babble of its length"] == ("0.0%", "0.0%"), (
        "9.2 s of 4.3 s, and 9.6 s are allowed"
    )
    assert found["babble of twice its length"] == ("100.0%", "100.0%")
    assert found["3 s of silence in the middle"] == ("100.0%", "100.0%")
    assert found["ends after a third"] == ("0.0%", "0.0%")
    assert found["ends after a quarter"] == ("0.0%", "100.0%")


def test_the_present_limits_are_the_tighter_ones_for_a_sentence_of_ordinary_length() -> None:
    assert watched(Recording("en", spoken(11.5), TEXT), 1.0) == "runaway"
    assert watched(Recording("en", spoken(11.5), TEXT), 1.0, EARLIER) is None


def test_the_lines_of_a_script_belong_to_the_recordings_of_their_names(tmp_path: Path) -> None:
    script, sound = (tmp_path / "usr/share/games/fillets-ng" / one for one in ("script", "sound"))
    for folder in (script / "city", sound / "city/cs"):
        folder.mkdir(parents=True)
    (script / "city/dialogs_cs.lua").write_text(
        'dialogId("a", "font", "Hello.")\ndialogStr("Ahoj.")\n\n'
        'dialogId("b", "font", "C%1.")\ndialogStr("C%1.")\n'
        'dialogId("c", "font", "")\ndialogStr("")\n'
        'dialogId("d", "font", "Not recorded.")\ndialogStr("Bez zvuku.")\n',
        encoding="utf-8",
    )
    for name in "abc":
        (sound / f"city/cs/{name}.ogg").touch()
    assert dialogues(tmp_path, tmp_path, "cs") == {sound / "city/cs/a.ogg": "Ahoj."}
