"""A GPU's steps without one: on fake tensors of a GPU, and by counting operations and waits."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode

from benchmarks.xtts_gpu.counting import Operations
from services.synth_worker.engines.xtts.decoder.batch import BatchDecoder, Decoding
from services.synth_worker.engines.xtts.decoder.sampling import Sampling
from services.synth_worker.engines.xtts.vocoder.stream import Vocoder

ROWS = 4
ATEN = torch.ops.aten


class WithoutGuard(TorchFunctionMode):
    """Calls operations directly whose Python bindings select the GPU first, which a torch without CUDA cannot."""

    def __torch_function__(
        self, function: Any, types: Any, arguments: Any = (), named: Any = None
    ) -> Any:
        named = named or {}
        name = getattr(function, "__name__", "")
        if name == "__getitem__":
            return _chosen(*arguments)
        if name == "__setitem__":
            rows, index, values = arguments
            chosen = _chosen(rows, index)
            if isinstance(values, Tensor):
                return ATEN.copy_.default(chosen, values)
            return ATEN.fill_.Scalar(chosen, values)
        if name == "contiguous":
            layout = named.get("memory_format", torch.contiguous_format)
            return ATEN.clone.default(arguments[0], memory_format=layout)
        if name in ("to", "float", "long"):
            tensor, *wanted = arguments
            wanted += [
                *named.values(),
                *{"float": [torch.float32], "long": [torch.int64]}.get(name, []),
            ]
            kind = next((one for one in wanted if isinstance(one, torch.dtype)), tensor.dtype)
            place = next((one for one in wanted if isinstance(one, torch.device)), tensor.device)
            like = next((one for one in wanted if isinstance(one, Tensor)), None)
            if like is not None:
                kind, place = like.dtype, like.device
            return ATEN._to_copy.default(tensor, dtype=kind, device=place)
        return function(*arguments, **named)


def _chosen(rows: Tensor, index: Any) -> Tensor:
    dim = 0
    for one in index if isinstance(index, tuple) else (index,):
        if one is None:
            rows = ATEN.unsqueeze.default(rows, dim)
        elif isinstance(one, slice):
            rows = ATEN.slice.Tensor(rows, dim, one.start, one.stop, one.step or 1)
        else:
            rows = ATEN.select.int(rows, dim, one)
            continue
        dim += 1
    return rows


@pytest.fixture(scope="module")
def decoder(gpt: Any) -> BatchDecoder:
    return BatchDecoder(gpt, "bfloat16", slots=ROWS)


def opened(decoder: BatchDecoder, count: int, length: int = 30) -> list[Decoding]:
    voice = decoder.voice_memory(torch.zeros((1, 32, decoder.width)))
    return [decoder.open(voice, [20] * (length + seed), Sampling(), seed) for seed in range(count)]


def closed(decoder: BatchDecoder, sentences: list[Decoding]) -> None:
    for sentence in sentences:
        decoder.close(sentence)


WAITS: list[Callable[[Tensor], Any]] = [
    lambda x: x.sum().item(),
    lambda x: int(x[0]),
    lambda x: float(x.max()),
    lambda x: 1 if x.any() else 0,
    lambda x: x[x > 1],
    lambda x: x.clone().index_put_((x > 1,), torch.zeros(())),
    lambda x: x.nonzero(),
    lambda x: x.masked_select(x > 1),
    lambda x: x.unique(),
    lambda x: torch.equal(x, x + 1),
    lambda x: torch.where(x > 1),
]


@pytest.mark.parametrize("number", range(len(WAITS)))
@pytest.mark.parametrize("inference", [True, False])
def test_an_operation_that_waits_for_a_value_is_counted(number: int, inference: bool) -> None:
    with torch.inference_mode(inference):
        values = torch.arange(4.0)
        with Operations() as counted:
            WAITS[number](values)
    assert counted.waits >= 1, counted.by_name


def test_an_operation_that_leaves_its_values_on_the_device_is_not_counted_as_a_wait() -> None:
    values = torch.arange(4.0)
    with Operations() as counted:
        values[torch.tensor([1, 2])] + torch.where(values[:2] > 1, values[:2], 0.0)
        values.clone().masked_fill_(values > 1, 0.0).argmax(-1)
    assert counted.waits == 0, counted.by_name


def test_a_step_launches_as_many_operations_for_all_rows_as_for_one(decoder: BatchDecoder) -> None:
    counts = []
    for rows in (1, ROWS):
        sentences = opened(decoder, rows)
        decoder.step(sentences)
        assert decoder._slots is not None
        with Operations() as counted:
            decoder._slots.step(256)
        counts.append(counted)
        closed(decoder, sentences)
    assert counts[0].by_name == counts[1].by_name
    assert counts[0].waits == 0, "nothing in a recorded step may depend on values on the host"


def test_a_step_builds_its_mask_once_for_all_layers(decoder: BatchDecoder) -> None:
    assert decoder._slots is not None
    with Operations() as counted:
        decoder._slots.step(256)
    assert counted.by_name["le"] == 2, "one comparison of positions, and that of top_p"
    assert counted.by_name["arange"] == 2


def test_a_step_copies_one_table_to_the_device_and_one_back(decoder: BatchDecoder) -> None:
    sentences = opened(decoder, ROWS)
    decoder.step(sentences)
    slots = decoder._slots
    assert slots is not None
    moved: list[tuple[int, ...]] = []
    inputs, codes = slots._inputs.data_ptr(), slots._codes.data_ptr()

    class Copies(Operations):
        def __torch_dispatch__(
            self, function: Any, types: Any, arguments: Any = (), named: Any = None
        ) -> Any:
            name = function.overloadpacket.__name__
            if name == "copy_" and arguments[0].data_ptr() in (inputs, codes):
                moved.append(tuple(arguments[0].shape))
            return super().__torch_dispatch__(function, types, arguments, named)

    with Copies() as counted:
        decoder.step(sentences)
    assert moved == [tuple(slots._inputs.shape), (ROWS,)]
    assert counted.waits == 0
    closed(decoder, sentences)


def test_prefills_of_several_sentences_share_their_products(
    decoder: BatchDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    products: list[int] = []
    transformer = decoder._model.transformer
    forward = type(transformer).__call__
    monkeypatch.setattr(
        type(transformer), "__call__", lambda self, x, attend: products.append(len(x)) or forward(self, x, attend)
    )  # fmt: skip
    sentences = opened(decoder, ROWS)
    products.clear()
    decoder.step(sentences)
    assert products == [sum(len(sentence.prompt) for sentence in sentences)]
    assert all(len(sentence.codes) == 1 for sentence in sentences)
    closed(decoder, sentences)


def test_all_steps_and_renders_keep_to_the_device_of_a_gpu(stock: Any) -> None:
    """Run the path of a GPU on fake tensors, which have its device and no values."""
    with (
        FakeTensorMode(allow_non_fake_inputs=False),
        WithoutGuard(),
        torch.inference_mode(mode=False),
    ):
        gpt = on_fake_gpu(stock.gpt)
        decoder = BatchDecoder(gpt, "bfloat16", slots=ROWS, record=False)
        assert decoder._slots is not None
        for window in decoder._slots.windows:
            latents, codes = decoder._slots.step(min(window, 1024))
            assert latents.device.type == codes.device.type == "cuda"
        latents, codes = decoder._slots._sample_first()
        assert codes.device.type == "cuda"


def test_a_copy_on_a_gpu_is_made_of_a_model_that_has_spoken(stock: Any) -> None:
    spoken = torch.nn.ModuleList([stock.gpt.final_norm])
    spoken.cached_prefix_emb = torch.zeros(1, 2)
    with FakeTensorMode(allow_non_fake_inputs=False), WithoutGuard():
        copied = on_fake_gpu(spoken)
    assert copied.cached_prefix_emb.device.type == "cuda"


def test_renders_keep_to_the_device_of_a_gpu(stock: Any) -> None:
    with (
        FakeTensorMode(allow_non_fake_inputs=False),
        WithoutGuard(),
        torch.inference_mode(mode=False),
    ):
        vocoder = Vocoder(on_fake_gpu(stock.hifigan_decoder), quantum=8)
        stream = vocoder.open(torch.zeros((1, 512, 1), device="cuda"))
        shapes, trims = tuple(stream.shapes), tuple(stream.trims)
        frames = torch.zeros((2, 32, vocoder._width), device="cuda")
        for last in (False, True):
            kept, bias = stream.kept.expand(2, -1), stream.bias.expand(2, -1)
            made = vocoder._run(frames, kept, bias, shapes, trims, last=last)
            assert made.samples.device.type == made.kept.device.type == "cuda"


def on_fake_gpu(module: Any) -> Any:
    """Return a copy of a module whose tensors are fake tensors of a GPU."""
    memo: dict[int, Any] = {}
    kept = [  # such as the prefix of the last sentence that stock coqui-tts spoke
        value
        for part in module.modules()
        for value in vars(part).values()
        if isinstance(value, Tensor)
    ]
    for tensor in (*module.parameters(), *module.buffers(), *kept):
        empty = torch.empty(tensor.shape, dtype=tensor.dtype, device="cuda")
        is_weight = isinstance(tensor, torch.nn.Parameter)
        memo[id(tensor)] = torch.nn.Parameter(empty, requires_grad=False) if is_weight else empty
    return copy.deepcopy(module, memo)
