"""The meter against its standard: the table of ITU-R BS.1770, and the synthetic cases of EBU Tech 3341."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from services.common.audio.loudness import (
    SILENT_LUFS,
    Floats,
    FrameEnergies,
    energy_of,
    frame_energies,
    frame_samples,
    gated_lufs,
    integrated_lufs,
    k_weighting,
    lufs_of,
    true_peak_db,
    weighted_power,
)

RATES = [16_000, 22_050, 24_000, 44_100, 48_000]


def sine(rate_hz: int, *parts: tuple[float, float], frequency_hz: float = 1000.0) -> Floats:
    """Return a sine, its parts given as peak level in dBFS and seconds."""
    levels = np.concatenate(
        [np.full(round(seconds * rate_hz), 10 ** (level / 20)) for level, seconds in parts]
    )
    times = np.arange(len(levels)) / rate_hz
    return np.asarray(levels * np.sin(2 * np.pi * frequency_hz * times))


def test_at_48_khz_the_filters_are_those_of_the_standard() -> None:
    shelf, high_pass = k_weighting(48_000)
    assert shelf.b == pytest.approx(
        (1.53512485958697, -2.69169618940638, 1.19839281085285), abs=1e-12
    )
    assert shelf.a == pytest.approx((1.0, -1.69065929318241, 0.73248077421585), abs=1e-12)
    assert high_pass.b == (1.0, -2.0, 1.0)
    assert high_pass.a == pytest.approx((1.0, -1.99004745483398, 0.99007225036621), abs=1e-12)


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("frequency_hz", [60, 200, 997, 2000, 4000])
def test_the_filters_weigh_a_frequency_the_same_at_every_rate(
    rate_hz: int, frequency_hz: float
) -> None:
    def weight_db(rate_hz: int) -> float:
        z = np.exp(-2j * np.pi * frequency_hz / rate_hz * np.arange(3))
        return sum(
            20 * math.log10(abs(np.dot(each.b, z) / np.dot(each.a, z)))
            for each in k_weighting(rate_hz)
        )

    assert weight_db(rate_hz) == pytest.approx(weight_db(48_000), abs=0.15)


@pytest.mark.parametrize("rate_hz", RATES)
def test_a_sine_of_997_hz_at_full_scale_in_one_channel_is_at_minus_3(rate_hz: int) -> None:
    full = sine(rate_hz, (0, 5), frequency_hz=997)
    assert integrated_lufs([full], rate_hz) == pytest.approx(-3.01, abs=0.05)


CASES = {  # of EBU Tech 3341, table 1: level and length of each part, both channels; what an EBU meter reads
    "1": (((-23, 20),), -23),
    "2": (((-33, 20),), -33),
    "3": (((-36, 10), (-23, 60), (-36, 10)), -23),
    "4": (((-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)), -23),
    "5": (((-26, 20), (-20, 20.1), (-26, 20)), -23),
}


@pytest.mark.parametrize("rate_hz", [24_000, 48_000])
@pytest.mark.parametrize("case", CASES)
def test_the_gated_cases_of_the_ebu_read_as_they_should(case: str, rate_hz: int) -> None:
    parts, expected = CASES[case]
    signal = sine(rate_hz, *parts)
    energies = 2 * frame_energies(signal, rate_hz)  # left and right are equal
    assert gated_lufs(energies) == pytest.approx(expected, abs=0.1)


def test_two_channels_are_3_lu_louder_than_one_of_them() -> None:
    signal = sine(24_000, (-23, 5))
    assert integrated_lufs([signal, signal], 24_000) == pytest.approx(-23, abs=0.1)
    assert integrated_lufs([signal], 24_000) == pytest.approx(-26.01, abs=0.1)


PEAKS = [
    (4, 0.0, 0.5, -6.0),
    (4, 45.0, 0.5, -6.0),
    (6, 60.0, 0.5, -6.0),
    (8, 67.5, 0.5, -6.0),
    (4, 45.0, 1.41, 3.0),
]


@pytest.mark.parametrize(("divisor", "phase_degrees", "amplitude", "expected_db"), PEAKS)
def test_the_true_peaks_of_the_ebu_read_as_they_should(
    divisor: int, phase_degrees: float, amplitude: float, expected_db: float
) -> None:
    """Cases 15 to 19: sines at a fraction of the rate, whose samples miss the peak; +0.2 and -0.4 dB are allowed."""
    places = np.arange(4_800)
    signal = amplitude * np.sin(2 * np.pi * places / divisor + np.radians(phase_degrees))
    fade = np.minimum(1, np.minimum(places, places[::-1]) / 480)
    assert expected_db - 0.4 < true_peak_db(signal * fade) < expected_db + 0.2


def test_silence_has_no_loudness_and_no_peak() -> None:
    silence = np.zeros(24_000)
    assert integrated_lufs([silence], 24_000) == SILENT_LUFS
    assert true_peak_db(silence) == -math.inf
    assert energy_of(lufs_of(0.25)) == pytest.approx(0.25)


def test_audio_shorter_than_a_block_is_measured_as_one_block() -> None:
    short = sine(24_000, (-20, 0.2))
    padded = np.pad(short, (0, round(0.2 * 24_000)))
    assert integrated_lufs([short], 24_000) == pytest.approx(
        integrated_lufs([padded], 24_000), abs=0.01
    )


def test_the_frames_have_the_energies_that_a_filter_without_frames_gives() -> None:
    samples = np.random.default_rng(1).normal(0, 0.1, 24_000)
    weighted = samples
    for each in k_weighting(24_000):
        weighted = lfilter(each.b, each.a, weighted)
    expected = np.mean(np.reshape(weighted, (-1, frame_samples(24_000))) ** 2, axis=1)
    assert frame_energies(samples, 24_000) == pytest.approx(expected, rel=1e-9)


@settings(deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=8), st.integers(0, 2**31))
def test_frames_that_come_in_batches_have_the_same_energies_to_the_last_bit(
    batches: list[int], seed: int
) -> None:
    frames = np.random.default_rng(seed).normal(0, 0.1, (sum(batches), 240)).astype(np.float32)
    meter = FrameEnergies(24_000)
    parts = [meter.of(batch) for batch in np.split(frames, np.cumsum(batches)[:-1])]
    assert np.concatenate(parts).tobytes() == frame_energies(frames.reshape(-1), 24_000).tobytes()


@settings(deadline=None)
@given(st.floats(-30, 12), st.integers(0, 2**31))
def test_a_gain_moves_the_loudness_by_as_much(gain_db: float, seed: int) -> None:
    samples = np.random.default_rng(seed).normal(0, 0.05, 24_000)
    louder = integrated_lufs([samples * 10 ** (gain_db / 20)], 24_000)
    assert louder - integrated_lufs([samples], 24_000) == pytest.approx(gain_db, abs=1e-6)


@pytest.mark.parametrize("hz", [93.75, 984.375, 3000.0, 7500.0])
def test_the_response_at_a_frequency_is_the_loudness_of_a_sine_of_it(hz: float) -> None:
    response = weighted_power(24_000, 1024)[round(hz * 1024 / 24_000)]
    sine = np.sin(2 * np.pi * hz * np.arange(48_000) / 24_000)
    assert lufs_of(response / 2) == pytest.approx(integrated_lufs([sine], 24_000), abs=0.05)
