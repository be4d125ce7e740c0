"""Similarity of a clone to its reference."""

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.audio.clip import Clip, Samples
from services.common.audio.loudness import integrated_lufs
from services.common.audio.spectra import Floats, istft, stft
from services.synth_worker.engines.embedded import assets
from services.synth_worker.engines.embedded.rendering import envelope
from services.synth_worker.engines.embedded.rendering.envelope import EnvelopeFilter
from services.synth_worker.engines.embedded.voices.activity import without_pauses
from services.synth_worker.engines.embedded.voices.enrolment import Enrolment, fair_shares
from services.synth_worker.engines.embedded.voices.pitch import track_pitch
from services.synth_worker.engines.embedded.voices.search import Start, coordinates, descend
from services.synth_worker.engines.embedded.voices.styles import (
    SPACE_REGISTERS,
    Recolouring,
    StockStyles,
    is_low_voice,
)
from services.synth_worker.engines.embedded.voices.tuner import Tuner, tuner_inputs
from services.synth_worker.engines.embedded.voices.voice import ClonedVoice, voice_from_bytes

RATE = 24_000


def vowel(
    pitch_hz: float, seconds: float, formants_hz: tuple[float, ...] = (700, 1200, 2600)
) -> Samples:
    """Return a pulse train through resonances, with the pitch wandering as in speech."""
    time = np.arange(int(seconds * RATE)) / RATE
    phase = np.cumsum(pitch_hz * (1 + 0.05 * np.sin(2 * np.pi * 2.5 * time))) / RATE
    total = np.zeros(len(time))
    for harmonic in range(1, int(10_000 / pitch_hz)):
        frequency = harmonic * pitch_hz
        gain = sum(1 / (1 + ((frequency - formant) / 120) ** 2) for formant in formants_hz) + 0.01
        total += gain * np.sin(2 * np.pi * harmonic * phase)
    return (0.2 * total / np.abs(total).max()).astype(np.float32)


@pytest.fixture(scope="module")
def tuner() -> Tuner:
    return Tuner.from_arrays(assets.load_arrays(assets.TUNER))


@pytest.fixture(scope="module")
def space() -> Mapping[str, Floats]:
    return assets.load_arrays(assets.STYLE_SPACE)


@pytest.fixture(scope="module")
def enrolment(tuner: Tuner, space: Mapping[str, Floats]) -> Enrolment:
    encoder = assets.load_speaker_encoder()
    styles = StockStyles(assets.load_arrays(assets.STOCK_VOICES))
    return Enrolment(encoder, tuner, space, styles, assets.load_stock_pitch())


@pytest.mark.parametrize("pitch_hz", [75.0, 100.0, 145.0, 210.0, 300.0])
def test_the_median_pitch_is_found_without_octave_errors(pitch_hz: float) -> None:
    assert track_pitch(Clip(vowel(pitch_hz, 3), RATE)).median_hz == pytest.approx(
        pitch_hz, rel=0.03
    )


def test_the_median_pitch_survives_noise() -> None:
    clean = vowel(203.0, 3)
    noisy = clean + np.random.default_rng(3).normal(0, 0.25 * clean.std(), len(clean)).astype(
        np.float32
    )
    assert track_pitch(Clip(noisy, RATE)).median_hz == pytest.approx(203, rel=0.03)


def test_a_voice_that_often_falls_low_is_not_taken_for_a_low_voice() -> None:
    low, high = vowel(110.0, 1.4), [vowel(pitch_hz, 0.5) for pitch_hz in (190.0, 210, 230, 250)]
    assert 180 < track_pitch(Clip(np.concatenate([low, *high]), RATE)).median_hz < 215


def test_noise_has_no_pitch() -> None:
    hiss = np.random.default_rng(4).normal(0, 0.1, 5 * RATE).astype(np.float32)
    assert track_pitch(Clip(hiss, RATE)).voiced_seconds < 0.5


def test_pauses_are_removed_and_speech_stays() -> None:
    speech, pause = vowel(120, 1), np.zeros(2 * RATE, dtype=np.float32)
    kept = without_pauses(np.concatenate([pause, speech, pause, speech]), RATE)
    assert 2.0 < len(kept) / RATE < 2.5


@given(st.lists(st.integers(0, 1000), max_size=8), st.integers(0, 3000))
def test_several_recordings_share_fairly_what_fits(lengths: list[int], most: int) -> None:
    shares = fair_shares(lengths, most)
    assert all(share <= length for share, length in zip(shares, lengths, strict=True))
    if sum(lengths) <= most:
        assert shares == lengths
    else:
        assert sum(shares) == most
        cut = [share for share, length in zip(shares, lengths, strict=True) if share < length]
        assert max(cut) - min(cut) <= 1
        assert max(shares) <= max(cut)


def test_the_gradient_of_the_tuner_is_that_of_its_prediction(tuner: Tuner) -> None:
    generator = np.random.default_rng(5)
    inputs = generator.normal(0, 1, (1, 57)).astype(np.float32)
    target = np.abs(generator.normal(0, 1, 256)).astype(np.float32)
    target /= np.linalg.norm(target)
    _, slope = tuner.similarity(inputs, target)
    for place in (0, 17, 39, 40, 56):
        nudge = np.zeros_like(inputs)
        nudge[0, place] = 1e-2
        high, low = (tuner.similarity(inputs + sign * nudge, target)[0][0] for sign in (1, -1))
        assert slope[0, place] == pytest.approx((high - low) / 2e-2, abs=2e-4)


def test_the_search_comes_nearer_to_a_reference_than_any_stock_voice(
    enrolment: Enrolment, tuner: Tuner, space: Mapping[str, Floats]
) -> None:
    hidden = np.random.default_rng(6).normal(0, 0.8, (1, 40)).astype(np.float32)
    prosody = space["prosody_stock"].mean(axis=0)
    target = np.zeros(256, dtype=np.float32)
    for axis in range(256):  # the tuner's own prediction for a voice that is no stock voice
        unit = np.zeros(256, dtype=np.float32)
        unit[axis] = 1
        target[axis] = tuner.similarity(tuner_inputs(hidden, prosody, 160.0), unit)[0][0]
    timbre = enrolment.timbre(target, 160.0)
    found = np.linalg.lstsq(space["timbre_axes"].T, timbre - space["timbre_mean"], rcond=None)[
        0
    ].astype(np.float32)
    stock = tuner.similarity(tuner_inputs(space["timbre_stock"], prosody, 160.0), target)[0].max()
    assert tuner.similarity(tuner_inputs(found[None], prosody, 160.0), target)[0][0] > stock


def held_start(space: Mapping[str, Floats], hold: float) -> Start:
    styles = StockStyles(assets.load_arrays(assets.STOCK_VOICES))
    timbre, prosody = coordinates(styles.typical("ff_siwis"), space)
    return Start(tuner_inputs(timbre[None], prosody, 180.0)[0], timbre, hold)


def test_a_firmer_hold_keeps_a_timbre_nearer_to_its_home_and_farther_from_the_speaker(
    tuner: Tuner, space: Mapping[str, Floats]
) -> None:
    target = np.abs(np.random.default_rng(8).normal(0, 1, 256)).astype(np.float32)
    target /= np.linalg.norm(target)
    starts = [held_start(space, hold) for hold in (0.02, 0.1, 0.5)]
    points, losses = descend(tuner, starts, target)
    distances = [
        float(((point - start.home) ** 2).mean())
        for point, start in zip(points, starts, strict=True)
    ]
    cosines = [
        start.hold * distance - loss
        for start, distance, loss in zip(starts, distances, losses, strict=True)
    ]
    assert distances[0] > distances[1] > distances[2] > 0
    assert (
        cosines[0]
        > cosines[1]
        > cosines[2]
        > tuner.similarity(starts[0].inputs[None], target)[0][0]
    )


def test_searches_side_by_side_find_what_each_finds_alone(
    tuner: Tuner, space: Mapping[str, Floats]
) -> None:
    target = np.full(256, 1 / 16, dtype=np.float32)
    starts = [held_start(space, 0.05), held_start(space, 0.3)]
    together, _ = descend(tuner, starts, target)
    alone = np.concatenate([descend(tuner, [start], target)[0] for start in starts])
    assert together == pytest.approx(alone, abs=1e-3)


def test_a_recoloured_style_keeps_its_prosody() -> None:
    style = np.arange(256, dtype=np.float32)
    added = np.ones(128, dtype=np.float32)
    assert Recolouring(1, added).of(style)[:128] == pytest.approx(style[:128] + 1)
    assert Recolouring(0.25, added).of(style)[128:] == pytest.approx(style[128:])


def test_every_voice_of_the_style_space_has_a_register(space: Mapping[str, Floats]) -> None:
    assert len(SPACE_REGISTERS) == len(space["timbre_stock"])
    styles = StockStyles(assets.load_arrays(assets.STOCK_VOICES))
    for name in styles.packs:  # the packs at hand lie where a voice of their register is recorded
        timbre, _ = coordinates(styles.typical(name), space)
        place = int(((space["timbre_stock"] - timbre) ** 2).sum(axis=1).argmin())
        assert SPACE_REGISTERS[place] == name[1]


@pytest.mark.parametrize(
    ("like", "pitch_hz", "low"), [("m", 185.0, True), ("f", 150.0, False), ("", 120.0, True)]
)
def test_timbre_identifies_a_low_voice_where_pitch_does_not(
    like: str, pitch_hz: float, low: bool
) -> None:
    likeness = np.array(
        [0.6 if register == like else 0.5 for register in SPACE_REGISTERS], dtype=np.float32
    )
    assert is_low_voice(likeness, pitch_hz) is low


def test_a_voice_survives_its_bytes() -> None:
    shifts = {"fr": np.linspace(-1, 1, 128, dtype=np.float32)}
    timbre, cepstra = np.linspace(0, 1, 128, dtype=np.float32), np.ones((3, 24), dtype=np.float32)
    voice = ClonedVoice(
        timbre=timbre, shifts=shifts, low=True, pitch_hz=99.5, bands=43, cepstra=cepstra
    )
    again = voice_from_bytes(voice.to_bytes())
    assert (again.low, again.pitch_hz, again.bands) == (True, 99.5, 43)
    assert again.timbre is not None
    assert np.array_equal(again.timbre, timbre)
    assert np.array_equal(again.shifts["fr"], shifts["fr"])


def test_the_inverse_transform_gives_the_samples_back() -> None:
    samples = vowel(150, 0.5)
    assert np.abs(istft(stft(samples, 1024, 240), 240, len(samples)) - samples).max() < 1e-4


def test_the_filter_moves_the_spectrum_towards_the_reference_and_keeps_the_loudness() -> None:
    reference, source = vowel(120, 4, (500, 1500, 2400)), vowel(130, 2, (750, 1100, 2900))
    bands = envelope.bands_within(12_000)
    model = envelope.cepstra_of(envelope.power_of(reference), bands)
    filtered, _ = EnvelopeFilter(model, bands).apply(
        source, np.ones(400, dtype=bool), None, envelope.Shares(1.0, 0.85)
    )

    def distance(samples: Samples) -> float:
        own = envelope.cepstra_of(envelope.power_of(samples), bands)
        return float(np.linalg.norm((own.mean(axis=0) - model.mean(axis=0))[1:]))

    assert distance(filtered) < 0.6 * distance(source)
    assert integrated_lufs([filtered], RATE) == pytest.approx(
        integrated_lufs([source], RATE), abs=0.2
    )


def test_similar_frames_are_changed_alike() -> None:
    generator = np.random.default_rng(5)
    reference = vowel(120, 4, (500, 1500, 2400)) + generator.normal(0, 0.02, 4 * RATE)
    source = vowel(130, 2, (750, 1100, 2900)) + generator.normal(0, 0.02, 2 * RATE)
    bands = envelope.bands_within(12_000)
    model = envelope.cepstra_of(envelope.power_of(reference.astype(np.float32)), bands)
    own = envelope.cepstra_of(envelope.power_of(source.astype(np.float32)), bands)
    active = np.ones(len(own), dtype=bool)
    filter_ = EnvelopeFilter(model, bands)
    wanted = filter_._wanted(own, active, envelope.statistics_of(own, active))
    features = envelope._features(own, envelope.statistics_of(own, active))
    alone = filter_._targets(features) - own
    assert wanted.std(axis=0).mean() < 0.7 * alone.std(axis=0).mean()
    np.testing.assert_allclose(wanted.mean(axis=0), alone.mean(axis=0), atol=0.3)


def test_what_one_frame_needs_moves_its_lowest_harmonics_least() -> None:
    filter_ = EnvelopeFilter(np.random.default_rng(8).normal(size=(9, 24)).astype(np.float32), 64)
    active, nothing = np.ones(9, dtype=bool), np.zeros(24, dtype=np.float32)
    tilt = np.zeros((9, 24), dtype=np.float32)
    tilt[:, 1] = 1  # most at both ends
    own = filter_._gain(active, nothing, tilt, np.ones(9, dtype=np.float32))[4]
    lasting = filter_._gain(active, tilt[0], 0 * tilt, np.ones(9, dtype=np.float32))[4]
    assert own[0] == pytest.approx(0.3 * lasting[0])
    assert own[-1] == pytest.approx(lasting[-1])


def test_a_later_window_has_the_lasting_change_of_the_whole_sentence() -> None:
    bands = envelope.bands_within(12_000)
    model = envelope.cepstra_of(envelope.power_of(vowel(120, 4, (500, 1500, 2400))), bands)
    filter_, shares = EnvelopeFilter(model, bands), envelope.Shares(1, 0)
    first, later = vowel(130, 2, (750, 1100, 2900)), vowel(130, 1, (300, 2200, 3000))
    voiced = np.ones(400, dtype=bool)
    _, before = filter_.apply(first, voiced, None, shares)
    _, both = filter_.apply(later, voiced, before, shares)
    assert before.count < both.count
    alone = filter_.apply(later, voiced, None, shares)[1]
    found, own = both.wanted / both.count, alone.wanted / alone.count
    assert np.linalg.norm(found - before.wanted / before.count) < np.linalg.norm(
        own - before.wanted / before.count
    )


def test_a_telephone_recording_is_detected() -> None:
    spectrum = np.fft.rfft(vowel(120, 4) * np.hanning(4 * RATE))
    spectrum[np.fft.rfftfreq(4 * RATE, 1 / RATE) > 3600] = 0
    telephone = np.fft.irfft(spectrum).astype(np.float32)
    telephone += np.random.default_rng(7).normal(0, 1e-6, len(telephone)).astype(np.float32)
    assert envelope.bandwidth_hz(telephone) == pytest.approx(3600, abs=250)


def test_a_muffled_reference_still_gives_a_filter() -> None:
    source = vowel(130, 1)
    bands = envelope.bands_within(900)
    model = envelope.cepstra_of(envelope.power_of(vowel(120, 3)), bands)
    filtered, _ = EnvelopeFilter(model, bands).apply(
        source, np.ones(200, dtype=bool), None, envelope.Shares(1, 1)
    )
    assert np.isfinite(filtered).all()


def test_one_speaker_is_nearer_to_himself_than_to_another() -> None:
    encoder = assets.load_speaker_encoder()

    def embedding(pitch_hz: float, formants_hz: tuple[float, ...], seconds: float) -> Floats:
        return encoder.embed(vowel(pitch_hz, seconds, formants_hz)[::2] * np.float32(0.5))

    low, again = embedding(100, (500, 1500, 2400), 2), embedding(103, (500, 1500, 2400), 3)
    high = embedding(220, (850, 1900, 3100), 2)
    assert np.linalg.norm(low) == pytest.approx(1, abs=1e-3)
    assert low @ again > low @ high + 0.1
