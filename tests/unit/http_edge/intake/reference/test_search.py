"""The search for speech in a file: in any track, any channel, and late in the file."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from services.common.audio.clip import Clip, Samples
from services.common.wire.failures import UnusableReference
from services.http_edge.intake.reference.channels import mixing
from services.http_edge.intake.reference.files import Block
from services.http_edge.intake.reference.hum import hum_lines, without_hum
from services.http_edge.intake.reference.search import find_speech
from tests.support import sounds

SPEECH = sounds.speech(9)


def refusal(path: Path) -> str:
    with pytest.raises(UnusableReference) as caught:
        find_speech(path)
    return str(caught.value)


def tracks(path: Path, *parts: Samples) -> Path:
    return sounds.encode_tracks(path / "upload", list(parts), 24_000, "matroska", "libopus")


@pytest.mark.parametrize("speaking", [0, 1, 2])
@pytest.mark.parametrize("other", [sounds.silence(9), sounds.chords(9), 0.5 * sounds.noise(9)])
def test_the_track_with_the_speech_is_taken(tmp_path: Path, speaking: int, other: Samples) -> None:
    parts = [other] * 3
    parts[speaking] = SPEECH
    selection = find_speech(tracks(tmp_path, *parts))
    assert selection.clip.seconds > 8
    assert selection.warnings == ()


def test_of_two_tracks_with_the_same_speech_the_cleaner_one_is_taken(tmp_path: Path) -> None:
    assert find_speech(tracks(tmp_path, sounds.noisy(SPEECH, 8), SPEECH)).warnings == ()


def test_a_file_whose_tracks_are_all_silent_is_refused_with_their_number(tmp_path: Path) -> None:
    assert "2 audio tracks, all silent" in refusal(tracks(tmp_path, *[sounds.silence(9)] * 2))


def test_a_file_whose_tracks_hold_other_things_is_refused_with_what_they_hold(
    tmp_path: Path,
) -> None:
    advice = refusal(tracks(tmp_path, sounds.silence(9), sounds.chords(9)))
    assert "2 audio tracks, none with speech" in advice
    assert "music or tones" in advice


def write_late(path: Path, minutes: float, rest: Samples) -> Path:
    """Write a long recording of silence, at 8 kHz, that ends with something."""
    with soundfile.SoundFile(path, "w", 8_000, 1, format="FLAC", subtype="PCM_16") as file:
        for _ in range(round(minutes)):
            file.write(np.zeros(60 * 8_000, dtype=np.float32))
        file.write(rest)
    return path


@pytest.mark.parametrize("minutes", [9, 11, 25])
def test_speech_that_begins_late_is_found(tmp_path: Path, minutes: int) -> None:
    selection = find_speech(write_late(tmp_path / "upload", minutes, sounds.speech(12, 8_000)))
    assert selection.clip.seconds == pytest.approx(12, abs=0.5)


def test_a_word_at_the_beginning_does_not_hide_the_speech_that_comes_late(tmp_path: Path) -> None:
    path = write_late(tmp_path / "late", 11, sounds.speech(12, 8_000))
    late, rate_hz = soundfile.read(path, dtype="float32")
    late[: 4 * rate_hz] = sounds.speech(4, rate_hz)
    assert find_speech(sounds.write(tmp_path / "upload", late, rate_hz, "FLAC")).clip.seconds > 11


def test_what_is_later_than_an_hour_is_refused_with_how_much_was_read(tmp_path: Path) -> None:
    advice = refusal(write_late(tmp_path / "upload", 61, sounds.speech(12, 8_000)))
    assert "first 60 minutes" in advice
    assert "silent" in advice


def test_silence_that_was_read_to_its_end_is_called_silence_alone(tmp_path: Path) -> None:
    advice = refusal(write_late(tmp_path / "upload", 12, sounds.silence(5, 8_000)))
    assert advice.startswith("the reference audio is silent")


def test_the_refusal_of_a_long_recording_with_several_tracks_states_how_much_was_read(
    tmp_path: Path,
) -> None:
    advice = refusal(
        sounds.encode_tracks(
            tmp_path / "upload", [sounds.silence(620, 8_000)] * 6, 8_000, "matroska", "pcm_s16le"
        )
    )
    assert "6 audio tracks, all silent in the first 10 minutes" in advice


def stereo(left: Samples, right: Samples) -> np.ndarray:
    return np.stack([left, right], axis=1).astype(np.float32)


def weights(frames: np.ndarray) -> list[float]:
    return [float(weight) for weight in mixing([Block(frames, 24_000)])]


BESIDE = {
    "a louder hum": 3 * sounds.mains_hum(9, harmonics=6),
    "loud music": 2 * sounds.chords(9),
    "a loud hiss": 3 * sounds.noise(9),
    "a loud tone": 2 * sounds.tone(9, 1_000),
}


@pytest.mark.parametrize("kind", BESIDE)
def test_of_two_channels_the_one_that_speaks_is_taken_alone(kind: str) -> None:
    assert weights(stereo(0.5 * SPEECH, BESIDE[kind])) == [1, 0]
    assert weights(stereo(BESIDE[kind], 0.5 * SPEECH)) == [0, 1]


def test_of_two_channels_with_the_same_voice_the_much_noisier_one_is_left_out() -> None:
    assert weights(stereo(sounds.noisy(SPEECH, 6), SPEECH)) == [0, 1]


@pytest.mark.parametrize("share", [1.0, 0.5, 0.0])
def test_two_channels_of_one_voice_are_averaged(share: float) -> None:
    assert weights(stereo(SPEECH, share * SPEECH)) == [0.5, 0.5]


@pytest.mark.parametrize("share", [-1.0, -0.98])
def test_of_channels_in_opposite_phase_one_is_taken(share: float) -> None:
    assert sorted(weights(stereo(SPEECH, share * SPEECH))) == [0, 1]


@pytest.mark.parametrize("level", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("harmonics", [1, 6])
@pytest.mark.parametrize("mains_hz", [50.0, 60.0, 49.9])
def test_speech_under_a_loud_hum_is_taken_and_the_hum_is_not(
    tmp_path: Path, mains_hz: float, harmonics: int, level: float
) -> None:
    humming = SPEECH + level * sounds.mains_hum(9, mains_hz=mains_hz, harmonics=harmonics)
    path = sounds.write(tmp_path / "upload", 0.3 * humming, 24_000, "WAV", "FLOAT")
    samples = find_speech(path).clip.samples
    assert len(samples) > 8 * 24_000
    spectrum = np.square(np.abs(np.fft.rfft(samples)))
    assert spectrum[: 62 * len(samples) // 24_000].sum() < 0.01 * spectrum.sum()


def test_a_recording_without_a_hum_is_left_as_it_is() -> None:
    clip = Clip(SPEECH, 24_000)
    assert hum_lines(clip) == ()
    assert without_hum(clip) is clip


def test_the_lines_of_a_hum_are_found_where_they_are() -> None:
    lines = hum_lines(Clip(SPEECH + sounds.mains_hum(9, harmonics=3), 24_000))
    assert lines == pytest.approx((50, 100, 150), abs=1)


def test_a_hum_alone_is_refused_as_one(tmp_path: Path) -> None:
    path = sounds.write(tmp_path / "upload", sounds.mains_hum(9, harmonics=4), 24_000, "WAV")
    assert "hum" in refusal(path)
