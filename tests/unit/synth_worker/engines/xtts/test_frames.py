"""The vocoder's frames, as they come, against torch's interpolation of whole sentences."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from services.synth_worker.engines.xtts.vocoder.frames import FrameResampler

UP, RESAMPLED = 1024 / 256, 24_000 / 22_050
SPEEDS = st.one_of(st.sampled_from([0.5, 0.8, 0.85, 1.0, 1.1, 1.25, 1.5, 2.0]), st.floats(0.5, 2.0))
PIECES = st.lists(st.integers(0, 40), min_size=1, max_size=12)


def latents_of(count: int) -> Tensor:
    return torch.randn((count, 3), generator=torch.Generator().manual_seed(count))


def stock(latents: Tensor, speed: float) -> Tensor:
    """Return the frames of Xtts.inference followed by HifiDecoder.forward."""
    rows = latents.t().unsqueeze(0)
    for factor in (1 / speed, UP, RESAMPLED):
        if factor != 1:
            if int(rows.shape[2] * factor) == 0:  # which torch refuses
                return latents[:0]
            rows = functional.interpolate(rows, scale_factor=[factor], mode="linear")
    return rows.squeeze(0).t()


def streamed(latents: Tensor, speed: float, pieces: list[int]) -> list[Tensor]:
    frames = FrameResampler((1 / speed, UP, RESAMPLED))
    parts = latents.split_with_sizes(pieces)
    return [frames.feed(part, last=place == len(parts) - 1) for place, part in enumerate(parts)]


def is_copied_by_torch(count: int, speed: float) -> bool:
    return speed < 1 and int(count / speed) == count


@given(pieces=PIECES, speed=SPEEDS)
def test_frames_in_chunks_are_those_of_the_whole_sentence(pieces: list[int], speed: float) -> None:
    latents = latents_of(sum(pieces))
    found, wanted = torch.cat(streamed(latents, speed, pieces)), stock(latents, speed)
    assert found.shape == wanted.shape
    if not (is_copied_by_torch(len(latents), speed) and len(latents) >= 8):
        torch.testing.assert_close(found, wanted, rtol=0, atol=2e-6)


@given(count=st.integers(1, 620), speed=SPEEDS)
def test_frames_of_a_whole_sentence_are_stocks_at_any_speed(count: int, speed: float) -> None:
    latents = latents_of(count)
    torch.testing.assert_close(
        streamed(latents, speed, [count])[0], stock(latents, speed), rtol=0, atol=2e-6
    )


@pytest.mark.parametrize(("count", "speed"), [(10, 0.95), (18, 0.95), (40, 0.98)])
def test_a_short_sentence_slowed_a_little_in_chunks_is_within_one_latent_of_stock(
    count: int, speed: float
) -> None:
    latents = torch.arange(count, dtype=torch.float32).unsqueeze(1).expand(-1, 3)
    found = torch.cat(streamed(latents, speed, [count - 2, 2]))
    wanted = stock(latents, speed)
    assert found.shape == wanted.shape
    assert 1e-3 < (found - wanted).abs().max() < 1


@pytest.mark.parametrize("speed", [1.0, 2.0, 0.5, 0.8])
def test_a_frame_comes_as_soon_as_the_latents_that_it_is_made_of(speed: float) -> None:
    latents = latents_of(60)
    for count in range(12, 40):
        given_now = len(torch.cat(streamed(latents, speed, [count, 60 - count])[:1]))
        other = latents.clone()
        other[count:] += 1
        changed = (stock(latents, speed) != stock(other, speed)).any(dim=1).nonzero()
        assert given_now == int(changed[0])


def test_the_state_does_not_grow_with_the_sentence() -> None:
    frames = FrameResampler((1 / 0.7, UP, RESAMPLED))
    kept = []
    for _ in range(50):
        frames.feed(latents_of(20), last=False)
        kept.append(
            sum(
                len(resampler._kept)
                for resampler in frames._resamplers
                if resampler._kept is not None
            )
        )
    assert max(kept) <= 9
