"""The C2PA manifest of a job's WAV, stored with the job so that every range belongs to the same file.

Two signatures of equal files differ, and a range can be served by any edge. So the first edge that signs the file
stores the manifest, and all edges append it to the audio. There is one for each job, of the revision that was requested
last.
"""

import zlib
from dataclasses import dataclass
from hashlib import sha256

import msgspec

from services.common.bus import topology
from services.common.bus.ports import Bus
from services.common.wire.failures import QueueFull
from services.common.wire.identity import Identity


class Manifest(msgspec.Struct, frozen=True, array_like=True):
    """The manifest of one file."""

    file: str  # names the version of the file that was signed
    how: str  # value of the header X-Content-Credentials
    compressed: bytes  # its chunk in the file; most of it is padding

    @property
    def chunk(self) -> bytes:
        """Return the chunk as it is in the file."""
        return zlib.decompress(self.compressed)

    @property
    def digest(self) -> str:
        """Return a short text that differs for other manifests."""
        return sha256(self.compressed).hexdigest()[:8]


def manifest_of(file: str, how: str, chunk: bytes) -> Manifest:
    """Return the manifest of a file that was signed."""
    return Manifest(file, how, zlib.compress(chunk))


@dataclass(frozen=True)
class Manifests:
    """The manifests of jobs. Every method raises BusUnavailable."""

    bus: Bus

    async def find(self, tenant: str, job: str, file: str) -> Manifest | None:
        """Return the manifest of this version of the file, or None."""
        value = await self.bus.get_value(topology.PROGRESS, _key(tenant, job))
        return _of(file, value)

    async def keep(self, tenant: str, job: str, manifest: Manifest) -> Manifest | None:
        """Store a manifest, unless there is one of this file; return the stored one.

        None if it cannot be stored: the bucket is full, or another version was stored at the same time.
        """
        key = _key(tenant, job)
        held = await self.bus.get_revision(topology.PROGRESS, key)
        found = None if held is None else _of(manifest.file, held.content)
        if found is not None:
            return found
        revision = 0 if held is None else held.revision
        content = msgspec.msgpack.encode(manifest)
        try:
            if await self.bus.update_value(topology.PROGRESS, key, content, revision):
                return manifest
        except QueueFull:
            return None
        return await self.find(tenant, job, manifest.file)


def _key(tenant: str, job: str) -> str:
    return Identity(tenant, "job", job).key("manifest")


def _of(file: str, content: bytes | None) -> Manifest | None:
    if not content:
        return None
    manifest = msgspec.msgpack.decode(content, type=Manifest)
    return manifest if manifest.file == file else None
