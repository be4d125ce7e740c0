"""Decodes the reference recordings of a voice, as `intake` does those of a request, for the library."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from services.common.wire.failures import UnusableReference
from services.common.wire.voices import Voice
from services.http_edge.intake.forms.body import Upload, file_prefix
from services.http_edge.intake.reference.decoder import ReferenceDecoder


@dataclass(frozen=True)
class Recordings:
    """The clips of one speaker."""

    wavs: tuple[bytes, ...]  # 24 kHz, mono, 16-bit, in the order sent, without duplicates
    audio_s: float
    warnings: tuple[str, ...]

    def describing(self, voice: Voice) -> Voice:
        """Return the voice with what describes its clips."""
        return msgspec.structs.replace(voice, audio_s=self.audio_s, warnings=self.warnings)


async def decode_recordings(
    decoder: ReferenceDecoder, tenant: str, uploads: Sequence[Upload]
) -> Recordings:
    """Return the clips of the uploads.

    With several, errors and warnings name the position of the file, never its name. Raises UnusableReference,
    TenantQueueFull, QueueFull.
    """
    seconds: dict[bytes, float] = {}
    warnings: list[str] = []

    for index, upload in enumerate(uploads):
        prefix = file_prefix(index, len(uploads))
        try:
            clip = await decoder.prepare(upload.path, tenant)
        except UnusableReference as refusal:
            raise UnusableReference(f"{prefix}{refusal}") from None

        seconds[clip.wav] = clip.seconds
        warnings += [f"{prefix}{warning}" for warning in clip.warnings]

    return Recordings(tuple(seconds), sum(seconds.values()), tuple(warnings))
