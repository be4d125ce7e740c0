"""A tenant's reference clips in the object store, by SHA-256, so that equal audio is stored once."""

from hashlib import sha256

from services.common.bus import topology
from services.common.bus.ports import Bus
from services.common.wire.failures import UnknownClip
from services.common.wire.identity import clip_object


def clip_id(wav: bytes) -> str:
    """Return the id of a clip: the SHA-256 of its bytes, 64 hex digits."""
    return sha256(wav).hexdigest()


async def store_clip(bus: Bus, tenant: str, wav: bytes) -> str:
    """Store a clip (a mono 16-bit WAV) unless it exists, and return its id, 64 hex digits.

    Raises QueueFull if the store is full, BusUnavailable.
    """
    clip = clip_id(wav)
    if not await has_clip(bus, tenant, clip):
        await bus.put_object(topology.CLIPS, clip_object(tenant, clip), wav)
    return clip


async def has_clip(bus: Bus, tenant: str, clip: str) -> bool:
    """Return whether the object store holds this clip of a tenant. Raises BusUnavailable."""
    return await bus.has_object(topology.CLIPS, clip_object(tenant, clip))


async def fetch_clip(bus: Bus, tenant: str, clip: str) -> bytes:
    """Return a clip's WAV bytes. Raises UnknownClip, BusUnavailable.

    A clip under its bare id, where clients of earlier releases put it, can be used by every tenant with that id.
    """
    wav = await bus.get_object(topology.CLIPS, clip_object(tenant, clip))
    if wav is None:
        wav = await bus.get_object(topology.CLIPS, clip)
    if wav is None or clip_id(wav) != clip:
        raise UnknownClip(
            "the object store does not hold this reference clip; send the reference audio again"
        )
    return wav
