"""Korean numbers before counters, which the tokenizer's own rules refuse."""

from pathlib import Path

import pytest

from services.synth_worker.engines.xtts.text.korean import with_numbers_in_words
from services.synth_worker.engines.xtts.text.tokenizer import TextEncoder


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("0번", "영 번"),
        ("100번", "백 번"),
        ("1,200번", "천이백 번"),
        ("10000번", "만 번"),
        ("123456789번", "억 이천삼백사십오만 육천칠백팔십구 번"),
        ("20000000번", "이천만 번"),
        ("00번", "영영 번"),
        ("2.50번", "이 점 오영 번"),
        ("제 300번과 5번", "제 삼백 번과 오 번"),
    ],
)
def test_numbers_are_written_in_sino_korean_words(text: str, wanted: str) -> None:
    assert with_numbers_in_words(text).replace("일억", "억") == wanted


@pytest.mark.parametrize(
    "text",
    [
        *(f"{number}번" for number in (*range(0, 1001, 50), 10_000, 12_300, 10**9, 10**15, "1,000", "00")),
        "0.00번", "100번 말했다.", "버스 700번을 타세요.", "200번째", "0번부터 100번까지",
    ],
)  # fmt: skip
def test_a_counter_after_any_number_is_spoken(checkpoint_folder: Path, text: str) -> None:
    texts = TextEncoder(checkpoint_folder / "vocab.json")
    assert len(texts.encode(text, "ko", 402)) > 2
    assert texts.spoken_characters(text, "ko") >= len(text)
