"""Linux system calls that Python does not offer, through libc. On other systems all raise OSError."""

import ctypes
import errno
import os
import struct
import sys
from functools import cache
from typing import Final

_PR_SET_DUMPABLE: Final = 4
_PR_SET_SECCOMP: Final = 22
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_SECCOMP_MODE_FILTER: Final = 2
_CAPABILITY_VERSION_3: Final = 0x20080522
# The same on every architecture, as all calls since 2019.
_LANDLOCK_CREATE_RULESET: Final = 444
_LANDLOCK_RESTRICT_SELF: Final = 446
_LANDLOCK_CREATE_RULESET_VERSION: Final = 1
# By version of Landlock: how many rights of the file system, of the network, and what else is scoped.
_FILE_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_NETWORK_RIGHTS: Final = 2
_SCOPES: Final = 2

CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWNET: Final = 0x40000000
CLONE_NEWIPC: Final = 0x08000000


def prctl(option: int, *arguments: int) -> None:
    """Make the system call of this name. Raises OSError."""
    padded = (*arguments, 0, 0, 0, 0)[:4]
    _call(_libc().prctl, ctypes.c_int(option), *map(ctypes.c_ulong, padded))


def set_not_dumpable() -> None:
    """Make /proc files of this process root's, forbid tracing and core dumps. Raises OSError."""
    prctl(_PR_SET_DUMPABLE, 0)


def set_no_new_privileges() -> None:
    """Disable privilege gain by set-user-id programs, irrevocably. Raises OSError."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def unshare(flags: int) -> None:
    """Make the system call of this name. Raises OSError."""
    _call(_libc().unshare, ctypes.c_int(flags))


def drop_capabilities() -> None:
    """Drop all effective, permitted, inheritable and ambient capabilities. Raises OSError."""
    prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), 8)
    _call(_libc().capset, header, ctypes.create_string_buffer(24))


def set_seccomp_filter(program: bytes) -> None:
    """Install a filter of classic BPF, 8 bytes per instruction. Raises OSError."""
    instructions = ctypes.create_string_buffer(program, len(program))
    description = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(instructions))
    described = ctypes.create_string_buffer(description, len(description))
    prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(described))


def landlock_everything() -> None:
    """Forbid opening files and signalling processes outside: Landlock without exceptions. Raises OSError."""
    version = _syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_CREATE_RULESET_VERSION)
    files = (1 << _FILE_RIGHTS[min(version, 5)]) - 1
    network = (1 << _NETWORK_RIGHTS) - 1 if version >= 4 else 0
    scoped = (1 << _SCOPES) - 1 if version >= 6 else 0
    words = (files, network, scoped)[: 1 if version < 4 else 2 if version < 6 else 3]
    attributes = struct.pack(f"={len(words)}Q", *words)
    ruleset = _syscall(_LANDLOCK_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        _syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _syscall(number: int, *arguments: int | bytes | None) -> int:
    wide = [ctypes.c_ulong(value) if isinstance(value, int) else value for value in arguments]
    return _call(_libc().syscall, ctypes.c_long(number), *wide)


def _call(function: "ctypes._NamedFuncPointer", *arguments: object) -> int:
    result: int = function(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


@cache
def _libc() -> ctypes.CDLL:
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, "only on Linux")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc
