"""The decoder processes: what they answer, and what they survive."""

import asyncio
import io
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from services.common.audio.wav import read_wav, wav_header
from services.common.wire.failures import QueueFull, UnusableReference
from services.http_edge.intake.reference.decoder import ReferenceDecoder
from tests.support import sounds

MEGABYTE = 1024 * 1024


@pytest.fixture
async def decoder() -> AsyncIterator[ReferenceDecoder]:
    async with ReferenceDecoder(1) as running:
        yield running


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    return sounds.write(tmp_path / "upload", sounds.speech(8), 24_000, "WAV")


def child_of(decoder: ReferenceDecoder) -> int:
    (child,) = decoder._children
    return child._process.pid


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def peak_megabytes(pid: int) -> float:
    return int(status(pid)["VmHWM"].split()[0]) / 1024


async def stopped(decoder: ReferenceDecoder, upload: Path) -> "asyncio.Task[object]":
    """Return an upload that is with a decoder which hangs."""
    os.kill(child_of(decoder), signal.SIGSTOP)
    task = asyncio.ensure_future(decoder.prepare(upload, "acme"))
    while decoder._free:
        await asyncio.sleep(0)
    return task


async def test_an_upload_becomes_a_clip_of_24_khz_mono_16_bit(
    decoder: ReferenceDecoder, upload: Path
) -> None:
    prepared = await decoder.prepare(upload, "acme")
    clip = read_wav(prepared.wav)
    assert clip.sample_rate_hz == 24_000
    assert prepared.seconds == pytest.approx(clip.seconds) == pytest.approx(8, abs=0.5)
    assert prepared.wav[:44] == wav_header(sample_rate_hz=24_000, data_bytes=len(prepared.wav) - 44)
    assert prepared.warnings == ()


async def test_equal_audio_becomes_equal_bytes_in_any_file_format(tmp_path: Path) -> None:
    sound = np.stack([sounds.speech(8, 44_100), 0.5 * sounds.speech(8, 44_100)], axis=1)
    sound = np.rint(sound * 32_767).astype(np.int16)
    wav = sounds.write(tmp_path / "a.mp3", sound, 44_100, "WAV", "PCM_16")
    flac = sounds.write(tmp_path / "b", sound, 44_100, "FLAC", "PCM_16")
    async with ReferenceDecoder(2) as decoder:
        clips = await asyncio.gather(
            *(decoder.prepare(path, "acme") for path in (wav, flac, wav, flac))
        )
    assert len({clip.wav for clip in clips}) == 1


async def test_a_refusal_comes_through_and_the_next_upload_is_decoded(
    decoder: ReferenceDecoder, upload: Path
) -> None:
    with pytest.raises(UnusableReference, match="WAV, FLAC, MP3, OGG, WebM or M4A"):
        await decoder.prepare(Path(__file__), "acme")
    assert (await decoder.prepare(upload, "acme")).seconds > 7


async def test_a_name_with_odd_bytes_in_it_is_read(decoder: ReferenceDecoder, upload: Path) -> None:
    odd = upload.rename(upload.parent / os.fsdecode(b"Stimme \xff \xe5\xa3\xb0"))
    assert (await decoder.prepare(odd, "acme")).seconds > 7


async def test_a_child_that_is_killed_costs_its_upload_alone(
    decoder: ReferenceDecoder, upload: Path
) -> None:
    killed = child_of(decoder)
    task = await stopped(decoder, upload)
    os.kill(killed, signal.SIGKILL)
    with pytest.raises(UnusableReference, match="cannot be decoded"):
        await task
    assert (await decoder.prepare(upload, "acme")).seconds > 7
    assert child_of(decoder) != killed


async def test_a_child_that_died_unseen_is_replaced(
    decoder: ReferenceDecoder, upload: Path
) -> None:
    killed = child_of(decoder)
    os.kill(killed, signal.SIGSEGV)
    while Path(f"/proc/{killed}").exists():  # until the loop has seen it end
        await asyncio.sleep(0)
    with pytest.raises(UnusableReference):
        await decoder.prepare(upload, "acme")
    assert (await decoder.prepare(upload, "acme")).seconds > 7


async def test_a_child_that_hangs_is_killed_at_the_time_limit_and_replaced(upload: Path) -> None:
    async with ReferenceDecoder(1, time_limit_s=0.1) as decoder:
        hanging = child_of(decoder)
        task = await stopped(decoder, upload)
        with pytest.raises(UnusableReference, match="took too long"):
            await task
        decoder._time_limit_s = 30
        assert (await decoder.prepare(upload, "acme")).seconds > 7
        assert not Path(f"/proc/{hanging}").exists()


async def test_a_client_that_leaves_costs_the_pool_no_process(
    decoder: ReferenceDecoder, upload: Path
) -> None:
    task = await stopped(decoder, upload)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await decoder.prepare(upload, "acme")).seconds > 7


async def test_a_tenant_whose_clients_leave_is_charged_for_the_processes_that_they_cost(
    decoder: ReferenceDecoder, upload: Path
) -> None:
    charged: list[tuple[str, float]] = []
    charge = decoder._queue.charge
    decoder._queue.charge = lambda *one: (charged.append(one), charge(*one))[1]  # type: ignore[method-assign]
    task = await stopped(decoder, upload)
    task.cancel()
    await decoder.prepare(upload, "globex")
    [(first, seconds), (second, _)] = charged
    assert (first, second) == ("acme", "globex")
    assert seconds > 0.05  # a process was started


async def test_more_uploads_than_may_wait_are_refused_at_once(upload: Path) -> None:
    async with ReferenceDecoder(1, waiting=1) as decoder:
        first = await stopped(decoder, upload)
        second = asyncio.ensure_future(decoder.prepare(upload, "acme"))
        while not len(decoder._queue):
            await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await decoder.prepare(upload, "acme")
        os.kill(child_of(decoder), signal.SIGCONT)
        assert (await first).wav == (await second).wav


async def test_closing_ends_every_process_also_one_that_hangs(upload: Path) -> None:
    async with ReferenceDecoder(2) as decoder:
        pids = [child._process.pid for child in decoder._children]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        task = asyncio.ensure_future(decoder.prepare(upload, "acme"))
        while len(decoder._free) == 2:
            await asyncio.sleep(0)
    with pytest.raises(UnusableReference):
        await task
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


async def test_a_child_learns_no_secret(upload: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATS_URL", "nats://user:secret@localhost")
    async with ReferenceDecoder(1) as decoder:
        await decoder.prepare(upload, "acme")
        assert b"secret" not in Path(f"/proc/{child_of(decoder)}/environ").read_bytes()


async def test_two_hundred_megabytes_are_decoded_in_little_memory(
    decoder: ReferenceDecoder, tmp_path: Path
) -> None:
    sound = np.stack([sounds.speech(60, 48_000)] * 2, axis=1)
    block = io.BytesIO()
    sounds.soundfile.write(block, sound, 48_000, format="RAW", subtype="PCM_16")
    header = bytearray(wav_header(sample_rate_hz=48_000, data_bytes=200 * MEGABYTE))
    header[22:24], header[28:34] = (
        (2).to_bytes(2, "little"),
        (192_000).to_bytes(4, "little") + b"\4\0",
    )
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.write(header)
        while file.tell() < 200 * MEGABYTE:
            file.write(block.getvalue())
    own, began_s = peak_megabytes(os.getpid()), time.monotonic()
    process = child_of(decoder)
    prepared = await decoder.prepare(large, "acme")
    assert 20 < prepared.seconds <= 30
    assert time.monotonic() - began_s < 30
    assert child_of(decoder) == process
    assert peak_megabytes(process) < 200
    assert 50 < decoder.last_peak_bytes / MEGABYTE < 400  # of the process that decoded
    assert peak_megabytes(os.getpid()) - own < 16


async def test_a_decoder_that_cannot_start_raises_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(OSError, match="did not become ready"):
        async with ReferenceDecoder(2):
            pytest.fail("nothing runs")
