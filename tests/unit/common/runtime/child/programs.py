"""Child processes of test_process.py: `python -m tests.unit.common.runtime.child.programs NAME`."""

import os
import signal
import socket
import subprocess
import sys
import time

from services.common.runtime.child.framing import read_frame, write_frame
from services.common.runtime.child.limits import memory_limit


def _echo() -> None:
    while (payload := read_frame(sys.stdin.buffer)) is not None:
        write_frame(sys.stdout.buffer, payload)


def _environment() -> None:
    write_frame(sys.stdout.buffer, "\n".join(sorted(os.environ)).encode())


def _niceness() -> None:
    write_frame(sys.stdout.buffer, str(os.nice(0)).encode())


def _exit() -> None:
    sys.exit(3)


def _out_of_memory() -> None:
    with memory_limit(512 * 1024 * 1024):
        write_frame(sys.stdout.buffer, bytes(1024 * 1024 * 1024))


def _hang() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    grandchild = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL)
    write_frame(sys.stdout.buffer, str(grandchild.pid).encode())
    sys.stdout.close()
    time.sleep(600)


def _sleep() -> None:
    sys.stdout.write("up\n")
    sys.stdout.flush()
    time.sleep(600)


def _arguments() -> None:
    specification = sys.modules["__main__"].__spec__
    assert specification is not None
    sys.stdout.write(f"{__name__} {specification.name} {sys.argv[2:]}\n")


def _descriptors() -> None:
    for descriptor in sys.argv[2:]:
        try:
            os.fstat(int(descriptor))
        except OSError:
            sys.stdout.write("False\n")
        else:
            sys.stdout.write("True\n")


def _listen() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    time.sleep(600)


if __name__ == "__main__":
    {
        "listen": _listen,
        "sleep": _sleep,
        "arguments": _arguments,
        "descriptors": _descriptors,
        "echo": _echo,
        "environment": _environment,
        "niceness": _niceness,
        "exit": _exit,
        "out_of_memory": _out_of_memory,
        "hang": _hang,
    }[sys.argv[1]]()
