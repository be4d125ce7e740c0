"""Quality and waveform of a recording."""

import io

import av
import numpy as np
import pytest

from tests.support.recordings import CLIP_FILE
from ui.audio.encoding import FORMATS, encoded
from ui.audio.looks import quality, spectrogram, waveform_path
from ui.audio.reading import RATE_HZ, Samples, read_audio
from ui.errors import BadAudio


@pytest.fixture(scope="module")
def speech() -> Samples:
    return read_audio(CLIP_FILE.read_bytes())


def test_a_good_recording_has_no_complaints(speech: Samples) -> None:
    assert quality(speech).complaints() == ()


def test_what_is_wrong_with_a_recording_is_named(speech: Samples) -> None:
    noise = np.random.default_rng(1).normal(0, 0.05, len(speech)).astype(np.float32)
    cases = {
        "too_short": speech[: 2 * RATE_HZ],
        "short": speech[: 4 * RATE_HZ],
        "long": np.tile(speech, 4),
        "clipped": np.clip(20 * speech, -1, 1),
        "silent": np.zeros(5 * RATE_HZ, np.float32),
        "noisy": speech + noise,
    }
    assert {
        name: name in quality(samples).complaints() for name, samples in cases.items()
    } == dict.fromkeys(cases, True)


def test_a_file_without_audio_is_refused() -> None:
    with pytest.raises(BadAudio):
        read_audio(b"no sound")


def test_a_tone_is_a_bright_line_at_its_height() -> None:
    tone = np.sin(2 * np.pi * 3000 * np.arange(24_000) / 24_000).astype(np.float32)
    picture = spectrogram(tone, 24_000).astype(int).sum(axis=2).mean(axis=1)
    height = 1 - int(np.argmax(picture)) / (len(picture) - 1)
    assert height == pytest.approx(3000 / 12_000, abs=0.01)


def test_a_waveform_has_a_stroke_for_each_moment() -> None:
    assert waveform_path(np.array([0, 1], np.float32), bars=2) == "M2 31.5V32.5M6 1.5V62.5"


@pytest.mark.parametrize("kind", sorted(set(FORMATS) - {"wav"}))
def test_a_compressed_file_is_made_of_chunks_of_any_length(kind: str) -> None:
    pcm = (np.sin(np.arange(24_000) / 10) * 9000).astype("<i2").tobytes()
    blocks = [pcm[:1001], b"", pcm[1001:20_000], pcm[20_000:]]
    file = b"".join(encoded(blocks, 24_000, kind, "Synthetic speech"))
    with av.open(io.BytesIO(file)) as container:
        found = dict(container.metadata) | dict(container.streams.audio[0].metadata)
    assert found["comment"] == "Synthetic speech"
    decoded = read_audio(file)
    assert len(decoded) / RATE_HZ == pytest.approx(1.0, abs=0.15)
    assert float(np.sqrt(np.mean(np.square(decoded[4000:12_000])))) == pytest.approx(
        9000 / 32768 / 2**0.5, rel=0.1
    )
