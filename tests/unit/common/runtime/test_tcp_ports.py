"""A port that is taken is found, and who has it is named."""

import os
import socket
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterator

import pytest

from services.common.runtime.child.start import start_process
from services.common.runtime.tcp_ports import (
    CannotListen,
    free_port,
    holder_of,
    is_loopback,
    listens,
    require_free,
)

LISTENER = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=["127.0.0.1", "0.0.0.0", "::1"])
def taken(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    host = str(request.param)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as other:
        try:
            other.bind((host, 0))
        except OSError:
            pytest.skip("no IPv6 here")
        other.listen()
        yield host, other.getsockname()[1]


def test_a_taken_port_is_found_and_its_holder_named(taken: tuple[str, int]) -> None:
    with pytest.raises(CannotListen) as refused:
        require_free(*taken)
    assert str(refused.value).startswith(f"port {taken[1]} is taken by process {os.getpid()} (")
    assert listens(os.getpid(), taken[1])


def test_a_port_on_all_addresses_is_taken_where_one_address_is() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(CannotListen, match="is taken by process"):
            require_free("0.0.0.0", other.getsockname()[1])


def test_the_holder_is_named_by_its_command() -> None:
    command = [sys.executable, "-c", LISTENER, "the-other-service"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        holder = holder_of(port)
        assert not listens(os.getpid(), port)
        assert listens(other.pid, port)
        other.communicate("")
    assert holder is not None
    assert holder.startswith(f"process {other.pid} ({sys.executable} -c")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_a_child_process_of_ours_is_named_by_its_module() -> None:
    module = "tests.unit.common.runtime.child.programs"
    child = await start_process(module, "listen", environment=os.environ, stdout=PIPE)
    assert child.stdout is not None
    holder = holder_of(int(await child.stdout.readline()))
    child.kill()
    await child.wait()
    expected = f"{sys.executable} -m {module} listen"
    assert holder is not None
    assert holder.startswith(f"process {child.pid} ({expected[:80]}")


def test_a_free_port_is_nobodys() -> None:
    port = free_port()
    require_free("127.0.0.1", port)
    assert holder_of(port) is None


def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    with pytest.raises(CannotListen, match=r"cannot listen on 192\.0\.2\.1:\d+ \("):
        require_free("192.0.2.1", free_port())


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *[(host, True) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost", "ui.localhost")],
        *[(host, False) for host in ("0.0.0.0", "::", "192.168.1.7", "voice.example")],
    ],
)
def test_what_is_reached_from_this_machine_alone(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
