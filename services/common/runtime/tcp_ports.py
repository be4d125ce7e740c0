"""TCP ports: find a free one, check whether one can be listened on, and which process has it."""

import errno
import ipaddress
import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from services.common.runtime.child.start import TIED_MODULE

# below those that Linux, macOS and Windows give to outgoing connections
_PORTS: Final = range(15_000, 30_000)
_PROC: Final = Path("/proc")
_LISTENS: Final = "0A"  # of Linux's tcp_states.h
_COMMAND_CHARACTERS: Final = 80
_TIED: Final = re.compile(rf" -m {re.escape(TIED_MODULE)} \d+ ")  # of our own child processes
_UNSEEN: Final = "another process, which cannot be seen from here"


class CannotListen(Exception):
    """The port is in use or not permitted; the message names the process that has it."""


def free_port() -> int:
    """Return a loopback port that is free now, outside the range of ephemeral ports."""
    while True:
        port = _PORTS.start + secrets.randbelow(len(_PORTS))
        with suppress(CannotListen):
            require_free("127.0.0.1", port)
            return port


def is_loopback(host: str) -> bool:
    """Return whether the address is loopback; of names only `localhost` is."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def require_free(host: str, port: int) -> None:
    """Raise CannotListen, with the reason, if this process cannot listen on the port."""
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
    except OSError as error:
        raise CannotListen(listen_error(host, port, error)) from None


def listen_error(host: str, port: int, error: OSError) -> str:
    """Return why the port cannot be listened on; names the process that has it if that is visible."""
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is taken by {holder_of(port) or _UNSEEN}"
    return f"cannot listen on {host}:{port} ({error.strerror})"


def listens(process: int, port: int) -> bool:
    """Return whether the process listens on the port; True where that is not visible."""
    listening = set(_listening(port))
    return not listening or bool(listening & set(_sockets(_PROC / str(process))))


def holder_of(port: int) -> str | None:
    """Return the id and command of the process that listens on a TCP port; None if not visible."""
    inodes = set(_listening(port))
    if not inodes:
        return None
    for process in _processes():
        if inodes & set(_sockets(process)):
            return f"process {process.name} ({_command(process)})"
    return _UNSEEN


def _listening(port: int) -> Iterator[str]:
    """Yield the inodes of the sockets that listen on a port."""
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (_PROC / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]


def _processes() -> Iterator[Path]:
    with suppress(OSError):
        yield from (folder for folder in _PROC.iterdir() if folder.name.isdigit())


def _sockets(process: Path) -> Iterator[str]:
    """Yield the inodes of a process's sockets; none if it is another user's or has exited."""
    with suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):
                if found := re.fullmatch(r"socket:\[(\d+)\]", os.readlink(descriptor)):  # noqa: PTH115  # not a path
                    yield found[1]


def _command(process: Path) -> str:
    with suppress(OSError):
        words = (
            (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        )
        plain = _TIED.sub(" -m ", words)
        printable = "".join(letter if letter.isprintable() else "?" for letter in plain)
        return (
            printable
            if len(printable) <= _COMMAND_CHARACTERS
            else printable[:_COMMAND_CHARACTERS] + "..."
        )
    return "unknown"
