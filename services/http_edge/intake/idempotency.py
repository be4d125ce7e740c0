"""What a client may call its request: an id of its choice, and a key under which a retry finds it. Pure."""

import re
from hashlib import sha256
from typing import Final

import msgspec

from services.http_edge.errors import BadRequest
from services.http_edge.intake.form import Form

_ID: Final = re.compile(r"[A-Za-z0-9_-]{8,64}")
_KEY: Final = re.compile(r"[ -~]{1,255}")


class Claim(msgspec.Struct, frozen=True):
    """What stands under an idempotency key: enough to publish the request, with the same form, as it was meant."""

    fingerprint: str
    request: str
    seed: int


def checked_id(given: str) -> str:
    """Return the id of a request. Raises BadRequest for what is none."""
    if not _ID.fullmatch(given):
        raise BadRequest("a request id is 8 to 64 letters, digits, hyphens and underscores")
    return given


def checked_key(given: str) -> str:
    """Return the name under which an `Idempotency-Key` is stored (draft-ietf-httpapi-idempotency-key-header-07).

    The draft's key is a quoted string (RFC 8941); one without quotes is as good. Raises BadRequest.
    """
    key = given[1:-1] if len(given) > 1 and given[0] == given[-1] == '"' else given
    if not _KEY.fullmatch(key):
        raise BadRequest("an Idempotency-Key is 1 to 255 printable ASCII characters")
    return sha256(key.encode()).hexdigest()


def fingerprint(form: Form, kind: str) -> str:
    """Return a digest of every field and every upload of a form: equal where a retry asks for the same."""
    said = (
        kind,
        form.text,
        form.language,
        form.split,
        form.spoken_forms,
        form.pronunciations,
        form.seed,
        msgspec.to_builtins(form.parameters),
        [upload.digest for upload in form.uploads],
        form.text_type,
    )
    return sha256(msgspec.json.encode(said)).hexdigest()
