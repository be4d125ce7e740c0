"""Settings of the edge."""

from typing import Annotated, Final

from msgspec import Meta

from services.common.runtime.service_process import ProcessSettings
from services.common.runtime.tcp_ports import is_loopback

_NAME: Final = r"(\*|(\*\.)?[A-Za-z0-9_][A-Za-z0-9_.-]*)"


class Settings(ProcessSettings, frozen=True, kw_only=True):
    """Environment variables of the same names in upper case, besides those of every process."""

    http_host: str = "127.0.0.1"
    http_port: Annotated[int, Meta(ge=0, le=65535)] = 8004
    # on SIGTERM: not ready, but answering, for so long
    http_drain_s: Annotated[float, Meta(ge=0, le=60)] = 0.0
    # then running requests get so long to end, and are cut
    http_stop_s: Annotated[float, Meta(ge=0, le=3600)] = 30.0
    engine: str = "embedded"  # that requests are sent to
    tenant: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")] = "public"
    api_keys_file: str = ""  # TOML, made by `task keys:new`; empty: no authentication
    cors_origins: str = ""  # whose pages may read answers, with commas between them; "*": all
    # Names of this edge in the public DNS, besides the private ones: "tts.example.org, *.example.org"; "*": any.
    allowed_hosts: Annotated[str, Meta(pattern=rf"^({_NAME}( *, *{_NAME})*)?\Z")] = ""
    # a connection without a request is closed
    connection_idle_timeout_s: Annotated[float, Meta(gt=0)] = 60.0
    max_text_characters: Annotated[int, Meta(ge=1, le=2_000_000)] = 100_000
    # of a request, all its files together
    max_upload_bytes: Annotated[int, Meta(ge=1)] = 200 * 1024 * 1024
    # a client that sends nothing for so long is let go
    upload_idle_timeout_s: Annotated[float, Meta(gt=0)] = 30.0
    # for a whole body, however steadily it comes
    upload_timeout_s: Annotated[float, Meta(gt=0)] = 600.0
    # a body that comes more slowly is ended; 0: none is
    upload_bytes_a_second: Annotated[float, Meta(ge=0)] = 1024.0
    max_uploads: Annotated[int, Meta(ge=1, le=10_000)] = 128  # bodies read at once
    # of a tenant; without keys, of an address
    max_uploads_per_caller: Annotated[int, Meta(ge=1, le=10_000)] = 32
    # for uploads and long answers on disk
    temp_space_bytes: Annotated[int, Meta(ge=1)] = 1536 * 1024 * 1024
    # open connections, as far as descriptors allow
    max_sockets: Annotated[int, Meta(ge=1, le=1_000_000)] = 4096
    # of these; 0: three quarters
    max_sockets_per_address: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    # addresses or networks, with commas between them, whose X-Forwarded-For is believed
    trusted_proxies: str = ""
    first_audio_timeout_s: Annotated[float, Meta(gt=0)] = 120.0
    request_timeout_s: Annotated[float, Meta(gt=0)] = 3600.0
    # of a keyed request whose client left
    idempotency_grace_s: Annotated[float, Meta(gt=0, le=600)] = 10.0
    max_jobs: Annotated[int, Meta(ge=1, le=1000)] = 4  # that this edge sees through at once
    max_job_characters: Annotated[int, Meta(ge=1, le=2_000_000)] = 1_500_000
    job_timeout_s: Annotated[float, Meta(gt=0)] = 12 * 3600.0
    job_results_tenant_bytes: Annotated[int, Meta(ge=0)] = (
        0  # of one tenant's jobs; 0: half of the store, or all of it
    )
    max_connections: Annotated[int, Meta(ge=1)] = 1000  # requests that speak at once
    # clients that follow jobs, by events or audio as it comes
    max_job_streams: Annotated[int, Meta(ge=1)] = 1000
    max_job_streams_per_tenant: Annotated[int, Meta(ge=1)] = 250
    # what is due at once may take so long to be spoken
    queue_wait_s: Annotated[float, Meta(gt=0)] = 5.0
    queue_audio_s: Annotated[float, Meta(ge=0)] = (
        0.0  # or: maximum near-term backlog; 0: by the workers' speed
    )
    tenant_share: Annotated[float, Meta(gt=0, le=1)] = 1.0  # of that, for one tenant
    # of one tenant, stored by one edge for 2 h
    tenant_requests_bytes: Annotated[int, Meta(ge=1)] = 128 * 1024 * 1024
    # reference clips that a tenant stores in 24 h
    tenant_clips_bytes: Annotated[int, Meta(ge=1)] = 512 * 1024 * 1024
    # audio that is made before its listener takes it
    stream_ahead_s: Annotated[float, Meta(ge=2, le=3600)] = 120.0
    # a client that reads no audio for so long is cut
    listener_timeout_s: Annotated[float, Meta(gt=0)] = 60.0
    decoders: Annotated[int, Meta(ge=1, le=64)] = 1  # child processes that read reference audio

    @property
    def open_to_all(self) -> bool:
        """Return whether anyone who reaches this machine may use the service."""
        return not self.api_keys_file and not is_loopback(self.http_host)

    @property
    def exit_s(self) -> float:
        """Return within how many seconds of SIGTERM the process has ended: the least grace that it needs."""
        return self.http_drain_s + self.http_stop_s + super().exit_s
