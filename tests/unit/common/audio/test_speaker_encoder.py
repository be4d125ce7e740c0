"""The speaker encoder that is stored with the service."""

from pathlib import Path

import numpy as np
import pytest

from services.common.audio import speaker_encoder
from services.common.audio.clip import Clip
from services.common.audio.resample import resample
from services.common.audio.speaker_encoder import SpeakerEncoder
from tests.support import sounds


@pytest.fixture(scope="module")
def encoder() -> SpeakerEncoder:
    return SpeakerEncoder.bundled()


def test_the_whole_embedding_is_the_mean_of_the_windows(encoder: SpeakerEncoder) -> None:
    speech = resample(Clip(sounds.speech(6), 24_000), speaker_encoder.SAMPLE_RATE_HZ).samples
    windows = encoder.embed_windows(speech)
    assert windows.shape[1] == 256
    assert 6 <= len(windows) <= 8
    assert np.linalg.norm(windows, axis=1) == pytest.approx(1, abs=1e-4)
    assert float(
        encoder.embed(speech) @ speaker_encoder.unit(windows.mean(axis=0))
    ) == pytest.approx(1, abs=1e-5)


def test_weights_that_are_not_those_that_were_recorded_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / speaker_encoder.WEIGHTS).write_bytes(b"something else")
    (tmp_path / "assets" / "SHA256SUMS").write_text(f"{'0' * 64}  {speaker_encoder.WEIGHTS}\n")
    monkeypatch.setattr("services.common.audio.speaker_encoder.resources.files", lambda _: tmp_path)
    with pytest.raises(ValueError, match="install the service again"):
        SpeakerEncoder.bundled()
