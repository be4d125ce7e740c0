"""NATS accounts: one for the services, and one for each tenant that imports a few subjects from it.

How it works

Accounts are isolated: a message published in one is not delivered in another, unless the first exports a subject and
the second imports it (docs.nats.io, "Multi Tenancy using Accounts"). A tenant's user is in the tenant's account. Any
reply subject that it sets is a subject of that account; the server replaces it by a generated one (`_R_.<random>`)
before it forwards the message, so that the services' answer returns to that tenant, and to no other. A JetStream header
(roll-up, message id, lifetime) has no effect on a subject without a stream: everything that a tenant may publish ends
at a service, never in a stream.

A request has to be stored, so it goes through the edges' ingress: they receive it as `tts.v1.door.request.<tenant>`,
check it, store it and answer as JetStream would. In the tenant's account the subject is the documented one,
`tts.v1.request.<tenant>`, and a client does not see the difference.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

from services.common.bus import topology
from services.common.wire import subjects
from services.common.wire.voices import RESERVED_TENANTS

SERVICE: Final = "TTS"
MAX_CONNECTIONS: Final = 64  # of one tenant, at each server
MAX_SUBSCRIPTIONS: Final = 1024  # of one connection
# the server's own limit (deploy/nats/nats.conf): a clip is one message
MAX_PAYLOAD_BYTES: Final = 8 * 1024 * 1024

_API: Final = "$JS.API"
_TENANT: Final = re.compile(r"[A-Za-z0-9_-]{1,57}")


@dataclass(frozen=True)
class Share:
    """A subject filter that the services' account exports to one tenant."""

    kind: Literal["service", "stream"]  # published by the tenant, or received by it
    subject: str  # in the services' account
    local: str  # in the tenant's account
    answer_s: int = 0  # of a service: how long the server accepts a reply


def require_tenant(tenant: str) -> None:
    """Raise ValueError for a name that is invalid for a tenant's account, user and subjects."""
    if not _TENANT.fullmatch(tenant):
        raise ValueError(f"{tenant!r} is not a tenant name; use 1 to 57 letters, digits, - and _")
    if tenant in RESERVED_TENANTS:
        raise ValueError(f"{tenant!r} is not a tenant name: it is reserved; use another one")


def tenant_account(tenant: str) -> str:
    """Return the name of a tenant's account."""
    return f"TENANT_{tenant}"


def shares(tenant: str) -> tuple[Share, ...]:
    """Return the subjects shared with a tenant's account. Raises ValueError for a bad name."""
    require_tenant(tenant)
    stored = f"{_API}.DIRECT.GET.{topology.AUDIO}.{subjects.tenant_events(tenant)}"
    return (
        Share("service", subjects.door_request(tenant), subjects.request(tenant), answer_s=15),
        _service(subjects.cancel(tenant, "*"), answer_s=1),  # the shortest: there is no reply
        _service(subjects.normalize(tenant), answer_s=15),
        _service(subjects.clip(tenant), answer_s=120),
        _service(subjects.voice(tenant), answer_s=60),
        _service(stored, answer_s=5),
        _stream(subjects.tenant_events(tenant)),
        _stream(subjects.WORKERS),
    )


def _service(subject: str, *, answer_s: int) -> Share:
    return Share("service", subject, subject, answer_s)


def _stream(subject: str) -> Share:
    return Share("stream", subject, subject)
