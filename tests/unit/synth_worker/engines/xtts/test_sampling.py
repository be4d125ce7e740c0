"""The choice of codes against Hugging Face's own processors."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from services.synth_worker.engines.xtts.decoder.sampling import Noise, Sampling, choose, settings_of

CODES = 1026
SAMPLINGS = st.builds(
    Sampling,
    temperature=st.floats(0.05, 5),
    top_k=st.integers(1, 2 * CODES),
    top_p=st.floats(0.01, 0.999),
    repetition_penalty=st.floats(1, 20),
)


def scores_of(seed: int, spread: float = 4.0) -> Tensor:
    return torch.randn((1, CODES), generator=torch.Generator().manual_seed(seed)) * spread


def chosen_by_hugging_face(scores: Tensor, said: list[int], sampling: Sampling, seed: int) -> int:
    processors = LogitsProcessorList(
        [
            RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty),
            TemperatureLogitsWarper(sampling.temperature),
            TopKLogitsWarper(sampling.top_k),
            TopPLogitsWarper(sampling.top_p),
        ]
    )
    processed = processors(torch.tensor([said]), scores.clone())
    generator = torch.Generator().manual_seed(seed)
    return int(torch.multinomial(processed.softmax(-1), 1, generator=generator))


def mask(said: list[int]) -> Tensor:
    row = torch.zeros((1, CODES), dtype=torch.bool)
    row[0, said] = True
    return row


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(SAMPLINGS, st.integers(0, 2**63 - 1), st.integers(0, 999)), min_size=1, max_size=6
    )
)
def test_rows_with_settings_of_their_own_draw_what_each_would_draw_alone_by_hugging_face(
    rows: list[tuple[Sampling, int, int]],
) -> None:
    said = [[1, 1024, place] for _, _, place in rows]
    scores = torch.cat([scores_of(place) for _, _, place in rows])
    noise = torch.stack([Noise(seed).draw(CODES) for _, seed, _ in rows])
    columns = settings_of([sampling for sampling, _, _ in rows], torch.device("cpu"))
    found = choose(scores, torch.cat([mask(codes) for codes in said]), noise, columns).tolist()
    assert found == [
        chosen_by_hugging_face(scores[row : row + 1], said[row], sampling, seed)
        for row, (sampling, seed, _) in enumerate(rows)
    ]


def test_greedy_rows_take_the_likeliest_new_code() -> None:
    scores = scores_of(5)
    best, second = scores[0].topk(2).indices.tolist()
    columns = settings_of([Sampling(greedy=True, repetition_penalty=20.0)], torch.device("cpu"))
    noise = torch.ones((1, CODES))
    assert choose(scores, mask([1]), noise, columns).tolist() == [best]
    assert choose(scores, mask([best]), noise, columns).tolist() == [second]


def test_without_a_limit_every_code_may_be_drawn() -> None:
    columns = settings_of([Sampling(top_k=0, top_p=1.0, temperature=100.0)], torch.device("cpu"))
    noise = Noise(1)
    drawn = {
        choose(scores_of(1), mask([1]), noise.draw(CODES).unsqueeze(0), columns).item()
        for _ in range(300)
    }
    assert len(drawn) > 150
