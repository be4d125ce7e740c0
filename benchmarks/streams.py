"""`python -m benchmarks.streams`: the cost of audio for NATS's servers, and how long the store of audio lasts.

Starts one or three nats-servers on loopback, creates the service's streams, publishes messages of audio as workers do
(with an id, waiting for each acknowledgement) and reads them as an edge does, from another server. The processor time
is that of the servers only, "CPU" without their idle time. Encrypted: TLS between all, and the files, as in deploy/k8s.

The second table fills a small `TTS_AUDIO` twice at each rate, and shows how long it keeps a message.
"""

import argparse
import asyncio
import logging
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from nats.aio.msg import Msg

from services.admin.nats_users import certificates, store_key
from services.common.bus.nats.access import Access
from services.common.bus.nats.connection import NatsBus
from services.common.bus.topology import AUDIO, topology
from services.common.runtime.local_nats import find_nats_server
from services.common.runtime.logs import configure_logs
from services.common.runtime.tcp_ports import free_port

MEGABYTE = 1_000_000
AUDIO_BYTES_PER_S = 48_000  # 24 kHz, 16 bit
IN_FLIGHT = 64  # of all workers
SUBJECT = "tts.v1.audio.public.{request}.{sentence}.{chunk}"
CHUNKS = 20  # of a sentence
START_S = 30.0
IDLE_S = 5.0
WARM_MB = 5


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    replicas: int
    deployed: bool
    rate_mb_s: float  # 0: as fast as possible


@dataclass(frozen=True)
class Cost:
    """The measured cost of a case."""

    mb: float
    wall_s: float
    cpu_s: tuple[float, ...]  # of each server
    idle_cores: float  # of all servers
    p99_ms: float  # until a message is acknowledged
    lost: int  # messages that the reader did not get


def configuration(folder: Path, case: Case, number: int, ports: Sequence[tuple[int, int]]) -> str:
    """Return a server's configuration."""
    client, routes = ports[number]
    keys = folder.parent
    files = f'cert_file: "{keys}/tls.crt", key_file: "{keys}/tls.key", ca_file: "{keys}/ca.crt"'
    tls = f"tls {{ {files} }}\n" if case.deployed else ""
    route_tls = f"tls {{ {files}, verify: true }}" if case.deployed else ""
    key = f'include "{os.path.relpath(keys / "store-key.conf", folder)}"' if case.deployed else ""
    others = ", ".join(f'"nats://localhost:{port}"' for _, port in ports)
    cluster = (
        f'cluster {{ name: bench, listen: "127.0.0.1:{routes}", routes: [{others}]\n{route_tls} }}\n'
        if len(ports) > 1
        else ""
    )
    return (
        f'server_name: bench-{number}\nlisten: "127.0.0.1:{client}"\nmax_payload: 8MB\n{tls}{cluster}'
        f'jetstream {{ store_dir: "{folder}", max_file_store: 24GB, sync_interval: 10s\n{key}\n}}\n'
    )


@asynccontextmanager
async def servers(top: Path, case: Case) -> AsyncIterator[tuple[list[psutil.Process], list[str]]]:
    """Run the servers of a case; their processes and URLs."""
    store_key(top)
    certificates(top, ["localhost"])
    ports = [(free_port(), free_port()) for _ in range(case.replicas)]

    async with AsyncExitStack() as stack:
        processes = []

        for number in range(case.replicas):
            folder = top / str(number)
            folder.mkdir()
            path = folder / "nats.conf"
            path.write_text(configuration(folder, case, number, ports), "utf-8")
            process = await asyncio.create_subprocess_exec(
                find_nats_server(), "-c", path, "-l", folder / "nats.log"
            )
            stack.push_async_callback(process.wait)
            stack.callback(process.kill)
            processes.append(psutil.Process(process.pid))

        yield processes, [f"nats://localhost:{client}" for client, _ in ports]


async def publish(bus: NatsBus, case: Case, megabytes: float, chunk: bytes) -> list[float]:
    """Publish audio, at the rate of the case; return how long each message took, in seconds."""
    count = round(megabytes * MEGABYTE / len(chunk))
    slots = asyncio.Semaphore(IN_FLIGHT)
    took_s: list[float] = []
    begun_s = time.perf_counter()

    async def one(number: int) -> None:
        sentence, index = divmod(number, CHUNKS)
        subject = SUBJECT.format(request="benchmark", sentence=sentence, chunk=index)
        sent_s = time.perf_counter()
        await bus.publish(subject, chunk, message_id=subject)
        took_s.append(time.perf_counter() - sent_s)
        slots.release()

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            if case.rate_mb_s:
                due_s = begun_s + number * len(chunk) / MEGABYTE / case.rate_mb_s
                await asyncio.sleep(max(0.0, due_s - time.perf_counter()))

            await slots.acquire()
            group.create_task(one(number))

    return took_s


async def measure(case: Case, megabytes: float, message_bytes: int) -> Cost:
    """Measure a case in a folder that is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="streams-") as folder:
        async with servers(Path(folder), case) as (processes, urls):
            access = Access(ca_file=f"{folder}/ca.crt") if case.deployed else Access()
            worker = await _connect(urls[0], access)
            edge = await _connect(urls[-1], access)
            await worker.establish(topology(replicas=case.replicas))
            heard = 0

            async def hear(_: Msg) -> None:
                nonlocal heard
                heard += 1

            await edge.client.subscribe(
                "tts.v1.audio.public.>", cb=hear, pending_bytes_limit=1 << 30
            )
            chunk = os.urandom(message_bytes)
            await publish(worker, Case(case.replicas, case.deployed, 0), WARM_MB, chunk)
            idle = await _idle_cores(processes)
            heard = 0
            before = [_cpu_s(process) for process in processes]
            begun_s = time.perf_counter()
            took_s = await publish(worker, case, megabytes, chunk)
            wall_s = time.perf_counter() - begun_s
            await _until(lambda: heard >= len(took_s))
            cpu_s = tuple(
                _cpu_s(process) - spent for process, spent in zip(processes, before, strict=True)
            )
            await worker.close()
            await edge.close()

    p99_ms = 1000 * statistics.quantiles(took_s, n=100)[98]
    megabytes = len(took_s) * message_bytes / MEGABYTE
    return Cost(megabytes, wall_s, cpu_s, idle, p99_ms, len(took_s) - heard)


async def _connect(url: str, access: Access) -> NatsBus:
    """Connect once the server listens."""
    async with asyncio.timeout(START_S):
        return await NatsBus.connect(url, name="benchmark", patience_s=START_S, access=access)


async def _idle_cores(processes: Sequence[psutil.Process]) -> float:
    """Return how many cores the servers use without audio."""
    await asyncio.sleep(1)
    before_s = sum(map(_cpu_s, processes))
    await asyncio.sleep(IDLE_S)
    return (sum(map(_cpu_s, processes)) - before_s) / IDLE_S


async def _until(true: Callable[[], bool]) -> None:
    """Wait until a condition is true, for at most 10 s."""
    for _ in range(100):
        if true():
            return
        await asyncio.sleep(0.1)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def retention(rate_mb_s: float, store_bytes: int, message_bytes: int) -> float:
    """Return how long a store keeps audio that arrives at a rate, in seconds."""
    case = Case(1, False, rate_mb_s)

    with tempfile.TemporaryDirectory(prefix="streams-") as folder:
        async with servers(Path(folder), case) as (_, urls):
            bus = await _connect(urls[0], Access())
            await bus.establish(topology(audio_max_bytes=store_bytes))
            begun_s = time.perf_counter()
            took_s = await publish(bus, case, 2 * store_bytes / MEGABYTE, os.urandom(message_bytes))
            wall_s = time.perf_counter() - begun_s
            kept = await bus.message_count(AUDIO)
            await bus.close()

    return kept * wall_s / len(took_s)


def row(case: Case, cost: Cost) -> str:
    """Return a line of the table."""
    total_s = sum(cost.cpu_s)
    audio_s = total_s - cost.idle_cores * cost.wall_s
    cells = (
        str(case.replicas),
        "yes" if case.deployed else "no",
        f"{cost.mb / cost.wall_s:.1f}",
        f"{cost.mb * MEGABYTE / AUDIO_BYTES_PER_S / cost.wall_s:.0f}",
        f"{cost.idle_cores:.2f}",
        f"{total_s / cost.wall_s:.2f}",
        f"{max(cost.cpu_s) / cost.wall_s:.2f}",
        f"{1000 * audio_s / cost.mb:.1f}",
        f"{cost.p99_ms:.1f}",
        str(cost.lost),
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streams", description=__doc__)
    parser.add_argument("--megabytes", type=float, default=200, metavar="N", help="per row")
    parser.add_argument("--message-bytes", type=int, default=24_000, metavar="N")
    parser.add_argument(
        "--rates", type=float, nargs="+", default=[5.1, 13.4, 0], metavar="N", help="MB/s; 0: most"
    )
    parser.add_argument("--store-mib", type=int, default=32, metavar="N", help="second table")
    options = parser.parse_args()
    configure_logs("benchmark", level="error")
    logging.getLogger("asyncio").setLevel(logging.ERROR)

    print(
        "| servers | encrypted | MB/s | s of audio/s | cores idle | cores | busiest server "
        "| CPU, ms/MB | acknowledged, p99, ms | not read |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for deployed in (False, True):
        for replicas in (1, 3):
            for rate in options.rates:
                case = Case(replicas, deployed, rate)
                cost = asyncio.run(measure(case, options.megabytes, options.message_bytes))
                print(row(case, cost), flush=True)

    print("\n| MB/s | TTS_AUDIO, MiB | keeps, s | expected, s |\n|---|---|---|---|")
    store_bytes = options.store_mib << 20
    for rate in filter(None, options.rates):
        kept_s = asyncio.run(retention(rate, store_bytes, options.message_bytes))
        expected_s = store_bytes / MEGABYTE / rate
        print(f"| {rate} | {options.store_mib} | {kept_s:.1f} | {expected_s:.1f} |", flush=True)


if __name__ == "__main__":
    main()
