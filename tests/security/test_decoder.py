"""Reference audio as an attack: on the decoder's time, on other tenants' share of it, and on the edge's secrets."""

import asyncio
import ctypes
import io
import json
import os
import platform
import signal
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import av
import numpy as np
import pytest
import pytest_asyncio

from services.common.audio.wav import wav_header
from services.common.runtime.child.confinement import ProcessLimits, run_confined
from services.common.wire.failures import QueueFull, TenantQueueFull, UnusableReference
from services.http_edge.intake.reference.decoder import ReferenceDecoder
from services.http_edge.intake.reference.decoder_child import DecoderChild
from tests.support import sounds

LINUX = pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere the limits alone hold, as documented"
)
FILTERED = pytest.mark.skipif(
    platform.machine() not in {"x86_64", "aarch64"},
    reason="other processors' calls are not filtered, as documented",
)
SHARED = pytest.mark.asyncio(loop_scope="module")
LIMITS = ProcessLimits(memory_bytes=2**30, processor_s=1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def decoder() -> AsyncIterator[ReferenceDecoder]:
    """Start one decoder for all files that cost none."""
    async with ReferenceDecoder(1) as running:
        yield running


def silent_flac(seconds: float, rate_hz: int, layout: str) -> bytes:
    """Return silence: next to no bytes, and any number of samples."""
    file = io.BytesIO()
    with av.open(file, "w", format="flac") as output:
        stream = output.add_stream("flac", rate=rate_hz, layout=layout)
        stream.codec_context.options = {"strict": "-2"}
        channels = av.AudioLayout(layout).nb_channels
        block = np.zeros((1, 4608 * channels), np.int16)
        for _ in range(round(seconds * rate_hz / 4608)):
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout=layout)
            frame.sample_rate = rate_hz
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def wav(rate_hz: int, channels: int, content: bytes = bytes(400_000)) -> bytes:
    header = bytearray(wav_header(sample_rate_hz=24_000, data_bytes=len(content)))
    struct.pack_into(
        "<HIIH", header, 22, channels, rate_hz, 2 * rate_hz & 0xFFFFFFFF, 2 * channels & 0xFFFF
    )
    return bytes(header) + content


def declaring(flac: bytes, rate_hz: int, channels: int) -> bytes:
    """Return a FLAC whose header declares something else than its frames."""
    lying = bytearray(flac)
    start = 18  # "fLaC", a block's header, block and frame sizes; then 20 bits of rate, 3 of channels less one
    packed = rate_hz << 4 | (channels - 1) << 1 | lying[start + 2] & 1
    lying[start : start + 3] = packed.to_bytes(3, "big")
    return bytes(lying)


async def refusal(decoder: ReferenceDecoder, upload: Path, content: bytes) -> str:
    upload.write_bytes(content)
    with pytest.raises(UnusableReference) as refused:
        await decoder.prepare(upload, "acme")
    return str(refused.value)


# made when they are needed: every worker of a test run collects them
ABSURD: dict[str, tuple[Callable[[], bytes], str]] = {
    "eight channels at 655,350 samples a second": (
        lambda: silent_flac(20, 655_350, "7.1"),
        "655350 samples a second",
    ),
    "two thousand million samples a second": (lambda: wav(2**31 - 1, 1), "send"),
    "four thousand million samples a second": (lambda: wav(2**32 - 1, 2), "send"),
    "no samples a second": (lambda: wav(0, 1), "send"),
    "one sample a second": (lambda: wav(1, 1), "1 samples a second"),
    "two hundred channels": (lambda: wav(24_000, 200), "200 channels"),
    "sixty thousand channels": (lambda: wav(24_000, 60_000), "send"),
    "no channels": (lambda: wav(24_000, 0), "send"),
    "an absurd header, modest frames": (
        lambda: declaring(silent_flac(5, 24_000, "mono"), 655_350, 8),
        "send",
    ),
    "raw ADTS that is no audio": (lambda: b"\xff\xf1\x50\x80\x2e\x7f\xfc" * 20_000, "send"),
}


@SHARED
@pytest.mark.parametrize(("make", "said"), ABSURD.values(), ids=ABSURD.keys())
async def test_what_a_file_declares_is_bounded_before_it_is_decoded(
    decoder: ReferenceDecoder, tmp_path: Path, make: Callable[[], bytes], said: str
) -> None:
    process = _process_of(decoder)
    advice = await refusal(decoder, tmp_path / "upload", make())
    assert said in advice
    assert "send" in advice
    assert decoder.last_processor_s < 1
    assert _process_of(decoder) == process  # it cost no decoder


@SHARED
async def test_frames_of_more_than_their_header_declares_cost_bounded_time(
    decoder: ReferenceDecoder, tmp_path: Path
) -> None:
    content = declaring(silent_flac(20, 655_350, "7.1"), 24_000, 1)  # 105 million samples in 115 kB
    assert "send" in await refusal(decoder, tmp_path / "upload", content)
    assert decoder.last_processor_s < 6


@SHARED
@pytest.mark.parametrize("layout", ["7.1", "6.1", "stereo"])
async def test_many_silent_samples_in_few_bytes_cost_bounded_time(
    decoder: ReferenceDecoder, tmp_path: Path, layout: str
) -> None:
    content = silent_flac(45, 192_000, layout)
    assert len(content) < 400_000
    assert "send" in await refusal(decoder, tmp_path / "upload", content)
    assert decoder.last_processor_s < 6


async def test_a_file_that_takes_too_long_to_decode_is_refused_and_costs_no_decoder(
    tmp_path: Path,
) -> None:
    upload = tmp_path / "slow"
    sound = np.tile(np.stack([sounds.speech(30, 48_000)] * 2, axis=1), (20, 1))
    sounds.write(upload, sound, 48_000, "FLAC", "PCM_16")
    async with ReferenceDecoder(1, processor_s=1) as decoder:
        process = _process_of(decoder)
        with pytest.raises(UnusableReference, match="took too long to decode; send 6-30 s"):
            await decoder.prepare(upload, "acme")
        assert 0.5 < decoder.last_processor_s < 3
        assert _process_of(decoder) == process


async def test_a_tenant_with_many_uploads_delays_another_tenants_by_one(tmp_path: Path) -> None:
    slow = sounds.write(tmp_path / "slow", np.tile(sounds.speech(30), 4), 24_000, "WAV")
    quick = sounds.write(tmp_path / "quick", sounds.speech(7), 24_000, "WAV")
    ended: list[str] = []

    async def prepare(path: Path, tenant: str) -> None:
        await decoder.prepare(path, tenant)
        ended.append(tenant)

    async with ReferenceDecoder(1) as decoder:
        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(prepare(slow, "greedy"))
            while len(decoder._queue) < 7:
                await asyncio.sleep(0)
            group.create_task(prepare(quick, "modest"))
    assert ended.index("modest") <= 1
    assert len(ended) == 9


async def test_too_many_waiting_uploads_are_refused_by_whose_they_are(tmp_path: Path) -> None:
    upload = sounds.write(tmp_path / "upload", sounds.speech(7), 24_000, "WAV")
    async with ReferenceDecoder(1, waiting=5, waiting_per_tenant=3) as decoder:
        process = _process_of(decoder)
        os.kill(process, signal.SIGSTOP)

        async def waits(tenant: str) -> asyncio.Task[object]:
            before = len(decoder._queue) + (not decoder._free)
            task: asyncio.Task[object] = asyncio.ensure_future(decoder.prepare(upload, tenant))
            while len(decoder._queue) + (not decoder._free) == before:
                await asyncio.sleep(0)
            return task

        tasks = [await waits("greedy") for _ in range(4)]
        with pytest.raises(TenantQueueFull) as own:
            await decoder.prepare(upload, "greedy")
        assert own.value.http_status == 429
        assert own.value.retry_after_s is not None
        tasks += [await waits("second") for _ in range(2)]
        newcomer = asyncio.ensure_future(decoder.prepare(upload, "third"))
        with pytest.raises(QueueFull) as displaced:  # the newest of the one who has most
            await tasks.pop(3)
        assert displaced.value.http_status == 503
        assert displaced.value.retry_after_s is not None
        with pytest.raises(QueueFull):
            await decoder.prepare(upload, "second")
        os.kill(process, signal.SIGCONT)
        await asyncio.gather(newcomer, *tasks)


def test_confined_work_is_ended_by_its_processor_time_though_it_ignores_the_signal() -> None:
    def stubborn(_: object) -> bytes:
        signal.signal(signal.SIGXCPU, signal.SIG_IGN)
        while True:
            pass

    def ordinary(_: object) -> bytes:
        while True:
            pass

    began_s = time.process_time()
    for work, status in ((stubborn, -signal.SIGKILL), (ordinary, -signal.SIGXCPU)):
        outcome = run_in_new_process(work)
        assert outcome["status"] == status
        assert outcome["processor_s"] < 4
    assert time.process_time() - began_s < 4


def test_confined_work_that_crashes_fails_or_babbles_ends_alone() -> None:
    def crashes(_: object) -> bytes:
        return ctypes.string_at(0)

    def fails(_: object) -> bytes:
        raise ZeroDivisionError

    def babbles(_: object) -> bytes:
        return bytes(10_000_000)

    def answers(_: object) -> bytes:
        return bytes(1_000)

    def grows(_: object) -> bytes:
        return bytes(2**31)

    came = [run_in_new_process(work) for work in (crashes, fails, babbles, grows, answers)]
    crashed, failed, babbled, grew, answered = (one["status"] for one in came)
    assert (crashed, failed, grew, answered) == (-signal.SIGSEGV, 70, 70, 0)
    assert babbled != 0
    assert [one["bytes"] for one in came] == [0, 0, 0, 0, 1_000]


def run_in_new_process(work: object) -> dict[str, float]:
    """Run work confined from a process with a single thread, which this one may not be."""
    read, write = os.pipe()
    process = os.fork()
    if process == 0:
        outcome = run_confined(work, LIMITS, most_bytes=1_000, most_s=60)  # type: ignore[arg-type]
        said = {
            "status": outcome.status,
            "processor_s": outcome.processor_s,
            "bytes": len(outcome.content),
        }
        os.write(write, json.dumps(said).encode())
        os._exit(0)
    os.close(write)
    os.waitpid(process, 0)
    with os.fdopen(read) as answer:
        came: dict[str, float] = json.load(answer)
        return came


def probe(
    user: str, tmp_path: Path, *without: str, only: str = ""
) -> tuple[list[str], dict[str, str]]:
    """Return the layers that hold, and what came of what a decoder that was broken into tries."""
    tmp_path.chmod(0o755)
    seed = tmp_path / "seed"
    seed.write_text("a secret")
    seed.chmod(0o600)
    done = subprocess.run(
        [sys.executable, "-m", "tests.security.decoder_probe", user, str(seed), only, *without],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "NATS_NKEY_SEED_FILE": str(seed)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    said = json.loads(done.stdout)
    assert said["status"] == 0
    assert len(said["tried"]) > (4 if only else 50)
    return said["layers"], said["tried"]


def succeeded(tried: dict[str, str], *parts: str) -> list[str]:
    """Return what was done; of parts, only the attempts that name one."""
    return [
        name
        for name, came in tried.items()
        if came == "done" and (not parts or any(part in name for part in parts))
    ]


@LINUX
@FILTERED
@pytest.mark.parametrize("user", ["root", "user"])
@pytest.mark.parametrize("without", ["", "landlock"])
def test_a_decoder_that_was_broken_into_can_do_nothing_but_compute(
    tmp_path: Path, user: str, without: str
) -> None:
    layers, tried = probe(user, tmp_path, without)
    assert {"limits", "no_capabilities", "not_dumpable", "no_new_privileges", "seccomp"} <= set(
        layers
    )
    assert succeeded(tried) == []


@LINUX
@pytest.mark.parametrize("user", ["root", "user"])
def test_without_its_filter_a_decoder_still_reads_no_file_starts_nothing_and_raises_no_limit(
    tmp_path: Path, user: str
) -> None:
    layers, tried = probe(user, tmp_path, "seccomp")
    if "landlock" not in layers:
        pytest.skip("this kernel has no Landlock")
    assert (
        succeeded(
            tried, "file", "environment", "'s memory", "descriptors", "folder", "program", "process"
        )
        == []
    )
    assert succeeded(tried, "trace the", "more ", "thread", "be root") == []


@LINUX
@pytest.mark.parametrize("user", ["root", "user"])
def test_the_edges_own_memory_is_closed_also_where_the_kernel_offers_neither_filter_nor_landlock(
    tmp_path: Path, user: str
) -> None:
    only = "the edge's,the parent's,trace the,second process,thread,more ,be root"
    _, tried = probe(user, tmp_path, "seccomp", "landlock", only=only)
    assert succeeded(tried) == []


@LINUX
@FILTERED
async def test_the_edges_decoder_runs_confined_and_has_no_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NATS_NKEY_SEED_FILE", "/run/secrets/a-secret-seed")
    monkeypatch.setenv("API_KEY", "a-secret-key")
    child = await DecoderChild.start(5, 60.0)
    try:
        layers = (await child.ready()).layers
        environment = Path(f"/proc/{child._process.pid}/environ").read_bytes()
    finally:
        await child.end()
    assert {"limits", "no_capabilities", "not_dumpable", "no_new_privileges", "seccomp"} <= set(
        layers
    )
    assert "own_user" in layers or os.geteuid() != 0
    assert b"secret" not in environment
    assert b"NATS" not in environment


def _process_of(decoder: ReferenceDecoder) -> int:
    (child,) = decoder._children
    return child._process.pid
