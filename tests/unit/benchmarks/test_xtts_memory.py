"""The computed GPU memory is what the decoder allocates."""

from pathlib import Path

from benchmarks.xtts_memory import RELEASED, slot_mib, weights_mib
from services.synth_worker.engines.xtts.decoder.batch import BatchDecoder
from services.synth_worker.engines.xtts.text.tokenizer import TextEncoder
from services.synth_worker.engines.xtts.weights.checkpoint import load
from tests.support.xtts_checkpoint import make_checkpoint


def test_a_slot_of_the_decoder_takes_the_memory_that_is_computed(tmp_path: Path) -> None:
    make_checkpoint(tmp_path)
    texts = TextEncoder(tmp_path / "vocab.json")
    checkpoint = load(tmp_path, texts.start_id, texts.stop_id, texts.tokens)
    sizes = RELEASED | {"gpt_layers": 2, "gpt_n_model_channels": 64}
    for precision in ("float32", "bfloat16"):
        slots = BatchDecoder(checkpoint.gpt, precision, slots=3)._slots
        assert slots is not None
        kept = slots._kept.untyped_storage().nbytes() / 2**20
        assert abs(kept - 3 * slot_mib(sizes, precision)) < 0.01 * kept


def test_the_transformer_is_counted_once() -> None:
    whole = weights_mib(RELEASED, "float32")
    assert 1700 < whole < 1900
    assert weights_mib(RELEASED, "bfloat16") < whole - 700


def test_a_gpu_keeps_no_second_copy_of_the_transformer_and_conditions_without_it(
    tmp_path: Path,
) -> None:
    make_checkpoint(tmp_path)
    texts = TextEncoder(tmp_path / "vocab.json")
    checkpoint = load(tmp_path, texts.start_id, texts.stop_id, texts.tokens)
    import numpy as np

    from services.common.audio.clip import Clip
    from services.synth_worker.engines.xtts.conditioning import condition

    noise = np.random.default_rng(0).standard_normal(5 * 24_000).astype(np.float32) * 0.1
    clip = Clip(noise, 24_000)
    before = condition(checkpoint, [clip], 30).to_bytes("")
    names = [name for name, _ in checkpoint.without_blocks().gpt.named_parameters()]
    assert not any(name.startswith("gpt.h.") for name in names)
    assert condition(checkpoint, [clip], 30).to_bytes("") == before
