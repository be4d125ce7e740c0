"""The owner of a message, a stored value or an object: tenant, kind and id. The only module that builds their names.

Two tenants can choose the same id, so an id alone never names anything: every name below contains the tenant. An id is
unique within its tenant over requests and jobs; the kind determines in which streams and buckets it is looked up.
"""

from typing import Literal, NamedTuple, Protocol

Kind = Literal["request", "job"]


class Identity(NamedTuple):
    """One request or job of one tenant."""

    tenant: str
    kind: Kind
    id: str

    def message_id(self, *parts: str | int) -> str:
        """Return the `Nats-Msg-Id` of one of its messages: `<kind>.<tenant>.<id>`, and the parts.

        JetStream drops a second message with the same id in a stream, whichever tenant published it.
        """
        return ".".join((self.kind, self.tenant, self.id, *map(str, parts)))

    def key(self, record: str, *parts: str | int) -> str:
        """Return the key of a value stored for it: `<record>.<tenant>.<id>`, and the parts."""
        return tenant_key(self.tenant, record, self.id, *parts)

    def object_name(self, sentence: int) -> str:
        """Return the name of a sentence's PCM in the object store `TTS_RESULTS`: `<tenant>/<id>/<sentence>`."""
        return f"{self.tenant}/{self.id}/{sentence}"

    def captions_name(self, page: int) -> str:
        """Return the name of a page of captions in the same store: `<tenant>/<id>/captions-<page>`."""
        return f"{self.tenant}/{self.id}/captions-{page}"

    def split_name(self) -> str:
        """Return the name of the segmentation of its text in the same store: `<tenant>/<id>/split`."""
        return f"{self.tenant}/{self.id}/split"

    def version_name(self, sentence: int, version: str) -> str:
        """Return the name of the PCM that replaced a sentence: `<tenant>/<id>/<sentence>-<version>`."""
        return f"{self.tenant}/{self.id}/{sentence}-{version}"

    def version_captions_name(self, sentence: int, version: str) -> str:
        """Return the name of its caption: `<tenant>/<id>/<sentence>-<version>-caption`."""
        return f"{self.tenant}/{self.id}/{sentence}-{version}-caption"

    def request_name(self) -> str:
        """Return the name of the `SpeechRequest` of a job in the same store: `<tenant>/<id>/request`."""
        return f"{self.tenant}/{self.id}/request"


class _OfRequest(Protocol):
    @property
    def tenant(self) -> str: ...
    @property
    def request(self) -> str: ...


def identity_of(message: _OfRequest) -> Identity:
    """Return the request that a message with the fields `tenant` and `request` belongs to."""
    return Identity(message.tenant, "request", message.request)


def tenant_key(tenant: str, record: str, *parts: str | int) -> str:
    """Return the key of a tenant's value that belongs to no request: `<record>.<tenant>.<part>...`."""
    return ".".join((record, tenant, *map(str, parts)))


def clip_object(tenant: str, clip: str) -> str:
    """Return the name of a reference clip in the object store `TTS_CLIPS`: `<tenant>/<clip>`."""
    return f"{tenant}/{clip}"


def voice_key(tenant: str, engine: str, version: str, digest: str) -> str:
    """Return the key of a computed voice in the bucket `TTS_VOICES`: `<engine>.<version>.<tenant>.<digest>`."""
    return f"{engine}.{version}.{tenant}.{digest}"


def library_key(tenant: str, voice: str) -> str:
    """Return the key of a stored voice in the bucket `TTS_LIBRARY`: `voice.<tenant>.<voice>`."""
    return tenant_key(tenant, "voice", voice)


def voice_clip_object(tenant: str, voice: str, clip: str) -> str:
    """Return the name of a voice's clip in the object store `TTS_VOICE_CLIPS`: `<tenant>/<voice>/<clip>`."""
    return f"{tenant}/{voice}/{clip}"


def library_voice_key(tenant: str, voice: str, revision: int, *parts: str) -> str:
    """Return the key of a value made of a stored voice, in the bucket `TTS_VOICES`.

    `voice.<tenant>.<voice>.<revision>.<part>...`: of a computed voice engine, version and what shapes it; of a preview
    `preview`, engine, version and language. One purge removes the values of a voice, or of a revision.
    """
    return tenant_key(tenant, "voice", voice, revision, *parts)
