"""Accepted names in a Host header.

DNS rebinding: a page of evil.example has the browser resolve evil.example to this machine, and then reads this service
as if it were its own site. The request names evil.example, and that is what gives it away. So only names are served
that the owner of a public domain cannot point here: addresses, names without a dot, reserved domains, and what the
operator lists. `ui/http/host_names.py` holds the same rule for the pages.
"""

import re
import socket
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

# not of the public DNS
_PRIVATE: Final = (
    ".localhost",
    ".local",
    ".internal",
    ".svc",
    ".home.arpa",
)
_HOST: Final = re.compile(r"(?P<name>[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


class Hosts:
    """The names that are served."""

    def __init__(self, allowed: str) -> None:
        """`allowed`: names with commas between them; `*.example.org` is every name below it, `*` every name."""
        listed = {name.strip().lower().rstrip(".") for name in allowed.split(",")} - {""}
        self._all = "*" in listed
        self._names = {name for name in listed if "*" not in name} | {socket.gethostname().lower()}
        self._below = tuple(name[1:] for name in listed if name.startswith("*."))

    def serve(self, headers: Iterable[str]) -> bool:
        """Return whether a request with these Host headers is for this service; HTTP/1.0 sends none."""
        return self._all or all(self._serves(header) for header in headers)

    def _serves(self, header: str) -> bool:
        if not header:
            return True  # RFC 9112: of a target without an authority; no browser sends it
        found = _HOST.fullmatch(header.strip().lower())
        if found is None:
            return False
        name = found["name"].rstrip(".")
        return _is_private(name) or name in self._names or name.endswith(self._below)


def _is_private(name: str) -> bool:
    if "." not in name.strip("[]") or name.endswith(_PRIVATE):
        return True
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
