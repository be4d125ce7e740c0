"""What the browser tests share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the WAV that the browser's microphone hears."""
    import io

    import soundfile

    from tests.support.recordings import CLIP_FILE

    samples, rate_hz = soundfile.read(io.BytesIO(CLIP_FILE.read_bytes()))
    path = tmp_path_factory.mktemp("microphone") / "voice.wav"
    soundfile.write(path, samples[: 12 * rate_hz], rate_hz, subtype="PCM_16")
    return path
