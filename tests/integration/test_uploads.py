"""Uploads of every kind, good and bad, through real decoder processes."""

import asyncio
import io
import os
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import av
import numpy as np
import pytest
import pytest_asyncio
import soundfile
import soxr

from services.common.audio.clip import Samples
from services.common.audio.wav import read_wav
from services.common.wire.failures import UnusableReference
from services.http_edge.intake.reference.decoder import PreparedClip, ReferenceDecoder
from tests.support.recordings import encoded, hiss, hum, speech_of
from tests.support.sounds import chords

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def decoder() -> AsyncIterator[ReferenceDecoder]:
    """A decoder that all tests share which neither measure its process nor end it: a start takes a CPU second."""
    async with ReferenceDecoder(1, time_limit_s=20) as decoder:
        yield decoder


@pytest_asyncio.fixture(loop_scope="module")
async def fresh_decoder() -> AsyncIterator[ReferenceDecoder]:
    async with ReferenceDecoder(1, time_limit_s=20) as decoder:
        yield decoder


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    return tmp_path / "upload"


async def prepared(decoder: ReferenceDecoder, upload: Path, content: bytes) -> PreparedClip:
    upload.write_bytes(content)
    clip = await decoder.prepare(upload, "acme")
    kept = read_wav(clip.wav)
    assert kept.sample_rate_hz == 24_000
    assert kept.seconds == pytest.approx(clip.seconds)
    return clip


async def refusal(decoder: ReferenceDecoder, upload: Path, content: bytes) -> str:
    upload.write_bytes(content)
    with pytest.raises(UnusableReference) as refused:
        await decoder.prepare(upload, "acme")
    return str(refused.value)


def by_ffmpeg(container: str, codec: str, samples: Samples, rate_hz: int = 48_000) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate_hz, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout="mono")
        frame.sample_rate = rate_hz
        fifo = av.AudioFifo()
        fifo.write(frame)
        while (block := fifo.read(1024, partial=True)) is not None:
            output.mux(stream.encode(block))
        output.mux(stream.encode(None))
    return file.getvalue()


LIBSNDFILE = [
    ("WAV", "PCM_U8", 8_000),
    ("WAV", "PCM_16", 16_000),
    ("WAV", "PCM_24", 44_100),
    ("WAV", "FLOAT", 96_000),
    ("FLAC", "PCM_16", 48_000),
    ("OGG", "VORBIS", 44_100),
    ("OGG", "OPUS", 48_000),
    ("MP3", "MPEG_LAYER_III", 44_100),
    ("AIFF", "PCM_16", 22_050),
]


@pytest.mark.parametrize(("container", "subtype", "rate_hz"), LIBSNDFILE)
async def test_what_libsndfile_reads_becomes_a_clip(
    decoder: ReferenceDecoder, upload: Path, container: str, subtype: str, rate_hz: int
) -> None:
    clip = await prepared(
        decoder, upload, encoded(speech_of(8, rate_hz=rate_hz).samples, rate_hz, container, subtype)
    )
    assert 7 < clip.seconds <= 8.2
    assert "short" not in " ".join(clip.warnings)


@pytest.mark.parametrize(
    ("container", "codec"), [("webm", "libopus"), ("mp4", "aac"), ("matroska", "pcm_s16le")]
)
async def test_what_ffmpeg_reads_becomes_a_clip(
    decoder: ReferenceDecoder, upload: Path, container: str, codec: str
) -> None:
    clip = await prepared(
        decoder, upload, by_ffmpeg(container, codec, speech_of(8, rate_hz=48_000).samples)
    )
    assert 7 < clip.seconds <= 8.2


async def test_several_channels_become_one(decoder: ReferenceDecoder, upload: Path) -> None:
    one = speech_of(7).samples
    silent = np.zeros_like(one)
    for channels in (
        [one, one],
        [one, silent],
        [one, -one],
        [silent, silent, one, silent, silent, silent],
    ):
        clip = await prepared(decoder, upload, encoded(np.stack(channels, axis=1), 24_000))
        assert clip.seconds > 6


async def test_equal_audio_is_an_equal_clip_in_any_container(
    decoder: ReferenceDecoder, upload: Path
) -> None:
    samples = (speech_of(7).samples * 32767).astype(np.int16)
    wav = await prepared(decoder, upload, encoded(samples, 24_000))
    assert (await prepared(decoder, upload, encoded(samples, 24_000, "FLAC"))).wav == wav.wav
    assert (await prepared(decoder, upload, encoded(samples, 24_000))).wav == wav.wav


async def test_the_best_thirty_seconds_of_a_long_recording_are_used(
    decoder: ReferenceDecoder, upload: Path
) -> None:
    quiet = 1e-4 * hiss(60)
    long = np.concatenate([quiet, speech_of(45).samples, quiet])
    clip = await prepared(decoder, upload, encoded(long, 24_000))
    assert 25 < clip.seconds <= 30
    frames = read_wav(clip.wav).samples[: 25 * 24_000].reshape(-1, 480)
    assert np.mean(np.sqrt(np.mean(np.square(frames), axis=1)) > 0.005) > 0.6


async def test_silence_at_both_ends_is_trimmed(decoder: ReferenceDecoder, upload: Path) -> None:
    nothing = np.zeros(5 * 24_000, dtype=np.float32)
    clip = await prepared(
        decoder, upload, encoded(np.concatenate([nothing, speech_of(8).samples, nothing]), 24_000)
    )
    assert clip.seconds < 9


async def test_a_doubtful_recording_gets_a_warning(decoder: ReferenceDecoder, upload: Path) -> None:
    assert (await prepared(decoder, upload, encoded(speech_of(8).samples, 24_000))).warnings == ()
    [short] = (await prepared(decoder, upload, encoded(speech_of(4).samples, 24_000))).warnings
    assert short.startswith("short")
    [noisy] = (
        await prepared(decoder, upload, encoded(speech_of(8).samples * 2 + hiss(8) / 2, 24_000))
    ).warnings
    assert noisy.startswith("noisy")
    loud = np.clip(speech_of(8).samples * 20, -1, 1)
    assert any(
        w.startswith("clipped")
        for w in (await prepared(decoder, upload, encoded(loud, 24_000))).warnings
    )


REFUSED = {
    "nothing": b"",
    "text": b"I am a text, and nobody can hear me.\n" * 100,
    "random bytes": np.random.default_rng(3).bytes(100_000),
    "a playlist that names another file": b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n",
    "a WAV header without sound": encoded(np.zeros(0, dtype=np.float32), 24_000),
    "a broken RIFF": b"RIFF\xff\xff\xff\xffWAVEfmt \xff\xff\xff\xff" + bytes(100),
    "silence": encoded(np.zeros(10 * 24_000, dtype=np.float32), 24_000),
    "a hum": encoded(hum(10), 24_000),
    "a hiss": encoded(hiss(10), 24_000),
    "too little": encoded(speech_of(2.5).samples, 24_000),
    "a number that is none": encoded(
        np.full(100_000, np.nan, dtype=np.float32), 24_000, "WAV", "FLOAT"
    ),
}


@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED.keys())
async def test_what_is_no_voice_is_refused_with_advice(
    decoder: ReferenceDecoder, upload: Path, content: bytes
) -> None:
    advice = await refusal(decoder, upload, content)
    assert "send" in advice or "export" in advice
    assert (
        await prepared(decoder, upload, encoded(speech_of(7).samples, 24_000))
    ).seconds > 6  # it lives on


async def test_an_archive_and_a_picture_are_refused(
    decoder: ReferenceDecoder, upload: Path
) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.wav", encoded(speech_of(4).samples, 24_000))
    assert "send" in await refusal(decoder, upload, archive.getvalue())
    assert "send" in await refusal(decoder, upload, b"\x89PNG\r\n\x1a\n" + bytes(1000))


async def test_a_film_without_audio_is_refused(decoder: ReferenceDecoder, upload: Path) -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        stream = output.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        output.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        output.mux(stream.encode(None))
    assert "no audio" in await refusal(decoder, upload, file.getvalue())


async def test_a_file_cut_in_the_middle_serves_as_far_as_it_goes(
    decoder: ReferenceDecoder, upload: Path
) -> None:
    whole = encoded(speech_of(12).samples, 24_000)
    clip = await prepared(decoder, upload, whole[: len(whole) * 2 // 3])
    assert 7 < clip.seconds < 8.5


async def test_a_large_upload_is_decoded_in_little_memory(
    fresh_decoder: ReferenceDecoder, upload: Path
) -> None:
    block = (speech_of(10, rate_hz=48_000).samples * 32767).astype(np.int16)
    with soundfile.SoundFile(upload, "w", 48_000, 2, format="WAV", subtype="PCM_16") as file:
        for _ in range(104):
            file.write(np.stack([block, block], axis=1))
    assert upload.stat().st_size > 190_000_000
    clip = await fresh_decoder.prepare(upload, "acme")
    assert 25 < clip.seconds <= 30
    assert 50_000_000 < fresh_decoder.last_peak_bytes < 500_000_000


async def test_a_decoder_that_dies_costs_one_upload_and_is_replaced(
    fresh_decoder: ReferenceDecoder, upload: Path
) -> None:
    [child] = fresh_decoder._free
    os.kill(child._process.pid, 9)
    assert "send" in await refusal(fresh_decoder, upload, encoded(speech_of(7).samples, 24_000))
    assert (
        await prepared(fresh_decoder, upload, encoded(speech_of(7).samples, 24_000))
    ).seconds > 6


async def test_a_decoder_that_hangs_is_replaced_when_its_time_is_over(upload: Path) -> None:
    async with ReferenceDecoder(1, time_limit_s=5) as decoder:
        [child] = decoder._free
        os.kill(child._process.pid, 19)
        assert "too long" in await refusal(decoder, upload, encoded(speech_of(7).samples, 24_000))
        assert (await prepared(decoder, upload, encoded(speech_of(7).samples, 24_000))).seconds > 6


async def test_a_client_that_leaves_in_the_middle_costs_no_decoder(
    fresh_decoder: ReferenceDecoder, upload: Path
) -> None:
    upload.write_bytes(encoded(speech_of(300).samples, 24_000, "FLAC"))
    leaving = asyncio.create_task(fresh_decoder.prepare(upload, "acme"))
    await asyncio.sleep(0.05)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert (
        await prepared(fresh_decoder, upload, encoded(speech_of(7).samples, 24_000))
    ).seconds > 6


async def test_what_is_music_is_refused_as_music(decoder: ReferenceDecoder, upload: Path) -> None:
    assert "music or tones, not speech" in await refusal(
        decoder, upload, encoded(chords(9), 24_000)
    )


async def test_two_who_take_turns_are_warned_of(decoder: ReferenceDecoder, upload: Path) -> None:
    one = speech_of(5).samples
    other = soxr.resample(speech_of(9).samples, 24_000 * 0.72, 24_000)[: 5 * 24_000]
    clip = await prepared(
        decoder, upload, encoded(np.concatenate([one, other, one, other]), 24_000)
    )
    assert [warning.split(":")[0] for warning in clip.warnings] == ["speakers"]
