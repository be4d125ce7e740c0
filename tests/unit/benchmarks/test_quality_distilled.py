"""Distill-MOS in numpy: its parts against independent ones."""

from io import BytesIO

import numpy as np
import pytest
import torch
from scipy.signal import correlate

from benchmarks.quality import checkpoint, distilled


def test_an_archive_of_pytorch_is_read_without_its_integers() -> None:
    state = {
        "weight": torch.arange(12, dtype=torch.float32).reshape(3, 4)[1:],
        "batches": torch.tensor(7),
    }
    file = BytesIO()
    torch.save({"model": state}, file)
    read = checkpoint.read_archive(file.getvalue(), "model")
    assert list(read) == ["weight"]
    assert read["weight"].tolist() == [[4, 5, 6, 7], [8, 9, 10, 11]]


@pytest.mark.parametrize(("down", "along"), [(1, 1), (2, 1), (2, 2)])
def test_a_convolution_takes_every_other_bin_and_pads_the_frames(down: int, along: int) -> None:
    draw = np.random.default_rng(3)
    x = draw.normal(size=(2, 9, 8)).astype(np.float32)
    filters = draw.normal(size=(4, 2, 3, 3)).astype(np.float32)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1)))
    expected = np.stack([correlate(padded, one, mode="valid")[0] for one in filters])
    found = distilled._convolved(x, filters, down, along)
    assert found == pytest.approx(expected[:, ::down, ::along], abs=1e-5)


@pytest.mark.parametrize(("seconds", "windows"), [(2.0, 1), (7.68, 1), (8.0, 2), (10.68, 4)])
def test_windows_cover_the_speech_at_most_a_second_apart(seconds: float, windows: int) -> None:
    samples = np.arange(int(seconds * 16_000), dtype=np.float32)
    cut = distilled._windows(samples)
    assert len(cut) == windows
    assert {len(window) for window in cut} == {122_880}
    assert cut[-1].max() == samples[-1]


def test_a_constant_amplitude_survives_compression_in_its_phase() -> None:
    samples = np.cos(2 * np.pi * 0.25 * np.arange(1600)).astype(np.float32)
    spectrum = distilled._compressed(samples)
    assert spectrum.shape == (2, 161, 10)
    size = np.hypot(*spectrum)
    assert size[80, 2:-2] == pytest.approx((320 / 4) ** 0.3, rel=1e-3)
    assert size[:70].max() < 0.5 * size[80].max()
