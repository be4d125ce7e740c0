"""The whole service on this machine, in one terminal: NATS, a splitter, workers, an edge and the web interface.

`python -m services` runs until Ctrl-C; `python -m services demo` speaks one sentence to a file and ends. Every part is
a process of its own, started as an operator would start it, and reaches the others over NATS alone.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp

from services.common.runtime.lifecycle import stop_on_signals
from services.common.runtime.local_nats import LocalNats, NoNatsServer, free_port, local_nats

_READY_S: Final = 300.0
_ANSWER_S: Final = 2.0
_STOP_S: Final = 40.0
_DEMO_TEXT: Final = "Bonjour ! Cette voix est née d'un court extrait, et elle parle maintenant votre langue."
_DEMO_CLIP: Final = Path(__file__).parents[1] / "examples" / "voices" / "austen.flac"


class PartEnded(Exception):
    """A part of the service ended by itself."""


class Part:
    """One child process, its lines shown under its name."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.process = process
        self._showing = asyncio.create_task(self._show(), name=f"show-{name}")

    @classmethod
    async def start(cls, name: str, module: str, environment: dict[str, str]) -> "Part":
        """Start `python -m module`."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches this process only, which ends the parts in order
        )
        return cls(name, process)

    async def _show(self) -> None:
        assert self.process.stdout is not None  # noqa: S101  # it is a pipe
        while line := await self.process.stdout.readline():
            say(f"{self.name:<9} {line.decode(errors='replace').rstrip()}")

    async def stop(self) -> None:
        """Ask it to end, and see that it does."""
        if self.process.returncode is None:
            self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), _STOP_S)
            except TimeoutError:
                self.process.kill()
        await self._showing


def say(line: str) -> None:
    """Show a line at once."""
    print(line, flush=True)  # noqa: T201  # this program's output is its terminal


@asynccontextmanager
async def nats(folder: Path) -> AsyncIterator[str]:
    """Yield the URL of NATS: the operator's, or that of a server of our own."""
    if os.environ.get("NATS_URL"):
        yield os.environ["NATS_URL"]
        return
    server: LocalNats
    async with local_nats(folder) as server:
        say(f"nats      ready on {server.url}")
        yield server.url


@asynccontextmanager
async def whole_service(workers: int, port: int, ui_port: int | None = None) -> AsyncIterator[tuple[str, list[Part]]]:
    """Run everything while the block runs, the web interface where it has a port; yield the edge's address and the
    parts."""
    with tempfile.TemporaryDirectory(prefix="voice-cloning-") as folder:
        async with nats(Path(folder)) as nats_url:
            environment = {"LOG_READABLE": "true", **os.environ, "NATS_URL": nats_url, "HTTP_PORT": str(port)}
            parts: list[Part] = []
            try:
                parts.append(await Part.start("edge", "services.http_edge", environment))
                parts.append(await Part.start("splitter", "services.splitter", environment))
                for number in range(1, workers + 1):
                    parts.append(await Part.start(f"worker-{number}", "services.synth_worker", environment))  # noqa: PERF401
                if ui_port is not None:
                    own = {"UI_PORT": str(ui_port), "SERVICE_URL": f"http://localhost:{port}"}
                    parts.append(await Part.start("ui", "ui", environment | own))
                yield f"http://localhost:{port}", parts
            finally:
                for part in parts:  # the edge first: it takes no new requests, and ends those that it has
                    await part.stop()


async def until_ready(url: str, parts: list[Part], stop: asyncio.Event | None = None) -> None:
    """Wait until this answers with 200, or `stop` is set. Raises PartEnded, TimeoutError."""
    patience = aiohttp.ClientTimeout(total=_ANSWER_S)  # somebody else may have the port, and say nothing
    async with asyncio.timeout(_READY_S), aiohttp.ClientSession(timeout=patience) as session:
        while stop is None or not stop.is_set():
            for part in parts:
                if part.process.returncode is not None:
                    raise PartEnded(f"{part.name} ended with status {part.process.returncode}; its lines above say why")
            try:
                async with session.get(url) as response:
                    if response.status == 200:
                        return
            except (aiohttp.ClientConnectionError, TimeoutError):
                pass  # it does not listen yet
            await asyncio.sleep(0.1)


async def until_stopped(parts: list[Part], stop: asyncio.Event) -> None:
    """Wait until `stop` is set. Raises PartEnded where a part ends before that."""
    stopping = asyncio.create_task(stop.wait(), name="signals")
    ending = {asyncio.create_task(part.process.wait(), name=part.name): part for part in parts}
    done, waiting = await asyncio.wait([stopping, *ending], return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    for task in done:
        if task is not stopping:
            raise PartEnded(f"{ending[task].name} ended with status {ending[task].process.returncode}")


async def run(workers: int, port: int, ui_port: int | None) -> None:
    """Run the service until Ctrl-C."""
    began_s, stop = time.monotonic(), stop_on_signals()
    async with whole_service(workers, port, ui_port) as (address, parts):
        await until_ready(f"{address}/readyz", parts, stop)
        if ui_port is not None:
            await until_ready(f"http://127.0.0.1:{ui_port}/_stcore/health", parts, stop)
        if not stop.is_set():
            say(f"\nReady after {time.monotonic() - began_s:.1f} s on {address}. Hear it in another terminal:\n")
            say(f"  curl {address}/synthesize -F 'text={_DEMO_TEXT}' -F language=fr \\")
            say(f"       -F reference_audio=@{_DEMO_CLIP} -o speech.wav\n")
            if ui_port is not None:
                say(f"or in a browser: http://localhost:{ui_port}\n")
            say("Ctrl-C ends everything.\n")
        await until_stopped(parts, stop)
        say("\nEnding...")
    say("Ended.")


async def speak_once(text: str, language: str, clip: bytes) -> bytes:
    """Start everything, speak one text and end everything; return the WAV. Raises PartEnded with the refusal."""
    async with whole_service(workers=1, port=free_port()) as (address, parts):
        await until_ready(f"{address}/readyz", parts)
        began_s = time.monotonic()
        form = aiohttp.FormData({"text": text, "language": language})
        form.add_field("reference_audio", clip, filename="reference")
        async with aiohttp.ClientSession() as session, session.post(f"{address}/synthesize", data=form) as response:
            body = await response.read()
            if response.status != 200:
                raise PartEnded(body.decode(errors="replace"))
        say(f"\n{(len(body) - 44) / 48_000:.1f} s of speech in {time.monotonic() - began_s:.1f} s")
    return body


def main() -> None:
    """Parse the command line and do it."""
    parser = argparse.ArgumentParser(prog="python -m services", description=__doc__)
    parser.add_argument("command", nargs="?", choices=["run", "demo"], default="run")
    parser.add_argument("--workers", type=int, default=1, help="synthesis workers (run)")
    parser.add_argument("--port", type=int, default=8004, help="of the HTTP edge (run)")
    parser.add_argument("--ui-port", type=int, default=8501, help="of the web interface (run)")
    parser.add_argument("--no-ui", action="store_true", help="without the web interface (run)")
    parser.add_argument("--out", type=Path, default=Path("demo.wav"), help="where the speech goes (demo)")
    parser.add_argument("--text", default=_DEMO_TEXT, help="what is said (demo)")
    parser.add_argument("--language", default="fr", help="in which language (demo)")
    parser.add_argument("--clip", type=Path, default=_DEMO_CLIP, help="reference recording of the voice (demo)")
    choice = parser.parse_args()
    try:
        if choice.command == "demo":
            choice.out.write_bytes(asyncio.run(speak_once(choice.text, choice.language, choice.clip.read_bytes())))
            say(f"Play {choice.out}")
        else:
            asyncio.run(run(choice.workers, choice.port, None if choice.no_ui else choice.ui_port))
    except KeyboardInterrupt:
        sys.exit(130)
    except TimeoutError:
        sys.exit(f"the service was not ready within {_READY_S:.0f} s; the lines above say how far it came")
    except (PartEnded, NoNatsServer, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
