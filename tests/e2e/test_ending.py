"""However `./task run` ends, everything that it started ends with it, and it leaves no folder behind for long."""

import asyncio
import os
import pty
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from services.common.runtime.local_nats import free_port
from services.common.runtime.tcp_ports import holder_of

ROOT = Path(__file__).parents[2]
END_S = 60.0


def state_of(process: int) -> tuple[str, int]:
    """Return the state (one letter) and the parent of a process. Raises OSError where it does not exist."""
    state, parent, *_ = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return state, int(parent)


def living() -> dict[int, int]:
    """Return the parent of every process that lives."""
    found: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            state, parent = state_of(int(folder.name))
            if state != "Z":
                found[int(folder.name)] = parent
    return found


def started_with(note: str) -> dict[int, str]:
    """Return the commands of all living processes whose environment holds the note, and of what they started."""
    parents, found = living(), set[int]()
    for number in parents:
        with suppress(OSError):
            if f"NOTE={note}\0".encode() in Path(f"/proc/{number}/environ").read_bytes() + b"\0":
                found.add(number)
    while more := {number for number, parent in parents.items() if parent in found} - found:
        found |= more
    commands: dict[int, str] = {}
    for number in found:
        with suppress(OSError):
            commands[number] = (
                Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            )
    return commands


@dataclass
class Terminal:
    """A running service and its output."""

    process: asyncio.subprocess.Process
    note: str
    folder: Path
    port: int
    lines: list[str] = field(default_factory=list)
    seen: dict[int, str] = field(default_factory=dict)

    def started(self) -> dict[int, str]:
        """Return what lives of it: what can be found now, and what was found before."""
        alive = living()
        self.seen |= started_with(self.note)
        return {number: command for number, command in self.seen.items() if number in alive}

    def folders(self) -> list[str]:
        return [path.name for path in self.folder.glob("voice-cloning-*")]

    async def until_said(self, words: str) -> None:
        assert self.process.stdout is not None
        async with asyncio.timeout(120):
            while not any(words in line for line in self.lines):
                line = (await self.process.stdout.readline()).decode()
                assert line, f"it ended before it said {words!r}: {self.lines[-8:]}"
                self.lines.append(line)

    async def until_gone(self) -> None:
        async with asyncio.timeout(END_S):
            while self.started():
                await asyncio.sleep(0.1)


@asynccontextmanager
async def started(
    tmp_path: Path, *before: str, arguments: Sequence[str] = ("--no-ui",), **environment: str
) -> AsyncIterator[Terminal]:
    """Run a service with the tone engine; whatever is left of it in the end is killed."""
    port, note = free_port(), f"{tmp_path}-{free_port()}"
    process = await asyncio.create_subprocess_exec(
        *(before or (sys.executable, "-m", "services", "run")),
        *("--port", str(port), *arguments),
        cwd=ROOT,
        env=os.environ | {"ENGINE": "tone", "NOTE": note, "TMPDIR": str(tmp_path)} | environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    terminal = Terminal(process, note, tmp_path, port)
    try:
        yield terminal
    finally:
        for left in terminal.started():
            with suppress(ProcessLookupError):
                os.kill(left, signal.SIGKILL)
        await process.communicate()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_everything_and_removes_the_folder(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with started(tmp_path) as terminal:
        await terminal.until_said("Ready after")
        assert len(terminal.folders()) == 1
        terminal.process.send_signal(number)
        out, _ = await asyncio.wait_for(terminal.process.communicate(), END_S)
        assert terminal.process.returncode == 0
        assert terminal.started() == {}
    assert terminal.folders() == []
    assert b"Ended." in out
    assert b"Traceback" not in out


async def test_a_killed_runner_takes_every_process_along_and_the_next_one_removes_its_folder(
    tmp_path: Path,
) -> None:
    async with started(tmp_path, arguments=["--ui-port", str(free_port())]) as terminal:
        await terminal.until_said("Ready after")
        commands = " ".join(terminal.started().values())
        for program in (
            "nats-server",
            "services.http_edge",
            "reference.decoder_process",
            "isolation.engine_process",
            "services.splitter",
        ):
            assert program in commands
        assert re.search(r"tied_module \d+ ui\b", commands)
        terminal.process.kill()
        await terminal.until_gone()
        (left,) = terminal.folders()
    async with started(tmp_path) as again:
        await again.until_said("Ready after")
        assert left not in again.folders()
        again.process.terminate()
        await asyncio.wait_for(again.process.communicate(), END_S)
    assert again.folders() == []


async def test_the_embedded_engine_and_its_espeak_end_with_a_killed_runner(tmp_path: Path) -> None:
    async with started(tmp_path, ENGINE="embedded", WORKER_THREADS="1") as terminal:
        await terminal.until_said("Ready after")
        assert "espeak/program" in " ".join(terminal.started().values())
        terminal.process.kill()
        await terminal.until_gone()


async def test_a_runner_that_is_killed_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    for wait_s in (0.3, 0.8, 1.5):
        async with started(tmp_path) as terminal:
            await asyncio.sleep(wait_s)
            terminal.process.kill()
            await terminal.until_gone()


async def test_a_terminal_that_closes_ends_everything(tmp_path: Path) -> None:
    note, port = f"{tmp_path}-pty", free_port()
    environment = os.environ | {"ENGINE": "tone", "NOTE": note, "TMPDIR": str(tmp_path)}
    child, terminal = pty.fork()
    if child == 0:  # the session leader of its terminal, as a login shell's foreground job is
        os.chdir(ROOT)
        os.execve(
            sys.executable,
            [sys.executable, "-m", "services", "run", "--no-ui", "--port", str(port)],
            environment,
        )
    said = b""
    while b"Ready after" not in said:
        said += await asyncio.wait_for(asyncio.to_thread(os.read, terminal, 4096), 120)
    os.close(terminal)
    async with asyncio.timeout(END_S):
        while started_with(note):
            await asyncio.sleep(0.1)
    await asyncio.to_thread(os.waitpid, child, 0)
    assert list(tmp_path.glob("voice-cloning-*")) == []


async def test_a_reader_that_goes_away_does_not_stop_the_service_from_ending(
    tmp_path: Path,
) -> None:
    async with started(tmp_path) as terminal:
        await terminal.until_said("nats      ready")
        assert terminal.process.stdout is not None
        terminal.process.stdout._transport.close()  # type: ignore[attr-defined]  # as of `./task run | head -1`
        while holder_of(terminal.port) is None:
            await asyncio.sleep(0.1)
        terminal.process.terminate()
        await asyncio.wait_for(terminal.process.wait(), END_S)
        assert terminal.started() == {}
    assert terminal.folders() == []


@pytest.mark.parametrize(
    "signals", [[signal.SIGKILL], [signal.SIGTERM] * 3], ids=["killed", "terminated"]
)
async def test_what_task_started_ends_with_task(
    tmp_path: Path, signals: list[signal.Signals]
) -> None:
    """Task passes no signal on, and ends at the third."""
    task = shutil.which(
        "task", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    )
    assert task is not None, "requirements/dev.txt installs it"
    lines = (ROOT / "Taskfile.yml").read_text().splitlines()
    (run,) = [line.partition("cmds: ")[2] for line in lines if "-m services run" in line]
    taskfile = tmp_path / "Taskfile.yml"
    taskfile.write_text(
        f'version: "3"\nvars: {{PYTHON: {sys.executable}}}\n'
        f"tasks:\n  run: {{dir: {ROOT}, interactive: true, cmds: {run}}}\n"
    )
    async with started(tmp_path, task, "--taskfile", str(taskfile), "run", "--") as terminal:
        await terminal.until_said("Ready after")
        assert "reference.decoder_process" in " ".join(terminal.started().values())
        for number in signals:
            terminal.process.send_signal(number)
            await asyncio.sleep(0.5)
        await terminal.until_gone()
    assert terminal.folders() == []


async def test_a_service_survives_the_end_of_its_shell_where_configured(tmp_path: Path) -> None:
    shell = f'nohup {sys.executable} -m services run "$@" & sleep 3'
    async with started(tmp_path, "/bin/sh", "-c", shell, "sh") as terminal:
        await terminal.until_said("Ready after")
        async with asyncio.timeout(END_S):
            while terminal.process.pid in living():
                await asyncio.sleep(0.1)
        (runner,) = [
            number for number, words in terminal.started().items() if "services run" in words
        ]
        os.kill(runner, signal.SIGHUP)
        await asyncio.sleep(2)
        assert len(terminal.started()) >= 5
        os.kill(runner, signal.SIGTERM)
        await terminal.until_gone()


async def test_a_nats_server_that_dies_is_reported_and_ends_the_service(tmp_path: Path) -> None:
    async with started(tmp_path) as terminal:
        await terminal.until_said("Ready after")
        (server,) = [
            number for number, words in terminal.started().items() if "nats-server" in words
        ]
        os.kill(server, signal.SIGKILL)
        out, _ = await asyncio.wait_for(terminal.process.communicate(), END_S)
    assert b"nats ended with status -9" in out
    assert terminal.process.returncode == 1
    assert terminal.folders() == []


async def test_of_two_starts_on_one_port_one_runs_and_the_other_names_the_owner(
    tmp_path: Path,
) -> None:
    async with started(tmp_path) as first:
        async with started(tmp_path, arguments=["--no-ui", "--port", str(first.port)]) as second:
            ends = [asyncio.create_task(each.process.wait()) for each in (first, second)]
            done, _ = await asyncio.wait(ends, timeout=END_S, return_when=asyncio.FIRST_COMPLETED)
            assert len(done) == 1
            loser, winner = (first, second) if ends[0] in done else (second, first)
            out, _ = await loser.process.communicate()
            assert loser.process.returncode == 1
            assert f"port {first.port} is taken by process" in out.decode()
            assert "Ready after" not in out.decode()
            await winner.until_said("Ready after")
            winner.process.terminate()
            await asyncio.wait_for(winner.process.communicate(), END_S)
    assert first.folders() == []


@pytest.mark.parametrize(
    ("arguments", "environment", "told"),
    [
        (["--no-ui"], {"SPLITTER_HEALTH_PORT": "{port}"}, "is set for two parts"),
        (["--ui-port", "{port}"], {}, "is set for two parts"),
        (
            ["--no-ui", "--workers", "2"],
            {"WORKER_HEALTH_PORT": "19102"},
            "WORKER_HEALTH_PORT is one port for 2 processes",
        ),
        (["--no-ui", "--port", "0"], {}, "a port is 1 to 65535"),
    ],
)
async def test_ports_that_cannot_be_are_refused_before_anything_starts(
    arguments: list[str], environment: dict[str, str], told: str
) -> None:
    port = str(free_port())
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "services",
            "run",
            "--port",
            port,
            *(each.format(port=port) for each in arguments),
        ),
        cwd=ROOT,
        env=os.environ
        | {key: value.format(port=port) for key, value in environment.items()}
        | {"ENGINE": "tone"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode != 0
    assert told in error.decode()
    assert out == b""
