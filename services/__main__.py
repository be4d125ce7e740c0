"""The whole service on this machine, in one terminal: NATS, a splitter, workers, an edge and the web interface.

`python -m services` runs until Ctrl-C; `python -m services demo` synthesizes one sentence to a file
and exits. Every part is a separate process, started as an operator would start it, and connected to
the others only by NATS. When this process exits, for any reason, the parts do too.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp

from services.common.runtime.lifecycle import ended_before, every, stop_on_signals
from services.common.runtime.local_nats import NoNatsServer, local_nats
from services.common.runtime.scratch import scratch_folder
from services.common.runtime.settings import BadSettings, read_settings
from services.common.runtime.tcp_ports import CannotListen, free_port, listens, require_free
from services.curl_command import form_command
from services.http_edge.settings import Settings as EdgeSettings
from services.processes import NatsPart, PartEnded, ServicePart, Watched, ended, say
from services.splitter.settings import Settings as SplitterSettings
from services.synth_worker.settings import Settings as WorkerSettings

_READY_S: Final = 300.0
_ANSWER_S: Final = 2.0
_PARENT_S: Final = 0.5  # how often to check whether the parent process still runs
_STOP_S: Final = 40.0  # for a part whose exit time is not known
_SCRATCH: Final = "voice-cloning-"
# A stop is quick by default: on one machine no other edge continues the streams.
_DEFAULTS: Final = {"LOG_READABLE": "true", "HTTP_STOP_S": "5", "WORKER_STOP_S": "5"}
_DEMO_TEXT: Final = (
    "Bonjour ! Cette voix est née d'un court extrait, et elle parle maintenant votre langue."
)
_DEMO_CLIP: Final = Path(__file__).parents[1] / "examples" / "voices" / "austen.flac"


class Port(NamedTuple):
    """A port that a part will listen on."""

    host: str
    number: int
    advice: str  # the remedy if it is in use


class RunningService(NamedTuple):
    """The running service: parts in the order of their stop, and processes that must stay alive."""

    address: str
    parts: list[ServicePart]
    watched: list[Watched]


def ports_of(
    environment: Mapping[str, str], workers: int, port: int, ui_port: int | None
) -> list[Port]:
    """Return the ports that the service will listen on. Raises CannotListen if two are the same."""
    wanted = [
        Port(
            environment.get("HTTP_HOST") or "127.0.0.1",
            port,
            "stop it, or choose another port with --port",
        )
    ]
    if ui_port is not None:
        host = environment.get("UI_HOST") or "127.0.0.1"
        wanted.append(
            Port(
                host,
                ui_port,
                "stop it, choose another port with --ui-port, or leave it out with --no-ui",
            )
        )
    for kind, count in (("SPLITTER", 1), ("WORKER", workers)):
        given = environment.get(f"{kind}_HEALTH_PORT", "")
        if not given.isascii() or not given.isdigit() or given == "0":
            continue  # none, or the service itself reports the error
        if count > 1:
            raise CannotListen(
                f"{kind}_HEALTH_PORT is one port for {count} processes; leave it out, or use --workers 1"
            )
        host = environment.get(f"{kind}_HEALTH_HOST") or "127.0.0.1"
        wanted.append(Port(host, int(given), f"stop it, or choose another {kind}_HEALTH_PORT"))
    numbers = [each.number for each in wanted]
    for number in numbers:
        if numbers.count(number) > 1:
            raise CannotListen(
                f"port {number} is set for two parts; choose a different port for each"
            )
    return wanted


def require_ports(wanted: Sequence[Port]) -> None:
    """Raise CannotListen, with the owner of the port and the remedy, if one is in use."""
    for each in wanted:
        try:
            require_free(each.host, each.number)
        except CannotListen as taken:
            raise CannotListen(f"{taken}; {each.advice}") from None


@asynccontextmanager
async def nats(folder: Path) -> AsyncIterator[tuple[str, list[Watched]]]:
    """Yield the URL of NATS and, if the server was started here, its process."""
    if os.environ.get("NATS_URL"):
        yield os.environ["NATS_URL"], []
        return
    async with local_nats(folder) as server:
        say(f"nats      ready on {server.url}")
        yield server.url, [NatsPart(server)]


@asynccontextmanager
async def whole_service(
    workers: int, port: int, ui_port: int | None = None
) -> AsyncIterator[RunningService]:
    """Run all parts while the block runs; the web interface only if it has a port.

    Raises CannotListen.
    """
    require_ports(ports_of(os.environ, workers, port, ui_port))
    with scratch_folder(_SCRATCH) as folder:
        for name in ("nats", "tmp"):
            (folder / name).mkdir()
        async with nats(folder / "nats") as (nats_url, watched):
            own = {"NATS_URL": nats_url, "HTTP_PORT": str(port), "TMPDIR": str(folder / "tmp")}
            linked = {} if ui_port is None else {"UI_URL": f"http://localhost:{ui_port}"}
            environment = _DEFAULTS | linked | os.environ | own
            parts: list[ServicePart] = []
            try:
                parts.append(await ServicePart.start("edge", "services.http_edge", environment))
                parts.append(await ServicePart.start("splitter", "services.splitter", environment))
                for number in range(1, workers + 1):
                    name = f"worker-{number}"
                    worker = await ServicePart.start(name, "services.synth_worker", environment)
                    parts.append(worker)
                if ui_port is not None:
                    pages = {"UI_PORT": str(ui_port), "SERVICE_URL": f"http://localhost:{port}"}
                    parts.append(await ServicePart.start("ui", "ui", environment | pages))
                yield RunningService(f"http://localhost:{port}", parts, [*watched, *parts])
            finally:
                await end(parts, environment)


async def end(parts: Sequence[ServicePart], environment: Mapping[str, str]) -> None:
    """Stop the edge, which finishes its requests and accepts no new ones, then the other parts."""
    patience_s = {
        "edge": exit_s(EdgeSettings, environment),
        "splitter": exit_s(SplitterSettings, environment),
        "worker": exit_s(WorkerSettings, environment),
    }
    for some in (parts[:1], parts[1:]):
        await asyncio.gather(
            *(part.stop(patience_s.get(part.name.partition("-")[0], _STOP_S)) for part in some)
        )


def exit_s(
    kind: type[EdgeSettings | SplitterSettings | WorkerSettings], environment: Mapping[str, str]
) -> float:
    """Return how long a service may take to exit, in seconds."""
    try:
        return read_settings(kind, environment).exit_s
    except BadSettings:
        return _STOP_S  # it has exited


async def until_ready(
    url: str, running: RunningService, part: ServicePart, stop: asyncio.Event | None = None
) -> None:
    """Wait until this part responds with 200, or `stop` is set. Raises PartEnded, TimeoutError."""
    # Another process may have the port and never respond.
    timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
    port = int(url.split(":")[2].partition("/")[0])
    async with asyncio.timeout(_READY_S), aiohttp.ClientSession(timeout=timeout) as session:
        while stop is None or not stop.is_set():
            for each in running.watched:
                if each.status is not None:
                    raise ended(each)
            try:
                async with session.get(url) as response:
                    if response.status == 200 and listens(part.process.pid, port):
                        return
            except (aiohttp.ClientConnectionError, TimeoutError):
                pass  # it does not listen yet
            await asyncio.sleep(0.1)


async def until_stopped(watched: Sequence[Watched], stop: asyncio.Event) -> None:
    """Wait until `stop` is set. Raises PartEnded if a part or NATS exits before."""
    stopping = asyncio.create_task(stop.wait(), name="signals")
    ending = {asyncio.create_task(each.wait(), name=each.name): each for each in watched}
    done, waiting = await asyncio.wait([stopping, *ending], return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    for task in done:
        if task is not stopping and not stop.is_set():
            raise ended(ending[task])


async def stop_with(parent: int | None, stop: asyncio.Event) -> None:
    """Set `stop` when the process with this id is no longer the parent of this one."""

    async def look() -> None:
        if parent is not None and os.getppid() != parent:
            say("What started this has ended.")
            stop.set()

    await every(_PARENT_S, look, stop)


def kill_at_next_signal(parts: Sequence[ServicePart]) -> None:
    """Kill all parts at the next Ctrl-C."""

    def kill() -> None:
        for part in parts:
            part.kill()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, kill)


def demo_command(address: str) -> str:
    """Return the curl command of the ready line."""
    return form_command(
        f"{address}/synthesize",
        {"text": _DEMO_TEXT, "language": "fr"},
        files={"reference_audio": _DEMO_CLIP},
        out="speech.wav",
    )


async def run(workers: int, port: int, ui_port: int | None, stop: asyncio.Event) -> None:
    """Run the service until `stop` is set."""
    began_s = time.monotonic()
    async with whole_service(workers, port, ui_port) as running:
        await until_ready(f"{running.address}/readyz", running, running.parts[0], stop)
        if ui_port is not None:
            await until_ready(
                f"http://127.0.0.1:{ui_port}/_stcore/health", running, running.parts[-1], stop
            )
        if not stop.is_set():
            say(
                f"\nReady after {time.monotonic() - began_s:.1f} s on {running.address}. Hear it in another terminal:\n"
            )
            say(f"{demo_command(running.address)}\n")
            if ui_port is not None:
                say(f"or in a browser: http://localhost:{ui_port}\n")
            say("Ctrl-C ends everything.\n")
        await until_stopped(running.watched, stop)
        kill_at_next_signal(running.parts)
        say("\nEnding... Ctrl-C again ends it at once.")
    say("Ended.")


async def speak_once(text: str, language: str, clip: bytes, out: Path) -> None:
    """Start all parts, synthesize one text to a WAV file and stop them.

    Raises PartEnded with the error response.
    """
    async with whole_service(workers=1, port=free_port()) as running:
        await until_ready(f"{running.address}/readyz", running, running.parts[0])
        began_s = time.monotonic()
        form = aiohttp.FormData({"text": text, "language": language})
        form.add_field("reference_audio", clip, filename="reference")
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{running.address}/synthesize", data=form) as response,
        ):
            body = await response.read()
            if response.status != 200:
                raise PartEnded(body.decode(errors="replace"))
        say(f"\n{(len(body) - 44) / 48_000:.1f} s of speech in {time.monotonic() - began_s:.1f} s")
    await asyncio.to_thread(out.write_bytes, body)
    say(f"Play {out}")


async def live(choice: argparse.Namespace) -> None:
    """Run the command line, until a signal."""
    stop = stop_on_signals()
    parent = asyncio.create_task(stop_with(choice.parent, stop), name="parent")
    try:
        if choice.command == "run":
            await run(choice.workers, choice.port, None if choice.no_ui else choice.ui_port, stop)
        else:
            clip = await asyncio.to_thread(choice.clip.read_bytes)
            if not await ended_before(
                stop, speak_once(choice.text, choice.language, clip, choice.out)
            ):
                sys.exit(130)
    finally:
        parent.cancel()


def port_number(text: str) -> int:
    """Return a port from the command line."""
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 65535:
        raise argparse.ArgumentTypeError("a port is 1 to 65535")
    return int(text)


def main() -> None:
    """Parse and run the command line."""
    parser = argparse.ArgumentParser(prog="python -m services", description=__doc__)
    parser.add_argument("command", nargs="?", choices=["run", "demo"], default="run")
    parser.add_argument("--workers", type=int, default=1, help="synthesis workers (run)")
    parser.add_argument("--port", type=port_number, default=8004, help="of the HTTP edge (run)")
    parser.add_argument(
        "--ui-port", type=port_number, default=8501, help="of the web interface (run)"
    )
    parser.add_argument("--no-ui", action="store_true", help="without the web interface (run)")
    parser.add_argument(
        "--out", type=Path, default=Path("demo.wav"), help="where the speech goes (demo)"
    )
    parser.add_argument("--text", default=_DEMO_TEXT, help="text to speak (demo)")
    parser.add_argument("--language", default="fr", help="in which language (demo)")
    parser.add_argument(
        "--clip", type=Path, default=_DEMO_CLIP, help="reference recording of the voice (demo)"
    )
    parser.add_argument(
        "--parent",
        type=int,
        help="end when the process of this number, which started this one, does",
    )
    try:
        asyncio.run(live(parser.parse_args()))
    except TimeoutError:
        sys.exit(
            f"the service was not ready within {_READY_S:.0f} s; the lines above say how far it came"
        )
    except (PartEnded, NoNatsServer, CannotListen, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
