"""The provenance log: which sentences were synthesized, without text and without audio.

The entries of a tenant form a chain: each has the SHA-256 of the one before it. An entry that was changed, removed or
inserted later is noticed when the chain is read from a hash that was noted before.
"""

from hashlib import sha256
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from services.common.wire.fields import (
    Count,
    Digest,
    RequestId,
    SampleRate,
    SentenceIndex,
    Tenant,
    UnixMilliseconds,
    VoiceReference,
    WorkerId,
)
from services.common.wire.messages import Message

FIRST: Final = "0" * 64  # `previous` of the first entry
MOST_LOGGED: Final = 256  # sentences of one entry
MOST_FINGERPRINT_BYTES: Final = 65_536


class LoggedSentence(Struct, frozen=True, kw_only=True):
    """A sentence that was synthesized. On the wire a map."""

    request: RequestId
    sentence: SentenceIndex
    spoken_unix_ms: UnixMilliseconds
    samples: Count
    sample_rate_hz: SampleRate
    digest: Digest  # of its end marker: SHA-256 of its PCM
    # resolved: the record with this id holds the consent; unset: the request had clips
    voice: VoiceReference | UnsetType = UNSET
    # common/audio/fingerprint: 32-bit little-endian words; empty: too short for one
    fingerprint: Annotated[bytes, Meta(max_length=MOST_FINGERPRINT_BYTES)] = b""


class ProvenanceEntry(Message, frozen=True, kw_only=True):
    """Sentences that one worker has finished. In the stream `TTS_PROVENANCE`, on `tts.v1.provenance.<tenant>`."""

    tenant: Tenant
    number: Count  # from 0, without gaps
    previous: Digest  # SHA-256 of the whole message before it; zeros: there is none
    worker: WorkerId
    sentences: Annotated[tuple[LoggedSentence, ...], Meta(min_length=1, max_length=MOST_LOGGED)]


def entry_hash(payload: bytes) -> str:
    """Return the hash of an entry as the next one has it."""
    return sha256(payload).hexdigest()
