"""Request ids that clients choose, and the idempotency keys under which retries find a request.

Pure.
"""

import re
from hashlib import sha256
from typing import Final

import msgspec

from services.http_edge.errors import BadRequest
from services.http_edge.intake.forms.form import Form

ID_PATTERN: Final = "[A-Za-z0-9_-]{8,64}"
_ID: Final = re.compile(ID_PATTERN)
_KEY: Final = re.compile(r"[ -~]{1,255}")


class Claim(msgspec.Struct, frozen=True):
    """The value of an idempotency key.

    With the same form, enough to publish the request exactly as at first.
    """

    fingerprint: str
    request: str
    seed: int


def checked_id(sent: str, *, field: str = "id") -> str:
    """Return the id of a request, from the path or the header `field`. Raises BadRequest if it is invalid."""
    if not _ID.fullmatch(sent):
        raise BadRequest(
            "a request id must be 8 to 64 letters, digits, hyphens or underscores",
            field=field,
        )
    return sent


def checked_key(sent: str) -> str:
    """Return the name under which an `Idempotency-Key` is stored (draft-ietf-httpapi-idempotency-key-header-07).

    The draft's key is a quoted string (RFC 8941); one without quotes is accepted too. Raises BadRequest.
    """
    key = sent[1:-1] if len(sent) > 1 and sent[0] == sent[-1] == '"' else sent
    if not _KEY.fullmatch(key):
        raise BadRequest(
            "an Idempotency-Key must be 1 to 255 printable ASCII characters",
            field="Idempotency-Key",
        )
    return sha256(key.encode()).hexdigest()


def fingerprint(form: Form, kind: str) -> str:
    """Return a digest of every field and upload that the client sent.

    Equal for a retry of the same request.
    """
    return sha256(msgspec.json.encode([kind, *form.sent()])).hexdigest()
