"""The system calls of a process that only computes, as a seccomp filter. Pure.

Calls that are not in the table fail with EPERM: sockets, files, processes, threads, signals to others,
tracing, keys, mounts, namespaces, BPF, io_uring, and every call that a later kernel adds. A call with
the numbers of another architecture kills the process, as they mean other calls. FFmpeg occasionally
tries to start a thread and works without it.

The program is classic BPF (Documentation/userspace-api/seccomp_filter.rst in the kernel). It reads
`struct seccomp_data`, whose first word is the call's number and whose second is the architecture.
"""

import struct
from typing import Final

# Numbers on x86-64 and on aarch64; None where an architecture has no such call.
ALLOWED: Final[dict[str, tuple[int | None, int | None]]] = {
    # its two descriptors: the upload and the answer
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "fstat": (5, 80),
    "lseek": (8, 62),
    "pread64": (17, 67),
    "readv": (19, 65),
    "writev": (20, 66),
    "preadv": (295, 69),
    "preadv2": (327, 286),
    # memory
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "mremap": (25, 216),
    "madvise": (28, 233),
    # time, randomness, and what it is itself
    "gettimeofday": (96, 169),
    "time": (201, None),
    "times": (100, 153),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "getrusage": (98, 165),
    "getrandom": (318, 278),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getcpu": (309, 168),
    "sched_getaffinity": (204, 123),
    "sysinfo": (99, 179),
    # its own signals, waiting, and its end
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "sched_yield": (24, 124),
    "futex": (202, 98),
    "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115),
    "restart_syscall": (219, 128),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
_ARCHITECTURES: Final = {
    "x86_64": (0, 0xC000003E),
    "aarch64": (1, 0xC00000B7),
}  # column above, AUDIT_ARCH_...

_LOAD_WORD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP_IF_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K
_NUMBER: Final = 0  # offsets in struct seccomp_data
_ARCHITECTURE: Final = 4
_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050000 | 1  # SECCOMP_RET_ERRNO, EPERM
_KILL: Final = 0x80000000  # SECCOMP_RET_KILL_PROCESS


def filter_for(machine: str) -> bytes | None:
    """Return the filter for a machine named as by `platform.machine`; None if it is not supported."""
    if machine not in _ARCHITECTURES:
        return None
    column, architecture = _ARCHITECTURES[machine]
    numbers = [columns[column] for columns in ALLOWED.values()]
    allowed = [number for number in numbers if number is not None]
    program = [
        _instruction(_LOAD_WORD, _ARCHITECTURE),
        _instruction(_JUMP_IF_EQUAL, architecture, if_true=1),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD_WORD, _NUMBER),
    ]
    for index, number in enumerate(allowed):
        program.append(_instruction(_JUMP_IF_EQUAL, number, if_true=len(allowed) - index))
    program += [_instruction(_RETURN, _REFUSE), _instruction(_RETURN, _ALLOW)]
    return b"".join(program)


def _instruction(code: int, value: int, *, if_true: int = 0) -> bytes:
    """Return a `struct sock_filter`: code, jumps, value."""
    return struct.pack("=HBBI", code, if_true, 0, value)
