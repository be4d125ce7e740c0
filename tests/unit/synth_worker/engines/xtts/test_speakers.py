"""The studio speakers: read without running code, and optional."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from services.common.voice_file import unpack_voice
from services.common.wire.failures import EngineUnavailable
from services.synth_worker.engines.xtts.__main__ import write_voice_files
from services.synth_worker.engines.xtts.conditioning import voice_from_bytes
from services.synth_worker.engines.xtts.speakers import (
    built_in_voices,
    default_speaker,
    load_speakers,
)

WIDTH = 64


def speaker(width: int = WIDTH, seed: int = 0) -> dict[str, torch.Tensor]:
    drawn = torch.Generator().manual_seed(seed)
    return {
        "gpt_cond_latent": torch.randn(1, 32, width, generator=drawn),
        "speaker_embedding": torch.randn(1, 512, 1, generator=drawn),
    }


def file_of(folder: Path, content: Any) -> Path:
    path = folder / "speakers_xtts.pth"
    torch.save(content, path)
    return path


def test_the_speakers_of_a_file_are_built_in_voices_of_the_same_numbers(tmp_path: Path) -> None:
    stored = {"Daisy Studious": speaker(seed=1), "Claribel Dervla": speaker(seed=2)}
    speakers = load_speakers(file_of(tmp_path, stored), WIDTH)
    assert [(voice.name, voice.gender) for voice in built_in_voices(speakers)] == [
        ("Daisy Studious", "neutral"),
        ("Claribel Dervla", "neutral"),
    ]
    assert default_speaker(speakers) == "Claribel Dervla"
    for name, tensors in stored.items():
        assert torch.equal(speakers[name].prompt, tensors["gpt_cond_latent"])
        assert torch.equal(speakers[name].embedding, tensors["speaker_embedding"])


def test_without_a_file_there_are_no_built_in_voices(tmp_path: Path) -> None:
    speakers = load_speakers(tmp_path / "speakers_xtts.pth", WIDTH)
    assert built_in_voices(speakers) == ()
    assert default_speaker(speakers) is None


def test_another_file_has_its_first_speaker_as_default(tmp_path: Path) -> None:
    speakers = load_speakers(file_of(tmp_path, {"B": speaker(), "A": speaker()}), WIDTH)
    assert default_speaker(speakers) == "B"


def test_a_speaker_whose_name_no_request_can_have_is_left_out(tmp_path: Path) -> None:
    speakers = load_speakers(file_of(tmp_path, {"a/b": speaker(), "A": speaker()}), WIDTH)
    assert list(speakers) == ["A"]


@pytest.mark.parametrize(
    "content",
    [
        {"A": speaker(width=32)},
        {"A": {"gpt_cond_latent": torch.zeros(1, 32, WIDTH)}},
        {"A": {**speaker(), "speaker_embedding": torch.full((1, 512, 1), torch.nan)}},
        {"A": 1},
        [1, 2],
    ],
)
def test_a_file_of_another_model_is_refused_with_what_to_do(tmp_path: Path, content: Any) -> None:
    with pytest.raises(EngineUnavailable, match="remove it to run without"):
        load_speakers(file_of(tmp_path, content), WIDTH)


class Harmful:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (Path("harmed"),)


@pytest.mark.parametrize("content", [b"", b"junk", pickle.dumps({"A": 1}, protocol=2)])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "speakers_xtts.pth"
    path.write_bytes(content)
    with pytest.raises(EngineUnavailable):
        load_speakers(path, WIDTH)


def test_no_code_of_a_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EngineUnavailable):
        load_speakers(file_of(tmp_path, {"A": Harmful()}), WIDTH)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("several", [True, False])
def test_each_speaker_of_a_file_becomes_a_voice_file_without_clips(
    tmp_path: Path, *, several: bool
) -> None:
    path = tmp_path / "Anna.pth"
    torch.save({"Anna": speaker(), "Bert": speaker(seed=1)} if several else speaker(), path)
    lines = write_voice_files(path, tmp_path / "voices", "abc", WIDTH)
    assert len(lines) == (2 if several else 1)
    draft, wavs, [computed] = unpack_voice(
        (tmp_path / "voices" / "001.voice.zip").read_bytes(), "acme"
    )
    assert (draft.name, wavs) == ("Anna", ())
    voice = voice_from_bytes(computed, "abc", WIDTH)
    assert torch.equal(voice.prompt, speaker()["gpt_cond_latent"])
    assert torch.equal(voice.embedding, speaker()["speaker_embedding"])
