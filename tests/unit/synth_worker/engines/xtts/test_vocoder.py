"""The streaming vocoder against coqui-tts's own, which renders whole sentences."""

import os
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from services.synth_worker.engines.xtts.vocoder.layers import Convolution
from services.synth_worker.engines.xtts.vocoder.stream import Vocoder, VocoderStream
from services.synth_worker.engines.xtts.weights.imports import HifiDecoder

WIDTH = 24
TOLERANCE = 2e-5  # of full scale
PIECES = st.lists(st.integers(0, 24), min_size=1, max_size=8)


def made(seed: int = 0, **sizes: Any) -> Any:
    """Return a stock vocoder: few channels, and by default the released kernels, dilations and rates."""
    torch.manual_seed(seed)
    decoder = HifiDecoder(
        **{"decoder_input_dim": WIDTH, "upsample_initial_channel_decoder": 32, **sizes}
    ).eval()
    _enliven(decoder.waveform_decoder)
    return decoder.requires_grad_(requires_grad=False)


@torch.no_grad()
def _enliven(network: Any) -> None:
    """Make the audio loud and dependent on the latents; untrained, its biases dominate, which hides errors."""
    for layer in [
        *network.ups,
        *(one for block in network.resblocks for one in (*block.convs1, *block.convs2)),
    ]:
        layer.parametrizations.weight.original0 *= 2.5
    network.conv_pre.weight *= 2.5
    heard: list[Tensor] = []
    hook = network.conv_post.register_forward_hook(lambda *call: heard.append(call[2]))
    network(torch.randn((1, WIDTH, 40)), g=speaker_of(0))
    hook.remove()
    network.conv_post.weight *= 0.3 / heard[0].std()


def speaker_of(seed: int) -> Tensor:
    return functional.normalize(
        torch.randn((1, 512, 1), generator=torch.Generator().manual_seed(seed)), dim=1
    )


STOCK = made()
DEVICE = os.environ.get("XTTS_TEST_DEVICE", "cpu")
VOCODER = Vocoder(STOCK, device=DEVICE)
QUANTA = Vocoder(STOCK, device=DEVICE, quantum=8)
DOUBLE = made().double()


def latents_of(count: int, seed: int = 0) -> Tensor:
    return torch.randn((count, WIDTH), generator=torch.Generator().manual_seed(seed))


def stock(latents: Tensor, speaker: Tensor, speed: float = 1.0, decoder: Any = STOCK) -> Tensor:
    rows = latents.unsqueeze(0)
    if speed != 1:
        rows = functional.interpolate(
            rows.transpose(1, 2), scale_factor=1 / speed, mode="linear"
        ).transpose(1, 2)
    samples: Tensor = decoder(rows, g=speaker).flatten()
    return samples


def said(
    vocoder: Vocoder, stream: VocoderStream, latents: Tensor, pieces: Sequence[int]
) -> list[Tensor]:
    parts = latents.split_with_sizes(list(pieces))
    return [
        vocoder.feed([stream], [part], [place == len(parts) - 1])[0]
        for place, part in enumerate(parts)
    ]


def check(found: Tensor, wanted: Tensor, tolerance: float = TOLERANCE) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance)


@pytest.fixture
def rows_convolved(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows that went out of every convolution; each call is still the real one."""
    counted: list[int] = []
    convolve = Convolution._convolve

    def counting(self: Convolution, image: Tensor) -> Tensor:
        out = convolve(self, image)
        counted.append(out.shape[0] * out.shape[3])
        return out

    monkeypatch.setattr(Convolution, "_convolve", counting)
    return counted


@settings(max_examples=25, deadline=None)
@given(pieces=PIECES.filter(any), speed=st.sampled_from([1.0, 1.0, 0.5, 0.8, 1.25, 1.7]))
def test_audio_in_chunks_is_the_whole_render_at_any_chunking_and_speed(
    pieces: list[int], speed: float
) -> None:
    latents = latents_of(sum(pieces) + 2)
    samples = said(
        VOCODER, VOCODER.open(speaker_of(1), speed), latents, [*pieces[:-1], pieces[-1] + 2]
    )
    check(torch.cat(samples), stock(latents, speaker_of(1), speed))


@pytest.mark.parametrize("count", [1, 2, 3, 40])
def test_a_sentence_of_any_length_may_come_code_by_code_and_end_with_nothing_new(
    count: int,
) -> None:
    latents = latents_of(count)
    samples = said(VOCODER, VOCODER.open(speaker_of(1)), latents, [1] * count + [0])
    check(torch.cat(samples), stock(latents, speaker_of(1)))


def test_a_sentence_of_no_codes_has_no_audio() -> None:
    assert len(VOCODER.feed([VOCODER.open(speaker_of(1))], [latents_of(0)], [True])[0]) == 0


def test_the_audio_depends_on_the_latents() -> None:
    one, other = (stock(latents_of(12, seed), speaker_of(1)) for seed in range(2))
    assert (one - other).std() > 0.5 * one.std() > 0.05


def test_each_speaker_differs_as_in_stock() -> None:
    latents = latents_of(12)
    wanted = [stock(latents, speaker_of(seed)) for seed in range(3)]
    assert (wanted[0] - wanted[1]).abs().max() > 0.01
    for seed in range(3):
        check(
            torch.cat(said(VOCODER, VOCODER.open(speaker_of(seed)), latents, [8, 4])), wanted[seed]
        )


@settings(max_examples=12, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=2, max_size=5),
    starts=st.lists(st.integers(0, 3), min_size=5),
)
def test_streams_fed_together_sound_as_each_alone(lengths: list[int], starts: list[int]) -> None:
    latents = [latents_of(count, seed) for seed, count in enumerate(lengths)]
    streams = [VOCODER.open(speaker_of(seed)) for seed in range(len(lengths))]
    heard: list[list[Tensor]] = [[] for _ in lengths]
    for turn in range(16):
        places = [p for p in range(len(lengths)) if 0 <= (turn - starts[p]) * 4 < lengths[p]]
        now = [latents[p][(turn - starts[p]) * 4 :][:4] for p in places]
        over = [(turn - starts[p]) * 4 + 4 >= lengths[p] for p in places]
        for place, samples in zip(
            places, VOCODER.feed([streams[p] for p in places], now, over), strict=True
        ):
            heard[place].append(samples)
    for seed, pieces in enumerate(heard):
        check(torch.cat(pieces), stock(latents[seed], speaker_of(seed)))


@pytest.mark.usefixtures("promised_on_a_cpu")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_stream_is_the_same_to_the_last_bit_whatever_streams_share_its_batch(
    dtype: torch.dtype,
) -> None:
    vocoder = Vocoder(STOCK, dtype=dtype)
    alone = said(vocoder, vocoder.open(speaker_of(0)), latents_of(24), [8, 12, 4])
    streams = [vocoder.open(speaker_of(seed)) for seed in range(3)]
    for place, wanted in zip((slice(0, 8), slice(8, 20), slice(20, 24)), alone, strict=True):
        latents = [latents_of(24)[place], latents_of(24, 1)[place], latents_of(24, 2)[place]]
        assert torch.equal(vocoder.feed(streams, latents, [place.stop == 24] * 3)[0], wanted)


def test_streams_that_are_as_far_are_computed_as_one(rows_convolved: list[int]) -> None:
    streams = [VOCODER.open(speaker_of(seed)) for seed in range(3)]
    VOCODER.feed(streams[:1], [latents_of(8)], [False])
    alone, rows_convolved[:] = list(rows_convolved), []
    VOCODER.feed(
        [VOCODER.open(speaker_of(0)), *streams[1:]],
        [latents_of(8, seed) for seed in range(3)],
        [False] * 3,
    )
    assert rows_convolved == [rows * 3 for rows in alone]


@pytest.mark.parametrize("count", range(6, 20))
def test_samples_come_as_soon_as_the_last_frame_that_they_depend_on(count: int) -> None:
    heard = len(VOCODER.feed([VOCODER.open(speaker_of(1))], [latents_of(count)], [False])[0])
    with torch.inference_mode(mode=False), torch.enable_grad():
        latents = latents_of(40).double().requires_grad_()
        samples = stock(latents, speaker_of(1).double(), decoder=DOUBLE)
        (of_the_last,) = torch.autograd.grad(samples[heard - 1], latents, retain_graph=True)
        (of_the_next,) = torch.autograd.grad(samples[heard], latents)
    assert not of_the_last[count:].any()
    assert of_the_next[count:].any()


def test_the_lag_is_as_stated() -> None:
    stream = VOCODER.open(speaker_of(1))
    heard = 0
    for count in (4, 8, 8, 24):
        heard += len(VOCODER.feed([stream], [latents_of(count)], [False])[0])
        frames = stream.frames._resamplers[-1]._given
        assert heard == frames * VOCODER.hop_samples - VOCODER.lookahead_samples


def test_every_row_is_convolved_once_however_the_sentence_comes(rows_convolved: list[int]) -> None:
    latents = latents_of(60)
    said(VOCODER, VOCODER.open(speaker_of(1)), latents, [60])
    whole, rows_convolved[:] = sum(rows_convolved), []
    said(VOCODER, VOCODER.open(speaker_of(1)), latents, [1, 2, 3, 8] + [1] * 46)
    assert sum(rows_convolved) == whole


def test_the_state_does_not_grow_with_the_sentence() -> None:
    stream = VOCODER.open(speaker_of(1))
    kept = set()
    for _ in range(20):
        VOCODER.feed([stream], [latents_of(8)], [False])
        kept.add((stream.kept.untyped_storage().nbytes(), *stream.shapes))
    assert len(kept) == 1


def test_the_same_feeds_are_the_same_to_the_last_bit() -> None:
    latents = latents_of(30)
    once, again = (
        torch.cat(said(VOCODER, VOCODER.open(speaker_of(1)), latents, [8, 12, 10]))
        for _ in range(2)
    )
    assert torch.equal(once, again)


def test_the_stock_vocoder_stays_as_it_was() -> None:
    decoder, fresh = made(3), made(3)
    vocoder = Vocoder(decoder)
    said(vocoder, vocoder.open(speaker_of(1)), latents_of(9), [9])
    assert decoder.state_dict().keys() == fresh.state_dict().keys()
    assert all(
        torch.equal(value, fresh.state_dict()[name]) for name, value in decoder.state_dict().items()
    )


def test_without_onednn_as_on_a_gpu_the_audio_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    vocoder = Vocoder(STOCK, device=DEVICE)
    streams = [vocoder.open(speaker_of(seed)) for seed in range(2)]
    heard = [
        vocoder.feed(streams, [latents_of(10, 0), latents_of(10, 1)], [over] * 2)
        for over in (False, True)
    ]
    for seed in range(2):
        latents = latents_of(10, seed)
        check(
            torch.cat([heard[0][seed], heard[1][seed]]),
            stock(torch.cat([latents, latents]), speaker_of(seed)),
        )


@pytest.mark.parametrize(
    "sizes",
    [
        {"cond_d_vector_in_each_upsampling_layer": False},
        {"upsample_rates_decoder": [3, 2], "upsample_kernel_sizes_decoder": [5, 4]},
        {
            "resblock_kernel_sizes_decoder": [5, 3],
            "resblock_dilation_sizes_decoder": [[1, 2, 4], [2, 3, 7]],
        },
    ],
)
def test_a_vocoder_of_other_sizes_is_streamed_as_well(sizes: dict[str, Any]) -> None:
    decoder = made(4, **sizes)
    vocoder, latents = Vocoder(decoder, device=DEVICE), latents_of(25)
    samples = said(vocoder, vocoder.open(speaker_of(1)), latents, [1, 0, 8, 7, 9])
    check(torch.cat(samples), stock(latents, speaker_of(1), decoder=decoder))


def test_in_bfloat16_noise_stays_35_db_below_the_audio() -> None:
    vocoder = Vocoder(STOCK, dtype=torch.bfloat16, device=DEVICE)
    latents = latents_of(30)
    wanted = stock(latents, speaker_of(1))
    noise = torch.cat(said(vocoder, vocoder.open(speaker_of(1)), latents, [8, 12, 10])) - wanted
    assert noise.norm() < wanted.norm() * 10 ** (-35 / 20)


@settings(max_examples=12, deadline=None)
@given(pieces=PIECES.filter(any), speed=st.sampled_from([1.0, 0.5, 1.7]))
def test_chunks_of_few_sizes_as_on_a_gpu_give_the_whole_render(
    pieces: list[int], speed: float
) -> None:
    latents = latents_of(sum(pieces) + 2)
    samples = said(
        QUANTA, QUANTA.open(speaker_of(1), speed), latents, [*pieces[:-1], pieces[-1] + 2]
    )
    check(torch.cat(samples), stock(latents, speaker_of(1), speed))


def test_streams_at_different_points_are_computed_as_one_on_a_gpu(
    rows_convolved: list[int],
) -> None:
    streams = [QUANTA.open(speaker_of(seed)) for seed in range(3)]
    for index, stream in enumerate(streams):
        for _ in range(2 + index):
            QUANTA.feed([stream], [latents_of(24)], [False])
    rows_convolved[:] = []
    QUANTA.feed(streams[:1], [latents_of(24)], [False])
    alone, rows_convolved[:] = list(rows_convolved), []
    QUANTA.feed(streams[1:], [latents_of(24, seed) for seed in range(2)], [False] * 2)
    assert len(rows_convolved) == len(alone)
    assert rows_convolved == [2 * rows for rows in alone]


def test_after_the_warm_up_a_sentence_has_no_shape_that_was_not_rendered_before() -> None:
    vocoder = Vocoder(STOCK, device=DEVICE, quantum=8)
    vocoder.prepare(2, (8, 12, 16, 20, 24))
    known = set(vocoder.rendered)
    for count in range(40, 64):
        stream, other = (vocoder.open(speaker_of(seed)) for seed in range(2))
        latents, begin = latents_of(count), 0
        for size in (8, 12, 16, count - 36):
            part = latents[begin : begin + size]
            begin += size
            vocoder.feed([stream, other], [part, part], [begin == count] * 2)
    assert set(vocoder.rendered) == known
