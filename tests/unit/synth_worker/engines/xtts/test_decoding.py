"""Our decoding against stock coqui-tts, code by code and latent by latent."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from services.synth_worker.engines.xtts.decoder.batch import BatchDecoder, Decoding
from services.synth_worker.engines.xtts.decoder.sampling import Sampling
from tests.support.xtts_checkpoint import with_outliers

TEXTS = [
    [20 + (7 * place + length) % 90 for place in range(length)]
    for length in (9, 60, 22, 100, 36, 14)
]
SAMPLED, GREEDY = Sampling(), Sampling(greedy=True)
FREE = Sampling(temperature=1.6, top_k=400, top_p=0.97, repetition_penalty=1.5)
MakeDecoder = Callable[..., BatchDecoder]


def prompt(stock: Any, seed: int = 0) -> Tensor:
    sound = torch.randn((1, 22_050 * 5), generator=torch.Generator().manual_seed(seed)) * 0.1
    latents: Tensor = stock.get_gpt_cond_latents(sound, 22_050, 30, 4)
    return latents


def by_stock(
    stock: Any, voice: Tensor, text: Sequence[int], sampling: Sampling, seed: int
) -> tuple[list[int], Tensor]:
    """Return codes and latents as `Xtts.inference` makes them: a generation, and then the whole model once more."""
    torch.manual_seed(seed)
    ids = torch.tensor([text])
    codes = stock.gpt.generate(
        cond_latents=voice,
        text_inputs=ids,
        do_sample=not sampling.greedy,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        temperature=sampling.temperature,
        repetition_penalty=sampling.repetition_penalty,
        num_return_sequences=1,
        num_beams=1,
        length_penalty=1.0,
        output_attentions=False,
    )
    length = torch.tensor([codes.shape[-1] * stock.gpt.code_stride_len])
    latents = stock.gpt(
        ids,
        torch.tensor([len(text)]),
        codes,
        length,
        cond_latents=voice,
        return_attentions=False,
        return_latent=True,
    )
    return codes[0].tolist(), latents[0]


def finish(decoder: BatchDecoder, sentences: Sequence[Decoding]) -> None:
    while underway := [sentence for sentence in sentences if not sentence.stopped]:
        decoder.step(underway)


@pytest.fixture(scope="module")
def decoder(gpt: Any) -> BatchDecoder:
    return BatchDecoder(gpt, "float32")


@pytest.fixture(params=[None, 8], ids=["growing", "slots"])
def either(request: pytest.FixtureRequest, gpt: Any) -> BatchDecoder:
    """Return the decoder as a CPU runs it, and with the steps of fixed shape of a GPU."""
    return BatchDecoder(gpt, "float32", slots=request.param)


@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED, FREE], ids=["greedy", "sampled", "free"])
def test_a_batch_of_texts_of_all_lengths_gives_the_codes_of_stock(
    stock: Any, either: BatchDecoder, sampling: Sampling
) -> None:
    latents = prompt(stock)
    voice = either.voice_memory(latents)
    sentences = [either.open(voice, text, sampling, seed) for seed, text in enumerate(TEXTS)]
    finish(either, sentences)
    for seed, (text, sentence) in enumerate(zip(TEXTS, sentences, strict=True)):
        codes, wanted = by_stock(stock, latents, text, sampling, seed)
        assert len(codes) > len(text) / 3 - 10
        assert sentence.codes == codes
        assert torch.allclose(torch.stack(sentence.latents).cpu(), wanted, atol=1e-5)


def test_voices_and_samplings_of_their_own_share_a_batch(stock: Any, either: BatchDecoder) -> None:
    cases = [
        (TEXTS[place], (GREEDY, SAMPLED, FREE)[place % 3], prompt(stock, place))
        for place in range(6)
    ]
    sentences = [
        either.open(either.voice_memory(voice), text, sampling, seed)
        for seed, (text, sampling, voice) in enumerate(cases)
    ]
    finish(either, sentences)
    for seed, (sentence, (text, sampling, voice)) in enumerate(zip(sentences, cases, strict=True)):
        assert sentence.codes == by_stock(stock, voice, text, sampling, seed)[0]


@pytest.mark.usefixtures("promised_on_a_cpu")
@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 25)), min_size=2, max_size=7), st.data()
)
def test_sentences_that_join_and_leave_in_mid_flight_say_to_the_last_bit_what_they_say_alone(
    stock: Any,
    decoder: BatchDecoder,
    arrivals: list[tuple[int, int]],
    data: st.DataObject,
) -> None:
    voice = decoder.voice_memory(prompt(stock))
    alone = []
    for seed, (text, _) in enumerate(arrivals):
        sentence = decoder.open(voice, TEXTS[text], SAMPLED, seed)
        finish(decoder, [sentence])
        alone.append(sentence)
    waiting = [(seed, text, step) for seed, (text, step) in enumerate(arrivals)]
    together: dict[int, Decoding] = {}
    for step in range(10_000):
        for seed, text, _ in [entry for entry in waiting if entry[2] <= step]:
            together[seed] = decoder.open(voice, TEXTS[text], SAMPLED, seed)
        waiting = [entry for entry in waiting if entry[2] > step]
        underway = [sentence for sentence in together.values() if not sentence.stopped]
        if underway:
            decoder.step(data.draw(st.permutations(underway)) if step < 10 else underway)
        if not waiting and not underway:
            break
    for seed, sentence in together.items():
        assert sentence.codes == alone[seed].codes
        assert torch.equal(torch.stack(sentence.latents), torch.stack(alone[seed].latents))


def test_a_released_slot_holds_nothing_of_the_sentence_before(stock: Any, gpt: Any) -> None:
    decoder = BatchDecoder(gpt, "float32", slots=1)
    voice = decoder.voice_memory(prompt(stock))
    said = []
    for text in (TEXTS[1], TEXTS[3], TEXTS[1]):
        sentence = decoder.open(voice, text, SAMPLED, 5)
        finish(decoder, [sentence])
        decoder.close(sentence)
        said.append(sentence.codes)
    assert said[0] == said[2] != said[1]
    given_up = decoder.open(voice, TEXTS[3], SAMPLED, 6)
    decoder.step([given_up])
    decoder.close(given_up)
    again = decoder.open(voice, TEXTS[1], SAMPLED, 5)
    finish(decoder, [again])
    assert again.codes == said[0]


def test_a_sentence_that_waits_while_others_continue_is_not_disturbed(
    stock: Any, either: BatchDecoder
) -> None:
    voice = either.voice_memory(prompt(stock))
    waiting, going = (either.open(voice, TEXTS[1], SAMPLED, seed) for seed in (1, 2))
    either.step([waiting, going])
    for _ in range(12):
        either.step([going])
    finish(either, [waiting])
    assert waiting.codes == by_stock(stock, prompt(stock), TEXTS[1], SAMPLED, 1)[0]


@pytest.mark.parametrize("kept", [0, 1, 9])
def test_a_sentence_that_goes_back_keeps_its_beginning_and_redraws_the_rest(
    stock: Any, either: BatchDecoder, kept: int
) -> None:
    voice = either.voice_memory(prompt(stock))
    first, again = (either.open(voice, TEXTS[1], SAMPLED, 1) for _ in range(2))
    finish(either, [first])
    for _ in range(20):
        either.step([again])
    either.go_back(again, kept, seed=99)
    finish(either, [again])
    assert again.codes[:kept] == first.codes[:kept]
    assert again.codes[kept:] != first.codes[kept:]
    repeat = either.open(voice, TEXTS[1], SAMPLED, 1)
    for _ in range(15):
        either.step([repeat])
    either.go_back(repeat, kept, seed=99)
    finish(either, [repeat])
    assert repeat.codes == again.codes
    _, wanted = by_stock_with(stock, prompt(stock), TEXTS[1], again.codes)
    assert torch.allclose(torch.stack(again.latents).cpu(), wanted, atol=1e-5)


def by_stock_with(
    stock: Any, voice: Tensor, text: Sequence[int], codes: Sequence[int]
) -> tuple[Sequence[int], Tensor]:
    """Return the latents that stock computes for given codes."""
    length = torch.tensor([len(codes) * stock.gpt.code_stride_len])
    ids, spoken = torch.tensor([text]), torch.tensor([codes])
    latents = stock.gpt(
        ids, torch.tensor([len(text)]), spoken, length, cond_latents=voice, return_latent=True
    )
    return codes, latents[0]


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.005), ("int8", 0.03)]
)
def test_coarser_weights_stay_near_the_latents_of_stock(
    stock: Any, gpt: Any, precision: Any, tolerance: float
) -> None:
    decoder = BatchDecoder(gpt, precision)
    voice = decoder.voice_memory(prompt(stock))
    sentence = decoder.open(voice, TEXTS[1], SAMPLED, 3)
    finish(decoder, [sentence])
    _, wanted = by_stock_with(stock, prompt(stock), TEXTS[1], sentence.codes)
    reviewed, likeliest = decoder.review(voice, TEXTS[1], sentence.codes)
    assert torch.linalg.norm(reviewed.cpu() - wanted) < tolerance * torch.linalg.norm(wanted)
    assert len(likeliest) == len(sentence.codes)
    error = torch.linalg.norm(torch.stack(sentence.latents).cpu() - wanted) / torch.linalg.norm(
        wanted
    )
    assert error < tolerance


@pytest.mark.parametrize(("precision", "tolerance"), [("bfloat16", 0.01), ("int8", 0.06)])
def test_coarser_weights_stay_near_the_latents_where_features_have_outliers(
    stock: Any, gpt: Any, precision: Any, tolerance: float
) -> None:
    loud = with_outliers(gpt)
    heard: list[Tensor] = []
    for block in loud.gpt.h:
        block.ln_2.register_forward_hook(lambda _module, _taken, given: heard.append(given))
    exact, coarse = BatchDecoder(loud, "float32"), BatchDecoder(loud, precision)
    voice = prompt(stock)
    sentence = exact.open(exact.voice_memory(voice), TEXTS[1], SAMPLED, 3)
    finish(exact, [sentence])
    wanted, _ = exact.review(exact.voice_memory(voice), TEXTS[1], sentence.codes)
    found, _ = coarse.review(coarse.voice_memory(voice), TEXTS[1], sentence.codes)
    assert torch.linalg.norm(found - wanted) < tolerance * torch.linalg.norm(wanted)

    loud(
        torch.tensor([TEXTS[1]]),
        torch.tensor([len(TEXTS[1])]),
        torch.tensor([sentence.codes]),
        torch.tensor([len(sentence.codes) * stock.gpt.code_stride_len]),
        cond_latents=voice,
        return_latent=True,
    )
    outlying = [(states.abs() >= 6).float().mean((0, 1)) for states in heard]
    assert len(outlying) == len(loud.gpt.h)
    for share in outlying:
        assert share.max() > 0.5, "in most positions of every layer"
        assert (share > 0.06).sum() <= 2, "in one feature, besides that which counts the codes"
