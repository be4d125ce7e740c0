"""The layers of confinement: each is tried, and those that hold are named."""

import os
import platform
import resource
import signal
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from services.common.runtime.child.confinement import linux, seccomp

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
class Limits:
    """Bounds of one confined process; soft and hard, so it cannot raise them."""

    memory_bytes: int  # address space
    processor_s: int  # a second later it is killed even if it ignores SIGXCPU


def hide_from_other_processes() -> bool:
    """Keep this process's environment, memory and descriptors from others of its user; return whether that holds.

    Root can still look. A debugger or profiler has to be root's from now on, and a crash leaves no core.
    """
    return _holds(linux.set_not_dumpable)


def leave_shared_namespaces() -> tuple[str, ...]:
    """Go where there is no network, and return the layers that hold; for a process with a single thread.

    A user who is not root needs a user namespace for it, which containers and some distributions forbid.
    """
    held = []
    if os.geteuid() != 0 and _holds(lambda: linux.unshare(linux.CLONE_NEWUSER)):
        held.append("user_namespace")
    if _holds(lambda: linux.unshare(linux.CLONE_NEWNET | linux.CLONE_NEWIPC)):
        held.append("network_namespace")
    return tuple(held)


def confine(limits: Limits, without: Collection[str] = ()) -> tuple[str, ...]:
    """Give up, for good, all that a computation does not need, less these layers; return the layers that hold.

    After this no file can be opened, so everything has to be loaded; descriptors that are open stay so.
    """
    steps: dict[str, Callable[[], None]] = {
        "limits": lambda: _limit(limits),
        "own_user": _change_user,
        "no_capabilities": linux.drop_capabilities,
        "dies_with_parent": lambda: linux.set_parent_death_signal(
            signal.SIGKILL
        ),  # a change of user clears it
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


def _limit(limits: Limits) -> None:
    """Set every limit that the system has; NPROC at 0 also refuses threads."""
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
        raise OSError("a limit was refused")


def _filter_calls() -> None:
    """Raises OSError."""
    program = seccomp.filter_for(platform.machine())
    if program is None:
        raise OSError(f"the system calls of {platform.machine()} are not known")
    linux.set_seccomp_filter(program)


def _change_user() -> None:
    """Become a user that owns nothing, where this is root. Raises OSError."""
    if os.geteuid() != 0:
        raise PermissionError("not root")
    os.setgroups([])
    os.setresgid(_USER, _USER, _USER)
    os.setresuid(_USER, _USER, _USER)
