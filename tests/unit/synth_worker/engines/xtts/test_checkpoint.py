import hashlib
import json
import os
import pickle
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
import torch

from services.common.wire.failures import EngineUnavailable
from services.synth_worker.engines.xtts.weights.checkpoint import Checkpoint, ModelArgs, load
from services.synth_worker.engines.xtts.weights.fingerprint import fingerprint
from services.synth_worker.engines.xtts.weights.location import (
    WeightSettings,
    find_weights,
    model_path,
)
from tests.support.xtts_checkpoint import make_checkpoint

# isort: split
from TTS.config.shared_configs import BaseDatasetConfig
from TTS.tts.configs.xtts_config import XttsArgs, XttsAudioConfig, XttsConfig

START_ID, STOP_ID, TOKENS = 261, 0, 300


@pytest.fixture(scope="module")
def loaded(checkpoint_folder: Path) -> Checkpoint:
    return load(checkpoint_folder, START_ID, STOP_ID, TOKENS)


@pytest.fixture
def folder(checkpoint_folder: Path, tmp_path: Path) -> Path:
    """Return a copy to tamper with."""
    return Path(shutil.copytree(checkpoint_folder, tmp_path / "copy"))


def state_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def refusal(folder: Path) -> str:
    before = state_of(folder)
    with pytest.raises(EngineUnavailable) as refused:
        load(folder, START_ID, STOP_ID, TOKENS)
    assert state_of(folder) == before
    return str(refused.value)


def rewrite(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "model.pth"
    torch.save(change(torch.load(path, weights_only=True)), path)


def test_one_wrong_bit_in_the_weights_is_refused(folder: Path) -> None:
    path = folder / "model.pth"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    torch.load(path, weights_only=True)  # which does not notice
    assert "is damaged: " in (said := refusal(folder))
    assert "does not match its checksum" in said


def test_every_weight_is_the_one_that_stock_loads(loaded: Checkpoint, stock: Any) -> None:
    for ours, theirs in ((loaded.gpt, stock.gpt), (loaded.vocoder, stock.hifigan_decoder)):
        expected = {
            name: weight
            for name, weight in theirs.state_dict().items()
            if not name.startswith(
                ("gpt_inference.", "gpt.wte.")
            )  # stock's copies for its own decoding
        }
        found = ours.state_dict()
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], weight) for name, weight in expected.items())
    assert torch.equal(loaded.mel_stats, stock.mel_stats)
    assert loaded.speaker_encoder is loaded.vocoder.speaker_encoder


def test_no_part_is_left_without_storage_or_in_training(loaded: Checkpoint) -> None:
    for module in (loaded.gpt, loaded.vocoder):
        assert not any(
            tensor.is_meta or tensor.requires_grad
            for tensor in (*module.parameters(), *module.buffers())
        )
        assert not any(part.training for part in module.modules())


def test_the_ids_that_frame_a_text_are_the_vocabularys(loaded: Checkpoint, stock: Any) -> None:
    assert (loaded.gpt.start_text_token, loaded.gpt.stop_text_token) == (START_ID, STOP_ID)
    assert (stock.gpt.start_text_token, stock.gpt.stop_text_token) == (START_ID, STOP_ID)


def test_the_weights_are_mapped_and_not_copied(loaded: Checkpoint, checkpoint_folder: Path) -> None:
    mapped = [
        line.split()
        for line in Path("/proc/self/maps").read_text().splitlines()
        if "model.pth" in line
    ]
    begin, end = (
        int(bound, 16)
        for bound in next(m for m in mapped if str(checkpoint_folder) in m[-1])[0].split("-")
    )
    assert begin <= loaded.gpt.mel_head.weight.data_ptr() < end


def test_the_speaker_encoder_hears_what_stocks_hears(loaded: Checkpoint, stock: Any) -> None:
    sound = torch.sin(torch.arange(16_000) / 7)[None]
    expected = stock.hifigan_decoder.speaker_encoder(sound.clone(), l2_norm=True)
    assert torch.equal(loaded.speaker_encoder(sound.clone(), l2_norm=True), expected)


def test_sizes_are_those_of_the_configuration_and_the_weights(tmp_path: Path) -> None:
    make_checkpoint(tmp_path, layers=1, width=96, heads=6)
    loaded = load(tmp_path, START_ID, STOP_ID, TOKENS)
    assert (len(loaded.gpt.gpt.h), loaded.gpt.model_dim, loaded.gpt.heads) == (1, 96, 6)
    assert loaded.vocoder.waveform_decoder.conv_pre.out_channels == 32


def test_weights_of_a_trainer_are_taken_as_they_are(folder: Path, loaded: Checkpoint) -> None:
    def as_trained(stored: dict[str, Any]) -> dict[str, Any]:
        model = {f"xtts.{name}": weight for name, weight in stored["model"].items()}
        model["dvae.codebook.embed"] = model["torch_mel_spectrogram_dvae.mel_norms"] = torch.zeros(
            3
        )
        return {"model": model, "step": 7, "optimizer": {"state": {}}}

    rewrite(folder, as_trained)
    assert torch.equal(
        load(folder, START_ID, STOP_ID, TOKENS).gpt.mel_head.weight, loaded.gpt.mel_head.weight
    )


NOTES = {  # what coqui's trainer stores besides the model
    "config": {"run_name": "GPT_XTTS_FT", "epochs": 10},
    "optimizer": [{"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 5e-6}]}],
    "scheduler": [{"milestones": Counter([50_000])}],
    "scaler": None,
    "step": 7,
    "date": "March 03, 2025",
    "model_loss": {"train_loss": np.float64(2.5), "eval_loss": np.float32(2.25)},
    "output_path": Path("run/training"),
}


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["best_model.pth"], "best_model.pth"),
        (["best_model_900.pth", "best_model_1200.pth"], "best_model_1200.pth"),
        (["checkpoint_5000.pth", "checkpoint_15000.pth"], "checkpoint_15000.pth"),
        (["best_model_900.pth", "checkpoint_5000.pth", "best_model.pth"], "best_model.pth"),
        (["best_model.pth", "model.pth"], "model.pth"),
    ],
)
@pytest.mark.parametrize("notes", [{}, NOTES], ids=["exported", "with-optimizer"])
def test_a_fine_tuned_checkpoint_is_found_by_its_trainers_names(
    folder: Path, loaded: Checkpoint, names: list[str], chosen: str, notes: dict[str, Any]
) -> None:
    rewrite(
        folder,
        lambda stored: {
            **notes,
            "model": {f"xtts.{name}": weight for name, weight in stored["model"].items()},
        },
    )
    trained = (folder / "model.pth").rename(folder / "trained")
    (folder / "README.pth").write_text("another file")
    for name in names:
        (folder / name).write_bytes(b"another checkpoint")
    trained.replace(folder / chosen)
    found = find_weights(WeightSettings(model_dir=folder, agreed=True), lambda _: None)
    assert model_path(found) == folder / chosen
    weights = load(found, START_ID, STOP_ID, TOKENS)
    assert torch.equal(weights.gpt.mel_head.weight, loaded.gpt.mel_head.weight)
    before = fingerprint(found)
    (folder / chosen).write_bytes(b"another checkpoint, too")
    assert fingerprint(found) != before


def test_a_folder_of_a_trainer_may_be_recorded_with_its_checksums(folder: Path) -> None:
    (folder / "model.pth").rename(folder / "best_model.pth")
    names = ("config.json", "vocab.json", "best_model.pth")
    lines = [f"{hashlib.sha256((folder / n).read_bytes()).hexdigest()}  {n}\n" for n in names]
    (folder / "SHA256SUMS").write_text("".join(lines))
    settings = WeightSettings(model_dir=folder, agreed=True)
    assert find_weights(settings, lambda _: None) == folder
    content = bytearray((folder / "best_model.pth").read_bytes())
    content[100] ^= 1
    (folder / "best_model.pth").write_bytes(content)
    with pytest.raises(
        EngineUnavailable, match=r"best_model.pth is damaged: .*best_model.pth > SHA"
    ):
        find_weights(settings, lambda _: None)


def test_the_pickled_configuration_of_2023_is_passed_over_and_the_file_left_as_it_is(
    folder: Path, loaded: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    for moved in (XttsArgs, XttsAudioConfig):
        monkeypatch.setattr(moved, "__module__", "TTS.tts.models.xtts")  # where they were
    config = XttsConfig(
        audio=XttsAudioConfig(), model_args=XttsArgs(), datasets=[BaseDatasetConfig()]
    )
    rewrite(folder, lambda stored: {**stored, "config": config})
    monkeypatch.undo()
    before = state_of(folder)
    with pytest.raises(pickle.UnpicklingError, match="XttsConfig"):
        torch.load(folder / "model.pth", weights_only=True)
    assert torch.equal(
        load(folder, START_ID, STOP_ID, TOKENS).gpt.mel_head.weight, loaded.gpt.mel_head.weight
    )
    assert state_of(folder) == before


class Malice:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.victim),)


def test_code_in_a_file_is_not_run_and_the_refusal_explains_the_conversion(
    folder: Path, tmp_path: Path
) -> None:
    rewrite(folder, lambda stored: {**stored, "config": Malice(tmp_path / "victim")})
    message = refusal(folder)
    assert not (tmp_path / "victim").exists()
    assert "contains more than weights" in message
    assert "NEW_FOLDER/model.pth" in message


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_half_a_download_is_reported_as_truncated(folder: Path, share: float) -> None:
    path = folder / "model.pth"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    message = refusal(folder)
    assert str(path) in message
    assert "truncated" in message
    assert "XTTS_MODEL_DIR" in message


@pytest.mark.parametrize(
    "content", [b"<html>Not found</html>", b"version https://git-lfs.github.com/spec/v1\n", b"\0"]
)
def test_another_file_is_called_no_checkpoint(folder: Path, content: bytes) -> None:
    (folder / "model.pth").write_bytes(content)
    assert "not a checkpoint" in refusal(folder)


@pytest.mark.parametrize(
    "stored",
    [
        [1, 2],
        {"weights": {}},
        {"model": [1]},
        {"model": {"gpt": "x"}},
        {"model": {}},
        torch.zeros(3),
    ],
    ids=["list", "other-key", "list-of-weights", "text", "empty", "tensor"],
)
def test_weights_of_another_kind_are_no_checkpoint(folder: Path, stored: object) -> None:
    torch.save(stored, folder / "model.pth")
    assert "not a checkpoint" in refusal(folder) or "not an XTTS-v2 checkpoint" in refusal(folder)


@pytest.mark.parametrize(
    "part",
    ["gpt.gpt.h.1.attn.c_attn.weight", "hifigan_decoder.speaker_encoder.fc.bias", "mel_stats"],
)
def test_a_weight_that_is_missing_is_named(folder: Path, part: str) -> None:
    def without(stored: dict[str, Any]) -> dict[str, Any]:
        del stored["model"][part]
        return stored

    rewrite(folder, without)
    message = refusal(folder)
    assert "not an XTTS-v2 checkpoint" in message
    assert part.removeprefix("gpt.").removeprefix("hifigan_decoder.") in message


@pytest.mark.parametrize(
    ("name", "value"),
    [("gpt_n_model_channels", 128), ("gpt_layers", 3), ("gpt_n_heads", 5), ("d_vector_dim", 256)],
)
def test_a_model_of_another_shape_than_configured_is_refused(
    folder: Path, name: str, value: int
) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["model_args"][name] = value
    (folder / "config.json").write_text(json.dumps(config))
    assert "not an XTTS-v2 checkpoint" in refusal(folder)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b"\xff", b'{"model_args": {"gpt_layers": "two"}}']
)
def test_a_configuration_of_something_else_is_refused(folder: Path, content: bytes) -> None:
    (folder / "config.json").write_bytes(content)
    message = refusal(folder)
    assert "config.json" in message
    assert "is not the configuration of an XTTS-v2 model" in message


@pytest.mark.parametrize("name", ["config.json", "model.pth"])
def test_a_file_that_is_missing_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    message = refusal(folder)
    assert str(folder / name) in message
    assert "No such file" in message


def test_weight_norms_of_before_torch_2_have_their_old_names(
    folder: Path, loaded: Checkpoint
) -> None:
    kind = ".parametrizations.weight.original"

    def renamed(stored: dict[str, Any]) -> dict[str, Any]:
        pairs = stored["model"].items()
        return {
            "model": {
                n.replace(f"{kind}0", ".weight_g").replace(f"{kind}1", ".weight_v"): w
                for n, w in pairs
            }
        }

    rewrite(folder, renamed)
    assert any(
        name.endswith(".weight_g")
        for name in torch.load(folder / "model.pth", weights_only=True)["model"]
    )
    found, expected = (
        load(folder, START_ID, STOP_ID, TOKENS).vocoder.state_dict(),
        loaded.vocoder.state_dict(),
    )
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], weight) for name, weight in expected.items())


def test_copies_that_stock_decodes_with_are_passed_over(folder: Path, loaded: Checkpoint) -> None:
    def with_copies(stored: dict[str, Any]) -> dict[str, Any]:
        model = stored["model"]
        blocks = {name: weight for name, weight in model.items() if name.startswith("gpt.gpt.h.")}
        copies = {
            name.replace("gpt.gpt.", "gpt.gpt_inference.transformer.", 1): w + 1
            for name, w in blocks.items()
        }
        assert copies
        return {
            "model": {
                **model,
                **copies,
                "gpt.gpt.wte.weight": model["gpt.mel_embedding.weight"] + 1,
            }
        }

    rewrite(folder, with_copies)
    found, expected = (
        load(folder, START_ID, STOP_ID, TOKENS).gpt.state_dict(),
        loaded.gpt.state_dict(),
    )
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], weight) for name, weight in expected.items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision_are_float32_once_loaded(
    folder: Path, dtype: torch.dtype
) -> None:
    def rounded(stored: dict[str, Any]) -> dict[str, Any]:
        return {
            "model": {
                n: w.to(dtype) if w.is_floating_point() else w for n, w in stored["model"].items()
            }
        }

    rewrite(folder, rounded)
    coarse = load(folder, START_ID, STOP_ID, TOKENS)
    tensors = [*coarse.gpt.parameters(), *coarse.vocoder.parameters(), coarse.mel_stats]
    assert {tensor.dtype for tensor in tensors} == {torch.float32}


def test_a_vocabulary_with_more_tokens_than_the_weights_is_of_another_revision(
    checkpoint_folder: Path,
) -> None:
    rows = len(load(checkpoint_folder, START_ID, STOP_ID, TOKENS).gpt.text_embedding.weight)
    load(checkpoint_folder, START_ID, STOP_ID, rows)
    with pytest.raises(
        EngineUnavailable, match=f"has {rows} rows and vocab.json {rows + 1} tokens"
    ):
        load(checkpoint_folder, START_ID, STOP_ID, rows + 1)


def test_fields_of_the_model_that_a_configuration_lacks_have_the_defaults_of_stock(
    folder: Path,
) -> None:
    for name in ModelArgs.__struct_fields__:
        assert getattr(ModelArgs(), name) == getattr(XttsArgs(), name), name
    config = json.loads((folder / "config.json").read_text("utf-8"))
    for name in ("gpt_code_stride_len", "output_hop_length", "d_vector_dim", "input_sample_rate"):
        del config["model_args"][name]
    config["model_args"]["xtts_checkpoint"] = "unknown here"
    config |= {"weighted_loss_attrs": None, "lr": 5e-6}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    assert load(folder, START_ID, STOP_ID, TOKENS).config.model_args.d_vector_dim == 512


@pytest.mark.parametrize("name", ["temperature", "gpt_cond_len", "model_args"])
def test_a_setting_that_is_null_is_named(folder: Path, name: str) -> None:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {name: None}), "utf-8")
    message = refusal(folder)
    assert f"got `null` - at `$.{name}`" in message


def test_a_configuration_of_an_older_release_has_the_defaults_of_stock(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    stock = XttsConfig()
    for name in ("gpt_cond_len", "gpt_cond_chunk_len", "max_ref_len", "sound_norm_refs"):
        config.pop(name, None)
    for name in ("temperature", "top_k", "top_p", "repetition_penalty", "length_penalty"):
        config.pop(name, None)
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    read = load(folder, START_ID, STOP_ID, TOKENS).config
    for name in read.__struct_fields__[1:]:
        assert getattr(read, name) == getattr(stock, name), name


def test_a_folder_without_checksums_is_used_and_reported(folder: Path) -> None:
    settings = WeightSettings(model_dir=folder, agreed=True)
    with structlog.testing.capture_logs() as events:
        assert find_weights(settings) == folder
    assert [event["event"] for event in events] == ["weights_unverified"]
    digest = hashlib.sha256((folder / "vocab.json").read_bytes()).hexdigest()
    (folder / "SHA256SUMS").write_text(f"{digest}  vocab.json\n")
    with structlog.testing.capture_logs() as events:
        assert find_weights(settings) == folder
    assert events == []
