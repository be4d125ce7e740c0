"""Metadata of files: that their audio is synthetic, and what made it.

Every container has its own names for the same texts. They depend on nothing but the request and the version of the
service, so that the same request has the same bytes again.
"""

import hashlib
from dataclasses import dataclass
from typing import Final, Self

from services import NAME, __version__
from services.common.audio.wav import info_chunk
from services.http_edge.settings import Settings

# https://cv.iptc.org/newscodes/digitalsourcetype/: created by an algorithm that was trained on samples
SOURCE_TYPE: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
SOURCE_TYPE_NAME: Final = "DIGITALSOURCETYPE"


@dataclass(frozen=True)
class Tags:
    """The content of the metadata of one file."""

    request_id: str = ""  # of the request or job; empty for the preview of a voice
    engine: str = ""  # empty: a job of an earlier release

    @classmethod
    def of(cls, settings: Settings, *, engine: str, request_id: str = "") -> Self | None:
        """Return the tags of a file; None if the operator has turned them off."""
        return cls(request_id, engine) if settings.container_mark == "on" else None

    @property
    def comment(self) -> str:
        """Return the text for people, which has the source type for containers that have no field for it."""
        request = f"; request {self.request_id}" if self.request_id else ""
        return f"Synthetic speech ({SOURCE_TYPE}){request}"

    @property
    def software(self) -> str:
        """Return what made the audio."""
        engine = f", engine {self.engine}" if self.engine else ""
        return f"{NAME} {__version__}{engine}"

    @property
    def digest(self) -> str:
        """Return a short text that differs for other tags."""
        return hashlib.sha256(f"{self.comment}|{self.software}".encode()).hexdigest()[:8]

    def vorbis_comments(self) -> dict[str, str]:
        """Return the fields of FLAC and Opus (https://xiph.org/vorbis/doc/v-comment.html)."""
        return {
            "comment": self.comment,  # FFmpeg writes it as DESCRIPTION
            "ENCODED-BY": self.software,
            SOURCE_TYPE_NAME: SOURCE_TYPE,
        }

    def mp4_items(self) -> dict[str, str]:
        """Return the items of MP4, by FFmpeg's names for them."""
        return {"comment": self.comment, "encoding_tool": self.software}

    def riff_chunk(self) -> bytes:
        """Return the chunk of WAV."""
        return info_chunk({"ICMT": self.comment, "ISFT": self.software})
