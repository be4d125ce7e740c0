"""Confinement of a process that parses untrusted bytes. Linux; elsewhere only the resource limits apply.

How it works. A server process `S` starts one long-lived process `P` per decoder with a short environment. `P` loads
its libraries, leaves the network behind where it may (`leave_shared_namespaces`), and never reads a stranger's bytes
itself: for each file it opens the file and forks (`run_confined`). The fork closes every descriptor but the file and a
pipe for its answer, gives up its user, its capabilities and, for good, every way to more (`confine`), and only then
decodes. It ends with its file, so what breaks into it meets one upload, one tenant's, and no second one.

Several layers say no to the same thing, because none of them is there everywhere: a container may forbid namespaces,
an old kernel has no Landlock, a process that is not root has no second user to change to. `confine` returns those that
hold, for the log. `secrets` is the other side: a process that has secrets keeps its memory and its environment from
others of its own user.
"""

from services.common.runtime.child.confinement.fork import Outcome, run_confined
from services.common.runtime.child.confinement.layers import (
    LAYERS,
    Limits,
    confine,
    hide_from_other_processes,
    leave_shared_namespaces,
)
from services.common.runtime.child.confinement.secrets import without_secrets

__all__ = [
    "LAYERS",
    "Limits",
    "Outcome",
    "confine",
    "hide_from_other_processes",
    "leave_shared_namespaces",
    "run_confined",
    "without_secrets",
]
