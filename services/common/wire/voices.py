"""Voices of the library: their messages, and how a request refers to one.

A request names a voice by name or id. The edge or splitter that accepts the request resolves that once, to a
`ResolvedVoice` of a fixed revision. So a voice never changes inside a request: where its clips are replaced in the
meantime, the later sentences fail with `unknown_voice`.
"""

import hashlib
import re
import unicodedata
from typing import Annotated, Final, Literal, NamedTuple

from msgspec import UNSET, Meta, Struct, UnsetType

from services.common.wire.fields import (
    ClipId,
    Clips,
    Count,
    EngineName,
    Language,
    MaybeClips,
    Positive,
    Tenant,
    UnixMilliseconds,
    VoiceName,
    VoiceReference,
)
from services.common.wire.messages import Message
from services.common.wire.options import AS_USUAL, Parameters
from services.common.wire.parts import BuiltInVoice

# the owner of the voices that the operator publishes to all tenants; no API key may have it
SHARED_TENANT: Final = "_shared"
# the owner of what is stored about built-in voices; no API key may have it either
BUILT_IN_TENANT: Final = "_builtin"
RESERVED_TENANTS: Final = frozenset({SHARED_TENANT, BUILT_IN_TENANT})
MOST_LISTED: Final = 200  # voices in one page
RESERVED_NAMES: Final = frozenset({"uploads", "import", "export"})  # paths of the HTTP API

VoiceId = Annotated[str, Meta(pattern=r"^v_[0-9a-v]{20}\Z")]
RevisionNumber = Annotated[int, Meta(ge=1, le=1_000_000)]
VoiceDescription = Annotated[str, Meta(max_length=500)]
Scope = Literal["own", "shared", "builtin"]
ModelName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{0,64}\Z")]
MOST_COMPUTED: Final = 4  # computed voices that are stored with a voice
VoiceState = Literal["creating", "ready", "deleting"]

_RANDOM_BITS: Final = 50
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuv"
_STORED: Final = re.compile(
    r"(?P<shared>shared:)?(?P<id>v_[0-9a-v]{20})@(?P<revision>[1-9][0-9]{0,6})"
)
_BUILT_IN: Final = re.compile(r"builtin:(?P<name>[^\x00-\x1f\x7f/:@]{1,64})")


class Consent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The consent of the speaker to being cloned. On the wire a map."""

    speaker: Annotated[str, Meta(min_length=1, max_length=200)]  # who consents
    statement: Annotated[str, Meta(min_length=1, max_length=2000)]  # to what
    date: Annotated[
        str, Meta(pattern=r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])\Z")
    ]  # when, ISO 8601
    method: Annotated[
        str, Meta(min_length=1, max_length=200)
    ]  # how: "written", "recorded", "own voice"


class ComputedVoice(Struct, frozen=True, kw_only=True):
    """A result of an engine's computation elsewhere, imported with the voice. On the wire a map."""

    file: ClipId  # its SHA-256, and its name among the voice's objects
    engine: EngineName
    model: ModelName = ""  # as the engine names it; empty: unknown


ComputedVoices = Annotated[tuple[ComputedVoice, ...], Meta(min_length=1, max_length=MOST_COMPUTED)]


class Voice(Message, frozen=True, kw_only=True):
    """A voice of a tenant's library, as it is stored, and returned on the bus.

    The value of the key `voice.<tenant>.<voice>` in the bucket `TTS_LIBRARY`.
    """

    voice: VoiceId
    tenant: Tenant
    name: VoiceName
    revision: RevisionNumber  # counts the replacements of its clips, from 1
    state: VoiceState  # only a ready voice can be used
    # objects `<tenant>/<voice>/<clip>` of the store `TTS_VOICE_CLIPS`; none only if there are computed voices
    clips: MaybeClips
    clip_bytes: Count  # of all clips and computed voices
    audio_s: Annotated[float, Meta(ge=0, le=3600)]  # of all clips
    created_unix_ms: UnixMilliseconds
    changed_unix_ms: UnixMilliseconds
    language: Language | None = None  # of the clips; a hint for people
    description: VoiceDescription = ""
    consent: Consent | None = None
    uploaded_by: str = ""  # the id of the API key; empty where keys are off
    parameters: Parameters = AS_USUAL  # defaults of requests with this voice
    warnings: tuple[str, ...] = ()  # about its clips
    # objects that may exist besides those of `clips`: of a replacement that has not ended
    leftovers: tuple[str, ...] = ()
    computed: ComputedVoices | UnsetType = UNSET  # objects of the same store

    @property
    def objects(self) -> tuple[str, ...]:
        """Return the names of its objects: of its clips, and of its computed voices."""
        return (*self.clips, *(each.file for each in self.computed or ()))

    @property
    def computed_for(self) -> str:
        """Return the engines and models that its computed voices are for, as a message names them."""
        return ", ".join(
            f"the engine {each.engine}, model {each.model or 'unknown'}"
            for each in self.computed or ()
        )

    @property
    def resolved(self) -> "ResolvedVoice":
        """Return how a request refers to this revision."""
        scope: Scope = "shared" if self.tenant == SHARED_TENANT else "own"
        return ResolvedVoice(scope, self.voice, self.revision)


class ResolvedVoice(NamedTuple):
    """One revision of a stored voice, or a voice that the engine brings along."""

    scope: Scope
    id: str  # of a built-in voice its name
    revision: int = 0  # of a built-in voice 0

    @property
    def reference(self) -> str:
        """Return it as messages have it: `v_...@3`, `shared:v_...@3` or `builtin:<name>`."""
        if self.scope == "builtin":
            return f"builtin:{self.id}"
        return f"{'shared:' if self.scope == 'shared' else ''}{self.id}@{self.revision}"

    def owner(self, tenant: str) -> str:
        """Return the tenant that its values are stored under, for a request of this tenant."""
        return SHARED_TENANT if self.scope == "shared" else tenant


def parse_reference(reference: str) -> ResolvedVoice | None:
    """Return the resolved voice that a reference names; None for a name or a bare id, which must be resolved."""
    built_in = _BUILT_IN.fullmatch(reference)
    if built_in is not None:
        return ResolvedVoice("builtin", built_in["name"])
    stored = _STORED.fullmatch(reference)
    if stored is None:
        return None
    return ResolvedVoice(
        "shared" if stored["shared"] else "own", stored["id"], int(stored["revision"])
    )


def voice_id(unix_ms: int, random_bits: int) -> str:
    """Return an id: `v_`, 10 digits of the time and 10 of 50 random bits (base 32), so that ids sort by age."""
    number = (unix_ms << _RANDOM_BITS) | (random_bits & (1 << _RANDOM_BITS) - 1)
    return "v_" + "".join(_DIGITS[number >> 5 * digit & 31] for digit in reversed(range(20)))


def voice_id_unix_s(voice: str) -> float:
    """Return when an id was made, in seconds since 1970."""
    number = 0
    for digit in voice.removeprefix("v_"):
        number = number << 5 | _DIGITS.index(digit)
    return (number >> _RANDOM_BITS) / 1000


def is_voice_id(text: str) -> bool:
    """Return whether a text has the form of a voice's id."""
    return re.fullmatch(r"v_[0-9a-v]{20}", text) is not None


def name_key(name: str) -> str:
    """Return what two names share if they count as one: independent of case and of Unicode's composition."""
    same = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return hashlib.sha256(" ".join(same.split()).encode()).hexdigest()[:32]


class CreateVoice(Message, frozen=True, kw_only=True):
    """Keep a voice. A core NATS request, on `tts.v1.voice.<tenant>`; the clips were stored by `StoreClip`."""

    tenant: Tenant
    name: VoiceName
    clips: Clips  # of one speaker
    language: Language | None = None
    description: VoiceDescription = ""
    consent: Consent | None = None
    parameters: Parameters = AS_USUAL


class ChangeVoice(Message, frozen=True, kw_only=True):
    """Change what is sent, and leave the rest. A core NATS request, on `tts.v1.voice.<tenant>`."""

    tenant: Tenant
    voice: VoiceReference  # its id or name
    name: VoiceName | UnsetType = UNSET
    clips: Clips | UnsetType = (
        UNSET  # replace the recordings; requests that run fail or finish, never mix
    )
    language: Language | UnsetType | None = UNSET
    description: VoiceDescription | UnsetType = UNSET
    parameters: Parameters | UnsetType = UNSET
    consent: Consent | UnsetType = UNSET


class ReadVoice(Message, frozen=True, kw_only=True):
    """Return this voice. A core NATS request, on `tts.v1.voice.<tenant>`."""

    tenant: Tenant
    voice: VoiceReference


class DeleteVoice(Message, frozen=True, kw_only=True):
    """Erase this voice, with all that was made of it. A core NATS request, on `tts.v1.voice.<tenant>`."""

    tenant: Tenant
    voice: VoiceReference


class ListVoices(Message, frozen=True, kw_only=True):
    """Return a page of the tenant's voices. A core NATS request, on `tts.v1.voice.<tenant>`."""

    tenant: Tenant
    limit: Annotated[int, Meta(ge=1, le=MOST_LISTED)] = 50
    after: VoiceId | None = None  # the `next` of the page before


VoiceCommand = CreateVoice | ChangeVoice | ReadVoice | DeleteVoice | ListVoices


class VoiceAnswer(Message, frozen=True, kw_only=True):
    """The voice as it is stored now. The reply to `CreateVoice`, `ChangeVoice` and `ReadVoice`."""

    voice: Voice


class VoiceDeleted(Message, frozen=True, kw_only=True):
    """Nothing of the voice is stored any longer. The reply to `DeleteVoice`."""

    voice: VoiceId


class VoicesListed(Message, frozen=True, kw_only=True):
    """A page of voices, oldest first. The reply to `ListVoices`."""

    voices: tuple[Voice, ...]
    builtin: tuple[BuiltInVoice, ...] = ()  # of the engines that run; on the first page
    next: VoiceId | None = None  # `after` of the next page; None: this is the last one


class VoiceRefused(Message, frozen=True, kw_only=True):
    """Nothing was changed. The other reply to every request about voices."""

    code: str  # one of services/common/wire/failures.py
    detail: str  # contains the remedy
    retryable: bool


class VoiceForgotten(Message, frozen=True, kw_only=True):
    """Drop what is held of these voices in memory. Core NATS, on `tts.v1.forget.<tenant>`, to every worker."""

    tenant: Tenant
    # None: all voices of the tenant that came with a request, which are not in the library
    voice: VoiceId | None = None
    below: Positive | UnsetType = UNSET  # only revisions below this one; not sent: all
