"""Client of the voice cloning pipeline: text to speech in the voice of a recording.

`Client` for ordinary programs, `AsyncClient` for asyncio; `voice_cloning_client.bus` speaks over NATS.
"""

from voice_cloning_client.audio import FORMATS, Audio, AudioInfo
from voice_cloning_client.client import AsyncClient
from voice_cloning_client.errors import (
    IncompleteAudio,
    InvalidInput,
    JobFailed,
    NotFound,
    Overloaded,
    ServiceError,
    Unauthorized,
    Unavailable,
    VoiceCloningError,
)
from voice_cloning_client.jobs import Job, JobPage
from voice_cloning_client.retry import Retry
from voice_cloning_client.settings import Timeouts
from voice_cloning_client.sync import Client
from voice_cloning_client.voices import Consent, Voice, VoicePage

__all__ = [
    "FORMATS",
    "AsyncClient",
    "Audio",
    "AudioInfo",
    "Client",
    "Consent",
    "IncompleteAudio",
    "InvalidInput",
    "Job",
    "JobFailed",
    "JobPage",
    "NotFound",
    "Overloaded",
    "Retry",
    "ServiceError",
    "Timeouts",
    "Unauthorized",
    "Unavailable",
    "Voice",
    "VoiceCloningError",
    "VoicePage",
]
