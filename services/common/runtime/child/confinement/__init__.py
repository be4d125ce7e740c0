"""Confinement of a process that parses untrusted bytes. Linux; elsewhere only resource limits apply.

How it works

A server process starts long-lived decoder processes with a short environment. A decoder process loads
its libraries, leaves the network namespace if it can (`leave_shared_namespaces`), and never reads
untrusted bytes itself. For each file it opens the file and forks (`run_confined`). The fork closes
every descriptor except the file and a pipe for its result, gives up its user, its capabilities and,
irrevocably, all means to regain privileges (`confine`), and only then decodes. It exits after its
file, so an exploit reaches one upload of one tenant and no other.

Several layers forbid the same operations, because none of them is available everywhere: a container
can forbid namespaces, an old kernel has no Landlock, and a process that is not root cannot change its
user. `confine` returns the layers that are active, for the log. In the other direction,
`hide_from_other_processes` protects the memory and the environment of a process that has secrets from
other processes of the same user.
"""

from services.common.runtime.child.confinement.fork import Outcome, run_confined
from services.common.runtime.child.confinement.layers import (
    LAYERS,
    ProcessLimits,
    confine,
    hide_from_other_processes,
    leave_shared_namespaces,
)

__all__ = [
    "LAYERS",
    "Outcome",
    "ProcessLimits",
    "confine",
    "hide_from_other_processes",
    "leave_shared_namespaces",
    "run_confined",
]
