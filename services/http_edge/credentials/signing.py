"""Signs finished files with C2PA manifests (https://spec.c2pa.org), by c2pa-python.

How it works

A manifest has the hash of the whole file, so only a file that is complete can be signed. It is written to another file:
WAV gets a chunk after the audio, MP3 and FLAC an ID3v2 frame, MP4 a box. The manifest states that the file was created,
that a trained algorithm did it, and with which software; nothing of the text, the voice or the tenant.

Two signatures of equal files differ: a manifest has a random name. Signing uses no network: there is no time stamp, and
certificates are not looked up. It runs on a thread, a few at once.
"""

import asyncio
import importlib.util
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import IO, Any, Final

import structlog

from services import NAME, __version__
from services.common.audio.wav import wav_header
from services.http_edge.credentials.certificates import (
    SigningIdentity,
    development_identity,
    read_identity,
)
from services.http_edge.encoders.tags import SOURCE_TYPE
from services.http_edge.errors import CannotReadCertificate
from services.http_edge.settings import Settings
from services.http_edge.transport.threads import on_thread

log = structlog.get_logger()

HEADER: Final = "X-Content-Credentials"
OFF: Final = "off"
UNSIGNED: Final = (
    "none"  # a format that cannot be signed, or a file that is not complete when it is sent
)
MEDIA_TYPES: Final = ("audio/wav", "audio/mpeg", "audio/flac", "audio/mp4")
_AT_ONCE: Final = 2
# The library reads a file into memory: MP4 once, others up to four times.
_MOST_BYTES: Final = 32 * 1024 * 1024
_MOST_MP4_BYTES: Final = 128 * 1024 * 1024
# nothing is fetched, and the own result is not verified again
_LIBRARY: Final = {
    "verify": {"verify_after_sign": False, "remote_manifest_fetch": False, "ocsp_fetch": False},
}


@dataclass(frozen=True)
class ContentCredentials:
    """Signs files with one identity."""

    identity: SigningIdentity
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    @property
    def name(self) -> str:
        """Return the value of the header of a signed file."""
        return "c2pa-development" if self.identity.development else "c2pa"

    @staticmethod
    def accepts(size: int, media_type: str) -> bool:
        """Return whether a file of this size is signed: 11 minutes of WAV, 4 hours of an M4B."""
        return size <= (_MOST_MP4_BYTES if media_type == "audio/mp4" else _MOST_BYTES)

    async def sign(self, source: IO[bytes], target: IO[bytes], media_type: str) -> None:
        """Write a signed copy of a file, both read and written from their beginning."""
        async with self._slots:
            await on_thread(self.sign_now, source, target, media_type)

    def sign_now(self, source: IO[bytes], target: IO[bytes], media_type: str) -> None:
        """Write a signed copy of a file."""
        import c2pa  # noqa: PLC0415  # an optional package

        source.seek(0)
        target.seek(0)
        with (
            c2pa.Context(c2pa.Settings.from_dict(_LIBRARY)) as context,
            c2pa.Signer.from_info(self._signer_info) as signer,
            c2pa.Builder(_MANIFEST, context) as builder,
        ):
            builder.sign(signer, media_type, source, target)
        target.seek(0)

    @cached_property
    def _signer_info(self) -> Any:
        import c2pa  # noqa: PLC0415  # an optional package

        return c2pa.C2paSignerInfo(
            alg=self.identity.algorithm.encode(),
            sign_cert=self.identity.chain,
            private_key=self.identity.key,
            ta_url=None,
        )

    def check(self) -> None:
        """Sign and verify a short file. Raises CannotReadCertificate."""
        import c2pa  # noqa: PLC0415  # an optional package

        wav = wav_header(sample_rate_hz=24_000, data_bytes=2_000) + bytes(2_000)
        signed = io.BytesIO()
        try:
            self.sign_now(io.BytesIO(wav), signed, "audio/wav")
            found = json.loads(c2pa.Reader("audio/wav", signed).json())
        except c2pa.C2paError as error:
            raise CannotReadCertificate(
                f"nothing can be signed with C2PA_CERTIFICATE_FILE and C2PA_KEY_FILE: {error}"
            ) from None
        if found.get("validation_state") == "Invalid":
            codes = ", ".join(status["code"] for status in found.get("validation_status", ()))
            raise CannotReadCertificate(
                f"signatures with C2PA_CERTIFICATE_FILE are not valid: {codes}"
            )


_MANIFEST: Final = {
    "claim_generator_info": [{"name": NAME, "version": __version__}],
    "assertions": [
        {
            "label": "c2pa.actions.v2",
            "data": {
                "actions": [
                    {
                        "action": "c2pa.created",
                        "digitalSourceType": SOURCE_TYPE,
                        "softwareAgent": {"name": NAME, "version": __version__},
                    }
                ]
            },
        }
    ],
}


def content_credentials(
    settings: Settings, installed: Callable[[], bool] | None = None
) -> ContentCredentials | None:
    """Return what signs files at this edge; None if nothing does. Raises CannotReadCertificate."""
    if settings.content_credentials == "off":
        return None
    if not (installed or _installed)():
        if settings.content_credentials == "on" or settings.c2pa_certificate_file:
            raise CannotReadCertificate(
                "content credentials need c2pa-python; install the extra `c2pa`, or set CONTENT_CREDENTIALS=off"
            )
        log.warning("content_credentials_off", advice="install the extra `c2pa`")
        return None

    if settings.c2pa_certificate_file:
        identity = read_identity(settings.c2pa_certificate_file, settings.c2pa_key_file)
    else:
        identity = development_identity()
    found = ContentCredentials(identity)
    found.check()
    log.info("content_credentials", certificate=found.name)
    return found


def _installed() -> bool:
    return importlib.util.find_spec("c2pa") is not None
