"""The audio of jobs that are done, with content credentials.

How it works

A WAV has ranges, and its manifest is a chunk after the audio. The manifest is made at the first request, HEAD included,
stored with the job (`jobs/manifests`), and appended to the PCM from then on: no later request signs, at any edge.

Other formats have no ranges. Their manifest is at the beginning of the file, so it is encoded to a temporary file,
signed and sent with its length. Its bytes differ from one request to the next.

What is too large, or has no temporary space, is sent as without credentials.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, NamedTuple

from services.common.audio.wav import HEADER_BYTES
from services.http_edge.encoders.protocol import Encoder
from services.http_edge.encoders.registry import OutputFormat
from services.http_edge.encoders.tags import Tags
from services.http_edge.encoders.uncompressed import WavEncoder
from services.http_edge.errors import InsufficientStorage
from services.http_edge.http.signed_files import MEMORY_BYTES, SignedFiles, temporary_file
from services.http_edge.intake.forms.uploads import TempSpace
from services.http_edge.jobs.manifests import Manifest, Manifests, manifest_of
from services.http_edge.jobs.revisions import Rendition
from services.http_edge.transport.threads import on_thread


class SignedFile(NamedTuple):
    """A file that is signed."""

    content: IO[bytes]
    how: str  # value of the header X-Content-Credentials


@dataclass(frozen=True)
class SignedAudio:
    """Signs the audio of jobs."""

    files: SignedFiles
    space: TempSpace
    manifests: Manifests

    def signs(self, rendition: Rendition, output: OutputFormat) -> bool:
        """Return whether this audio is sent with credentials, in any format but a WAV with ranges."""
        return not output.has_offsets and self.files.signs(output, sum(rendition.lengths))

    async def manifest(
        self, rendition: Rendition, output: OutputFormat, tags: Tags | None, file: str
    ) -> Manifest | None:
        """Return the manifest of a WAV with ranges; None if it is not signed.

        `file`: names this version of it, apart from the certificate.
        """
        size = sum(rendition.lengths)
        if not output.has_offsets or not self.files.signs(output, size):
            return None
        file = f"{file}-{self.files.certificate}"
        known = await self.manifests.find(rendition.tenant, rendition.job, file)
        if known is not None:
            return known

        encoder = WavEncoder(tags)
        async with self.signed(rendition, encoder, size) as signed:
            if signed is None:
                return None
            signed.content.seek(HEADER_BYTES + size + encoder.trailer_bytes)
            made = manifest_of(file, signed.how, signed.content.read())
        return await self.manifests.keep(rendition.tenant, rendition.job, made)

    @asynccontextmanager
    async def signed(
        self, rendition: Rendition, encoder: Encoder, most_bytes: int
    ) -> AsyncIterator[SignedFile | None]:
        """Yield a temporary file with the audio; None if there is no space for it, or it became too large.

        `most_bytes`: of the encoded audio. Raises UnknownJob if the audio has expired.
        """
        with self.space.hold() as hold, temporary_file() as file, temporary_file() as signed:
            try:
                hold.add(2 * most_bytes if most_bytes > MEMORY_BYTES else 0)
            except InsufficientStorage:
                yield None
                return
            await _encode(encoder, rendition, file)
            if self.files.accepts(file.tell(), encoder.content_type):
                how = await self.files.sign(file, signed, encoder.content_type)
                yield SignedFile(signed, how)
            else:
                yield None


async def _encode(encoder: Encoder, rendition: Rendition, file: IO[bytes]) -> None:
    def add(pcm: bytes) -> None:
        file.write(encoder.encode(pcm))

    file.write(encoder.header(rendition.sample_rate_hz, sum(rendition.lengths)))
    for index in range(len(rendition.lengths)):
        await on_thread(add, await rendition.audio(index))
    file.write(await on_thread(encoder.end))
