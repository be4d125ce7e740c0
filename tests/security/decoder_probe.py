"""Capabilities of a compromised decoder: `python -m tests.security.decoder_probe USER SEED ONLY LAYER...`.

Plays an edge that has a secret, as root or as a user; its decoder process; and in there the fork that decodes, which
has been taken over and tries everything. ONLY: parts of the names of the attempts, with commas between them; if
empty, all is. The layers are left out. Prints what each attempt came to, as JSON: `done`, or an error.
"""

import ctypes
import errno
import json
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from services.common.runtime.child.confinement import (
    ProcessLimits,
    hide_from_other_processes,
    leave_shared_namespaces,
    run_confined,
)

LIBC = ctypes.CDLL(None, use_errno=True)
UNPRIVILEGED = 65_534
# x86-64 and aarch64
NUMBERS = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "bpf": (321, 280),
    "keyctl": (250, 219),
    "mount": (165, 40),
    "unshare": (272, 97),
    "setns": (308, 268),
    "kexec_load": (246, 104),
    "io_uring_setup": (425, 425),
    "userfaultfd": (323, 282),
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    "memfd_create": (319, 279),
    "execveat": (322, 281),
    "clone3": (435, 435),
    "landlock_create_ruleset": (444, 444),
    "mount_setattr": (442, 442),
    "perf_event_open": (298, 241),
    "chroot": (161, 51),
    "a call of the future": (1_000, 1_000),
    "a call of another ABI": (0x40000000 + 41, 1_001),
}


def call(name: str, *arguments: int) -> None:
    """Make a system call by its number."""
    number = NUMBERS[name][0 if os.uname().machine == "x86_64" else 1]
    LIBC.syscall.restype = ctypes.c_long
    if LIBC.syscall(ctypes.c_long(number), *map(ctypes.c_ulong, arguments)) < 0:
        raise OSError(ctypes.get_errno(), "")


def attempts(edge: int, seed: Path) -> dict[str, Callable[[], object]]:
    """Return what is tried, each of which raises OSError where it is refused."""
    own_user = os.getuid()
    return {
        "a TCP socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
        "a UDP socket": lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM),
        "a Unix socket": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
        "a netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "a pair of sockets": socket.socketpair,
        "read the secret file": lambda: read(str(seed)),
        "read the edge's environment": lambda: read(f"/proc/{edge}/environ"),
        "read the edge's memory": lambda: os.open(f"/proc/{edge}/mem", os.O_RDONLY),
        "list the edge's descriptors": lambda: list(Path(f"/proc/{edge}/fd").iterdir()),
        "read the parent's environment": lambda: read(f"/proc/{os.getppid()}/environ"),
        "read the first process's environment": lambda: read("/proc/1/environ"),
        "read a public file": lambda: read("/etc/passwd"),
        "list a folder": lambda: list(Path("/").iterdir()),
        "write a file": lambda: os.open("/tmp/broken-into", os.O_CREAT | os.O_WRONLY),
        "link a file": lambda: Path("/tmp/broken-into-link").symlink_to("/etc/passwd"),
        "stop the edge": lambda: os.kill(edge, 0),
        "stop the parent": lambda: os.kill(os.getppid(), signal.SIGCONT),
        "trace the edge": lambda: call("ptrace", 0x4206, edge, 0, 0),
        "trace the parent": lambda: call("ptrace", 0x4206, os.getppid(), 0, 0),
        "read memory": lambda: call("process_vm_readv", edge, 0, 0, 0, 0, 0),
        "a second process": fork,
        "a thread": thread,
        "another program": lambda: os.execv("/bin/true", ["true"]),
        "another program by descriptor": lambda: call("execveat", 0, 0, 0, 0, 0x1000),
        "more memory": lambda: resource.setrlimit(resource.RLIMIT_AS, (2**40, 2**40)),
        "more time": lambda: resource.setrlimit(resource.RLIMIT_CPU, (1_000, 1_000)),
        "more files": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1_000, 1_000)),
        "be root": lambda: os.setuid(0),
        "be the edge's user": lambda: os.setuid(own_user if own_user != os.getuid() else 0),
        "outlive the parent": lambda: call("prctl", 1, 0, 0, 0, 0),
        "be traced": lambda: call("prctl", 4, 1, 0, 0, 0),
        **{
            f"call {name}": lambda name=name: call(name, 0, 0, 0, 0, 0)
            for name in NUMBERS
            if name != "clone3"
        },
    }


def read(path: str) -> bytes:
    """Return a file's content."""
    descriptor = os.open(path, os.O_RDONLY)
    return os.read(descriptor, 1_000)


def fork() -> None:
    """Make a process, which ends at once."""
    if os.fork() == 0:
        os._exit(0)


def thread() -> None:
    """Start a thread. Raises OSError."""
    try:
        threading.Thread(target=lambda: None).start()
    except RuntimeError:
        raise OSError(errno.EAGAIN, "") from None


def tried(each: dict[str, Callable[[], object]]) -> bytes:
    """Try everything, and return the results."""
    came = {}
    for name, attempt in each.items():
        try:
            attempt()
            came[name] = "done"
        except OSError as error:
            came[name] = errno.errorcode.get(error.errno or 0, str(error))
        except ValueError as error:  # a limit over the hard one
            came[name] = str(error)
    return json.dumps(came).encode()


def be_decoder(edge: int, seed: Path, only: str, without: list[str]) -> None:
    """Be the edge's decoder process, whose fork has been taken over."""
    shared = leave_shared_namespaces()
    hide_from_other_processes()
    parts = only.split(",")
    each = {
        name: attempt
        for name, attempt in attempts(edge, seed).items()
        if any(part in name for part in parts)
    }
    limits = ProcessLimits(memory_bytes=2**30, processor_s=5)
    options = {"without": without, "most_bytes": 100_000, "most_s": 20.0}
    held = run_confined(lambda layers: json.dumps(layers).encode(), limits, **options)  # type: ignore[arg-type]
    outcome = run_confined(lambda _: tried(each), limits, **options)  # type: ignore[arg-type]
    layers = [*shared, *json.loads(held.content or b"[]")]
    said = {
        "layers": layers,
        "status": outcome.status,
        "tried": json.loads(outcome.content or b"{}"),
    }
    sys.stdout.write(json.dumps(said))
    sys.stdout.flush()


def main() -> None:
    """Be the edge."""
    user, seed, only, *without = sys.argv[1:]
    if user == "user" and os.geteuid() == 0:
        os.chown(seed, UNPRIVILEGED, UNPRIVILEGED)
        os.setgroups([])
        os.setresgid(UNPRIVILEGED, UNPRIVILEGED, UNPRIVILEGED)
        os.setresuid(UNPRIVILEGED, UNPRIVILEGED, UNPRIVILEGED)
    edge = os.getpid()
    hide_from_other_processes()
    decoder = os.fork()
    if decoder == 0:
        be_decoder(edge, Path(seed), only, without)
        os._exit(0)
    os.waitpid(decoder, 0)


if __name__ == "__main__":
    main()
