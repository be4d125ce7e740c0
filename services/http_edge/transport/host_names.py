"""Accepted names in a Host header.

In a DNS rebinding attack, a page of evil.example makes the browser resolve evil.example to this machine, and can then
read responses of this service as same-origin. Such a request has evil.example in its Host header. Therefore only names
are accepted that the owner of a public domain cannot point to this machine: IP addresses, names without a dot, reserved
domains, and names that the operator lists. `ui/http/host_names.py` applies the same rule to the UI's pages.
"""

import re
import socket
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

_PRIVATE: Final = (".localhost", ".local", ".internal", ".svc", ".home.arpa")  # not in public DNS
_HOST: Final = re.compile(r"(?P<name>[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


class AllowedHosts:
    """The accepted host names."""

    def __init__(self, allowed: str) -> None:
        """`allowed`: comma-separated names; `*.example.org` stands for every subdomain, `*` for every name."""
        listed = {name.strip().lower().rstrip(".") for name in allowed.split(",")} - {""}
        self._all = "*" in listed
        self._names = {name for name in listed if "*" not in name} | {socket.gethostname().lower()}
        self._below = tuple(name[1:] for name in listed if name.startswith("*."))

    def serve(self, headers: Iterable[str]) -> bool:
        """Return whether all Host headers of a request are accepted; HTTP/1.0 has none."""
        return self._all or all(self._serves(header) for header in headers)

    def _serves(self, header: str) -> bool:
        if not header:
            return True  # RFC 9112: for a target without an authority; browsers do not send it

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
