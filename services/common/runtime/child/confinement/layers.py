"""The layers of confinement: each is tried, and the active ones are returned."""

import os
import platform
import resource
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from services.common.runtime.child.confinement import linux, seccomp
from services.common.runtime.child.parent_death import set_parent_death_signal

# Not the edge's user, nor one of a distribution: below systemd's dynamic users, above login users.
_USER: Final = 60_990

LAYERS: Final = (
    "user_namespace",
    "network_namespace",
    "limits",
    "own_user",
    "no_capabilities",
    "dies_with_parent",
    "not_dumpable",
    "no_new_privileges",
    "landlock",
    "seccomp",
)


@dataclass(frozen=True)
class ProcessLimits:
    """Bounds of one confined process; soft and hard, so it cannot raise them."""

    memory_bytes: int  # address space
    processor_s: int  # a second later it is killed even if it ignores SIGXCPU


def hide_from_other_processes() -> bool:
    """Hide this process's environment, memory and descriptors from other processes of its user.

    Return whether that succeeded. Root can still read them. From now on a debugger or profiler has
    to run as root, and a crash leaves no core dump.
    """
    return _holds(linux.set_not_dumpable)


def leave_shared_namespaces() -> tuple[str, ...]:
    """Enter a namespace without network and return the active layers; for a single-threaded process.

    A user other than root needs a user namespace, which containers and some distributions forbid.
    """
    held = []
    if os.geteuid() != 0 and _holds(lambda: linux.unshare(linux.CLONE_NEWUSER)):
        held.append("user_namespace")
    if _holds(lambda: linux.unshare(linux.CLONE_NEWNET | linux.CLONE_NEWIPC)):
        held.append("network_namespace")
    return tuple(held)


def confine(limits: ProcessLimits, without: Collection[str] = ()) -> tuple[str, ...]:
    """Irrevocably give up all that a computation does not need; return the active layers.

    `without` names layers to leave out. Afterwards no file can be opened, so everything has to be
    loaded before; open descriptors stay open.
    """
    steps: dict[str, Callable[[], None]] = {
        "limits": lambda: _limit(limits),
        "own_user": _change_user,
        "no_capabilities": linux.drop_capabilities,
        "dies_with_parent": set_parent_death_signal,  # a change of user clears it
        "not_dumpable": linux.set_not_dumpable,
        "no_new_privileges": linux.set_no_new_privileges,
        "landlock": linux.landlock_everything,
        "seccomp": _filter_calls,
    }
    return tuple(name for name, step in steps.items() if name not in without and _holds(step))


def _holds(step: Callable[[], None]) -> bool:
    try:
        step()
    except OSError:
        return False
    return True


def _limit(limits: ProcessLimits) -> None:
    """Set every limit that the system has; NPROC 0 also forbids threads. Raises OSError."""
    wanted = {
        "RLIMIT_AS": (limits.memory_bytes, limits.memory_bytes),
        "RLIMIT_CPU": (limits.processor_s, limits.processor_s + 1),
        "RLIMIT_NOFILE": (64, 64),
        "RLIMIT_NPROC": (0, 0),
        "RLIMIT_FSIZE": (0, 0),
        "RLIMIT_CORE": (0, 0),
        "RLIMIT_MEMLOCK": (0, 0),
        "RLIMIT_MSGQUEUE": (0, 0),
    }
    refused = 0
    for name, (soft, hard) in wanted.items():
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        try:
            resource.setrlimit(kind, (soft, hard))
        except (ValueError, OSError):  # macOS refuses some
            refused += 1
    if refused:
        raise OSError("a resource limit was refused")


def _filter_calls() -> None:
    """Install the seccomp filter of this machine. Raises OSError."""
    program = seccomp.filter_for(platform.machine())
    if program is None:
        raise OSError(f"the system calls of {platform.machine()} are not known")
    linux.set_seccomp_filter(program)


def _change_user() -> None:
    """Change from root to a user that owns no files. Raises OSError."""
    if os.geteuid() != 0:
        raise PermissionError("not root")
    os.setgroups([])
    os.setresgid(_USER, _USER, _USER)
    os.setresuid(_USER, _USER, _USER)
