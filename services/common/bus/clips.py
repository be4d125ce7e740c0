"""Reference clips in the object store, under the SHA-256 of their bytes: equal sound is stored once."""

from hashlib import sha256

from services.common.bus import topology
from services.common.bus.ports import Bus
from services.common.wire.failures import UnknownClip


async def store_clip(bus: Bus, wav: bytes) -> str:
    """Store a clip (a mono 16-bit WAV) unless it is there, and return its id, 64 hex digits.

    Raises QueueFull where the store has no room, BusUnavailable.
    """
    clip = sha256(wav).hexdigest()
    if not await bus.has_object(topology.CLIPS, clip):
        await bus.put_object(topology.CLIPS, clip, wav)
    return clip


async def fetch_clip(bus: Bus, clip: str) -> bytes:
    """Return a clip's WAV bytes. Raises UnknownClip, BusUnavailable."""
    wav = await bus.get_object(topology.CLIPS, clip)
    if wav is None or sha256(wav).hexdigest() != clip:
        raise UnknownClip("the object store does not hold this reference clip; send the reference audio again")
    return wav
