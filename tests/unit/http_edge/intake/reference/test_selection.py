"""The selection of a clip from a recording, with its refusals and warnings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from services.common.audio.clip import Clip, Samples
from services.common.wire.failures import UnusableReference
from services.http_edge.intake.reference.decoding import decode
from services.http_edge.intake.reference.selection import Selection, best_stretch, select
from tests.support import sounds
from tests.support.sounds import chords, noise, noisy, silence, speech, tone


def selected(*parts: Samples) -> Selection:
    return select(Clip(np.concatenate(parts), 24_000))


def refusal(*parts: Samples) -> str:
    with pytest.raises(UnusableReference) as caught:
        selected(*parts)
    return str(caught.value)


def tokens(selection: Selection) -> list[str]:
    return [warning.split(":")[0] for warning in selection.warnings]


def test_good_speech_is_selected_whole_and_without_a_warning() -> None:
    selection = selected(speech(9))
    assert selection.clip.seconds == pytest.approx(9, abs=0.5)
    assert selection.warnings == ()


def test_silence_is_trimmed_at_both_ends_but_for_a_margin() -> None:
    selection = selected(silence(5), speech(6), silence(8))
    assert selection.clip.seconds == pytest.approx(6, abs=0.6)


def test_a_hiss_around_the_speech_is_trimmed_as_silence_is() -> None:
    hiss = 0.02 * noise(18)
    selection = selected(np.concatenate([silence(6), speech(6), silence(6)]) + hiss)
    assert selection.clip.seconds == pytest.approx(6, abs=0.8)


def test_the_clip_is_never_over_thirty_seconds() -> None:
    selection = selected(speech(95))
    assert 20 < selection.clip.seconds <= 30.0
    assert selection.warnings == ()


def test_a_long_recording_is_cut_in_pauses() -> None:
    samples = selected(silence(1), speech(95)).clip.samples
    loud = np.sqrt(np.mean(samples**2))
    for end in (samples[: 24_000 // 20], samples[-24_000 // 20 :]):
        assert np.sqrt(np.mean(end**2)) < 0.15 * loud


def test_the_part_with_the_voice_is_found_in_a_long_recording() -> None:
    selection = selected(silence(240) + 0.01 * noise(240), speech(20), 0.01 * noise(240))
    assert selection.clip.seconds == pytest.approx(20, abs=1)
    assert np.std(selection.clip.samples) > 0.5 * np.std(speech(20))


def test_a_voice_is_preferred_to_louder_noise_that_comes_first() -> None:
    bursts = np.concatenate(
        [np.concatenate([noise(1, seed=seed), silence(0.4)]) for seed in range(60)]
    )
    samples = selected(bursts, 0.5 * speech(28)).clip.samples
    assert (
        np.corrcoef(np.abs(samples[-24_000 * 5 :]), np.abs(0.5 * speech(28)[-24_000 * 5 :]))[0, 1]
        > 0.3
    )


@pytest.mark.parametrize("level_db", [-40, -20, 0])
def test_how_loud_it_is_makes_no_difference(level_db: float) -> None:
    assert selected(np.float32(10 ** (level_db / 20)) * speech(9)).warnings == ()


def test_an_offset_makes_no_difference() -> None:
    assert selected(0.2 * speech(9) + np.float32(0.3)).warnings == ()


@pytest.mark.parametrize("tilt", [0, 1, 2])
@pytest.mark.parametrize("snr_db", [20, 10, 5, 0])
def test_speech_under_noise_as_loud_as_itself_is_still_speech(tilt: float, snr_db: float) -> None:
    assert selected(noisy(speech(9), snr_db, tilt=tilt)).clip.seconds > 6


@pytest.mark.parametrize("tilt", [0, 1])
@pytest.mark.parametrize("snr_db", [10, 6, 3])
def test_a_noisy_clip_is_used_with_a_warning(tilt: float, snr_db: float) -> None:
    assert "noisy" in tokens(selected(noisy(speech(9), snr_db, tilt=tilt)))
    assert "noisy" not in tokens(selected(noisy(speech(9), 20, tilt=tilt)))


def test_a_short_clip_is_used_with_a_warning() -> None:
    assert tokens(selected(speech(4.5))) == ["short"]


def test_a_clipped_clip_is_used_with_a_warning() -> None:
    loud = np.clip(speech(9) * 6, -1, 1)
    assert tokens(selected(loud)) == ["clipped"]
    assert tokens(selected(speech(9) / np.abs(speech(9)).max())) == []


def test_warnings_can_stand_in_a_header() -> None:
    warnings = selected(np.clip(noisy(speech(4.5), 3) * 8, -1, 1)).warnings
    assert [warning.split(":")[0] for warning in warnings] == ["short", "noisy", "clipped"]
    assert all(
        warning.isascii() and warning.isprintable() and ";" not in warning for warning in warnings
    )


def test_less_than_three_seconds_is_refused_with_how_much_was_found() -> None:
    assert "only 2." in refusal(silence(10), speech(2.9), silence(10))
    assert "send at least 3 s" in refusal(speech(1))


def test_a_few_words_in_minutes_of_silence_are_under_three_seconds() -> None:
    word = speech(0.25)
    assert "s of audio" in refusal(*[part for _ in range(5) for part in (word, silence(8))])


@pytest.mark.parametrize(
    "parts", [(silence(3),), (silence(0),), (silence(0.01),), (0.0005 * noise(5),)]
)
def test_silence_is_refused_as_silence(parts: tuple[Samples, ...]) -> None:
    assert "is silent" in refusal(*parts)


def beeps() -> Samples:
    return np.concatenate([part for _ in range(8) for part in (tone(0.5, 800), silence(0.5))])


def hum() -> Samples:
    return sum((tone(8, 50 * harmonic) / harmonic for harmonic in range(1, 9)), start=silence(8))


def siren() -> Samples:
    return (0.3 * np.sin(np.cumsum(np.linspace(0.05, 0.4, 8 * 24_000)))).astype(np.float32)


NO_SPEECH = {
    "tone": tone(8),
    "low tone": tone(8, 100),
    "tone that stops": np.concatenate([tone(3), silence(1), tone(4)]),
    "hum": hum(),
    "beeps": beeps(),
    "siren": siren(),
    "white noise": noise(8),
    "pink noise": noise(8, tilt=1),
    "brown noise": noise(8, tilt=2),
    "noise that stops": np.concatenate([noise(3), silence(1), noise(4)]),
    "noise in bursts": np.concatenate(
        [part for _ in range(12) for part in (noise(0.4), silence(0.3))]
    ),
}


@pytest.mark.parametrize("kind", NO_SPEECH)
def test_what_cannot_be_a_voice_is_refused(kind: str) -> None:
    assert "not speech" in refusal(NO_SPEECH[kind])


def trembling(sound: Samples, rate_hz: float) -> Samples:
    swells = 1 + 0.8 * np.sin(2 * np.pi * rate_hz * np.arange(len(sound)) / 24_000)
    return (0.5 * sound * swells).astype(np.float32)


MUSIC = {
    "major chords": chords(9),
    "rich chords": chords(9, notes=(0, 3, 7, 10, 14)),
    "fast chords": chords(9, each_s=0.2),
    "slow chords": chords(9, each_s=1.5),
    "intervals": chords(9, notes=(0, 7)),
    "a chord that is held": chords(9, each_s=9),
    "a chord that trembles": trembling(chords(9, each_s=9), 4),
    "quiet chords": 0.02 * chords(9),
    "chords in noise": noisy(chords(9), 15),
    "chords with rests": np.concatenate(
        [part for _ in range(8) for part in (chords(1), silence(0.3))]
    ),
    "a melody with overtones": chords(9, notes=(0, 12, 19, 24, 28)),
}


@pytest.mark.parametrize("kind", MUSIC)
def test_music_is_refused_as_music(kind: str) -> None:
    assert "music or tones, not speech" in refusal(MUSIC[kind])


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("kind", ["major chords", "a melody with overtones"])
def test_speech_in_a_recording_with_music_is_selected_without_the_music(
    kind: str, first: bool
) -> None:
    music = np.tile(MUSIC[kind], 5)
    parts = (music, silence(1), speech(20)) if first else (speech(20), silence(1), music)
    samples = selected(*parts).clip.samples
    assert len(samples) / 24_000 == pytest.approx(20, abs=1.5)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000])
@pytest.mark.parametrize("pace", [0.8, 1.0, 1.25, 1.6])
def test_speech_of_any_pitch_and_band_is_no_music(rate_hz: int, pace: float) -> None:
    narrow = sounds.soxr.resample(sounds.soxr.resample(speech(9), 24_000, rate_hz), rate_hz, 24_000)
    shifted = sounds.soxr.resample(narrow, 24_000 * pace, 24_000)
    assert selected(shifted.astype(np.float32)).clip.seconds > 5


marks = arrays.arrays(np.bool_, st.integers(0, 5_000))


@given(marks, st.integers(1, 40))
def test_a_stretch_is_in_the_recording_contains_audio_and_is_at_most_thirty_seconds(
    active: np.ndarray, longest_run: int
) -> None:
    active = np.repeat(active[: 5_000 // longest_run], longest_run)
    start, end = best_stretch(active, active)
    assert 0 <= start <= end <= len(active)
    assert end - start <= 1_500
    assert active[start:end].any() == active.any()


def test_the_bundled_clip_is_a_good_reference() -> None:
    selection = select(decode(sounds.AUSTEN))
    assert 8 <= selection.clip.seconds <= 12
    assert selection.warnings == ()


def test_speech_over_quieter_music_is_taken() -> None:
    music = np.resize(chords(9), len(speech(9)))
    assert selected(speech(9) + 0.3 * music * np.std(speech(9)) / np.std(music)).clip.seconds > 8
