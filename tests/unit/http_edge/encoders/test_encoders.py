"""Output formats, decoded again by FFmpeg's libraries."""

import io
import math
from fractions import Fraction

import av
import numpy as np
import pytest

from services import NAME, __version__
from services.common.audio.wav import read_wav, wav_header
from services.http_edge.encoders.registry import FORMATS, OutputFormat, output_format
from services.http_edge.encoders.tags import SOURCE_TYPE, Tags
from services.http_edge.errors import BadRequest
from tests.support.formats import decoded

RATE_HZ = 24_000
SECONDS = 3.0
TONE = (
    (np.sin(2 * np.pi * 440 * np.arange(int(RATE_HZ * SECONDS)) / RATE_HZ) * 12_000)
    .astype("<i2")
    .tobytes()
)
COMPRESSED = ("mp3", "opus", "aac", "flac")
# samples that the codec adds before and after the audio, at most: its delay and its last frame
PADDING = {"mp3": 3 * 1152, "opus": 0, "aac": 3 * 1024, "flac": 0}


def encoded(output: OutputFormat, pcm: bytes, *, cut: int, size: int | None = None) -> bytes:
    """Return a whole body, made from PCM in blocks of `cut` bytes."""
    encoder = output.encoder(RATE_HZ)
    blocks = [pcm[start : start + cut] for start in range(0, len(pcm), cut)]
    return (
        encoder.header(RATE_HZ, size)
        + b"".join(encoder.encode(block) for block in blocks)
        + encoder.end()
    )


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("cut", [100, 4801, 1_000_000])
def test_a_format_encodes_the_same_however_the_audio_is_cut(name: str, cut: int) -> None:
    output = OutputFormat(FORMATS[name])
    assert encoded(output, TONE, cut=cut) == encoded(output, TONE, cut=9_600)


@pytest.mark.parametrize("name", FORMATS)
def test_a_header_has_its_stated_length(name: str) -> None:
    encoder = FORMATS[name].encoder(None)
    assert encoder.header_bytes == FORMATS[name].header_bytes
    if encoder.header_bytes is not None:
        assert len(encoder.header(RATE_HZ, 1000)) == encoder.header_bytes


@pytest.mark.parametrize("name", [*COMPRESSED, "mulaw", "alaw", "pcm"])
def test_a_decoder_finds_all_of_the_audio(name: str) -> None:
    output = OutputFormat(FORMATS[name])
    samples, rate_hz = decoded(name, encoded(output, TONE, cut=9_600), output.rate(RATE_HZ))
    expected = SECONDS * rate_hz
    assert expected <= len(samples) <= expected + PADDING.get(name, 0)
    loud = samples[int(0.5 * rate_hz) : int(2.5 * rate_hz)].astype(float)
    spectrum = np.abs(np.fft.rfft(loud * np.hanning(len(loud))))
    assert abs(np.argmax(spectrum) * rate_hz / len(loud) - 440) < 2
    assert 0.8 < np.abs(loud).max() / 12_000 < 1.2


@pytest.mark.parametrize("name", COMPRESSED)
def test_the_first_bytes_come_with_the_first_audio(name: str) -> None:
    encoder = FORMATS[name].encoder(None)
    first = encoder.header(RATE_HZ, None) + encoder.encode(TONE[: 2 * RATE_HZ // 5])
    assert len(first) > 100


@pytest.mark.parametrize("name", COMPRESSED)
def test_no_audio_still_makes_a_body_that_ends(name: str) -> None:
    encoded(OutputFormat(FORMATS[name]), b"", cut=1)


@pytest.mark.parametrize(
    ("name", "rate_hz"),
    [(name, rate_hz) for name in FORMATS for rate_hz in FORMATS[name].sample_rates_hz],
)
def test_every_rate_of_a_format_keeps_the_length_of_the_audio(name: str, rate_hz: int) -> None:
    output = OutputFormat(FORMATS[name], rate_hz)
    body = encoded(output, TONE, cut=7_001, size=len(TONE))
    samples, found_hz = decoded(name, body, rate_hz)
    assert found_hz == (48_000 if name == "opus" else rate_hz)
    expected = SECONDS * found_hz
    assert expected <= len(samples) <= expected + PADDING.get(name, 0)


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100])
def test_a_resampled_wav_states_its_true_size(rate_hz: int) -> None:
    body = encoded(OutputFormat(FORMATS["wav"], rate_hz), TONE, cut=5_000, size=len(TONE))
    clip = read_wav(body)
    assert clip.sample_rate_hz == rate_hz
    samples = len(TONE) // 2
    assert len(clip.samples) == math.ceil(Fraction(samples * rate_hz, RATE_HZ))
    assert int.from_bytes(body[40:44], "little") == len(body) - 44


@pytest.mark.parametrize(
    ("name", "accept", "expected"),
    [
        (None, "", "wav"),
        ("", "*/*", "wav"),
        (" MP3 ", "audio/wav", "mp3"),
        (None, "audio/mpeg", "mp3"),
        (None, "audio/ogg;q=0.5, audio/flac;q=0.8", "flac"),
        (None, "audio/flac;q=0, audio/aac", "aac"),
        (None, "audio/webm,audio/ogg,audio/wav,audio/*;q=0.9,*/*;q=0.5", "wav"),
        (None, "text/html, audio/x-flac;q=nonsense", "wav"),
    ],
)
def test_a_format_is_selected_by_its_field_then_by_accept(
    name: str | None, accept: str, expected: str
) -> None:
    chosen = output_format(name, None, accept=accept, default="wav")
    assert chosen.format.name == expected


@pytest.mark.parametrize(
    ("name", "rate", "field"),
    [
        ("ogg", "", "response_format"),
        ("wav", "11025", "sample_rate"),
        ("opus", "44100", "sample_rate"),
        ("mulaw", "16000", "sample_rate"),
        ("mp3", "24 kHz", "sample_rate"),
        ("mp3", "-1", "sample_rate"),
    ],
)
def test_an_unknown_format_or_rate_is_refused_by_the_name_of_its_field(
    name: str, rate: str, field: str
) -> None:
    with pytest.raises(BadRequest, match=field):
        output_format(name, rate, accept="", default="wav")


def test_only_wav_and_pcm_at_the_engines_rate_have_offsets() -> None:
    exact = {name for name in FORMATS if OutputFormat(FORMATS[name]).has_offsets}
    assert exact == {"wav", "pcm"}
    assert not OutputFormat(FORMATS["wav"], 48_000).has_offsets


TAGS = Tags("a-request", "tone")
TAGGED = ("wav", "mp3", "opus", "flac")


@pytest.mark.parametrize("name", FORMATS)
def test_metadata_names_what_made_the_audio_where_the_container_has_a_place_for_it(
    name: str,
) -> None:
    output = OutputFormat(FORMATS[name])
    encoder = output.encoder(RATE_HZ, TAGS)
    body = encoder.header(RATE_HZ, len(TONE)) + encoder.encode(TONE) + encoder.end()
    assert encoder.tagged == (name in TAGGED)
    if not encoder.tagged:
        assert body == encoded(output, TONE, cut=len(TONE), size=len(TONE))
        return
    with av.open(io.BytesIO(body)) as container:
        found = dict(container.metadata) | dict(container.streams.audio[0].metadata)
    assert SOURCE_TYPE in found["comment"]
    assert "Synthetic speech" in found["comment"]
    assert "a-request" in found["comment"]
    software = found.get("encoded_by") or found.get("ENCODED-BY") or found["encoder"]
    assert software == f"{NAME} {__version__}, engine tone"
    if name != "wav":
        assert found["DIGITALSOURCETYPE"] == SOURCE_TYPE


@pytest.mark.parametrize("name", ["wav", "flac"])
def test_metadata_does_not_change_the_samples(name: str) -> None:
    encoder = FORMATS[name].encoder(TAGS)
    body = encoder.header(RATE_HZ, len(TONE)) + encoder.encode(TONE) + encoder.end()
    assert decoded(name, body, RATE_HZ)[0].tobytes() == TONE
    if name == "wav":
        assert read_wav(body).samples.size == len(TONE) // 2
        assert len(body) == int.from_bytes(body[4:8], "little") + 8


def test_a_stream_of_wav_has_no_metadata_and_one_of_mp3_has() -> None:
    wav = FORMATS["wav"].encoder(TAGS)
    assert wav.header(RATE_HZ, None) == wav_header(sample_rate_hz=RATE_HZ, data_bytes=None)
    assert wav.encode(TONE) + wav.end() == TONE
    assert not wav.tagged
    mp3 = FORMATS["mp3"].encoder(TAGS)
    assert mp3.header(RATE_HZ, None).startswith(b"ID3")
    assert mp3.tagged


@pytest.mark.parametrize("name", TAGGED)
def test_the_same_request_has_the_same_metadata_again_and_another_has_others(name: str) -> None:
    def made(request_id: str) -> bytes:
        encoder = FORMATS[name].encoder(Tags(request_id, "tone"))
        return encoder.header(RATE_HZ, len(TONE)) + encoder.encode(TONE) + encoder.end()

    assert made("a-request") == made("a-request")
    assert made("a-request") != made("another-1")
    assert TAGS.digest == Tags("a-request", "tone").digest != Tags("another-1", "tone").digest


def test_events_and_resampled_audio_have_the_metadata_of_their_format() -> None:
    for name in ("mp3", "pcm"):
        output = OutputFormat(FORMATS[name], 8_000, event_characters=7)
        encoder = output.encoder(RATE_HZ, TAGS)
        encoder.header(RATE_HZ, None)
        assert encoder.tagged == (name == "mp3")
