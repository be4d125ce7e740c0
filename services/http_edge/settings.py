"""Settings of the edge."""

from typing import Annotated, Final, Literal

from msgspec import Meta

from services.common.runtime.service_process import ProcessSettings
from services.common.runtime.settings import BadSettings
from services.common.runtime.tcp_ports import is_loopback
from services.common.wire.voices import RESERVED_TENANTS

_NAME: Final = r"(\*|(\*\.)?[A-Za-z0-9_][A-Za-z0-9_.-]*)"

_URL: Final = r"^(https?://[!-~]+)?\Z"


class Settings(ProcessSettings, frozen=True, kw_only=True):
    """Environment variables of the same names in upper case, in addition to those of every process."""

    http_host: str = "127.0.0.1"
    http_port: Annotated[int, Meta(ge=0, le=65535)] = 8004
    # A port for /metrics (and probes) alone, which is then not served on HTTP_PORT; 0: served there.
    http_metrics_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    # After SIGTERM the edge reports not ready, and still accepts requests for this long.
    http_drain_s: Annotated[float, Meta(ge=0, le=60)] = 0.0
    # Then running requests have this long to finish before they are cut.
    http_stop_s: Annotated[float, Meta(ge=0, le=3600)] = 30.0
    engine: str = "embedded"  # the engine that requests are sent to
    tenant: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")] = "public"
    api_keys_file: str = ""  # TOML, made by `task keys:new`; empty: no authentication
    url_secrets_file: str = (
        ""  # secrets that sign URLs, shared by all edges; empty: none are signed
    )
    cors_origins: str = ""  # origins that may read responses, comma-separated; "*": all
    # Public DNS names of this edge, in addition to private names: "tts.example.org, *.example.org"; "*": any.
    allowed_hosts: Annotated[str, Meta(pattern=rf"^({_NAME}( *, *{_NAME})*)?\Z")] = ""
    # Addresses in the page that browsers get at `/`: of this service, and of the web UI.
    public_service_url: Annotated[str, Meta(pattern=_URL)] = ""
    ui_url: Annotated[str, Meta(pattern=_URL)] = ""
    # A connection without a request in progress is closed after this long.
    connection_idle_timeout_s: Annotated[float, Meta(gt=0)] = 60.0
    max_text_characters: Annotated[int, Meta(ge=1, le=2_000_000)] = 100_000
    # Whether the detection of languages is loaded before the edge is ready; else by the first request.
    preload_languages: bool = True
    # All files of a request together.
    max_upload_bytes: Annotated[int, Meta(ge=1)] = 200 * 1024 * 1024
    # A client that sends no part of its body for this long is disconnected.
    upload_idle_timeout_s: Annotated[float, Meta(gt=0)] = 30.0
    # Time limit for a whole body, at any speed.
    upload_timeout_s: Annotated[float, Meta(gt=0)] = 600.0
    # Minimum rate at which a body has to arrive; 0: no minimum.
    upload_bytes_a_second: Annotated[float, Meta(ge=0)] = 1024.0
    max_uploads: Annotated[int, Meta(ge=1, le=10_000)] = 128  # bodies read concurrently
    # Of these, per tenant; per client address if there are no API keys.
    max_uploads_per_caller: Annotated[int, Meta(ge=1, le=10_000)] = 32
    # Disk space for uploads and for responses that do not fit in memory.
    temp_space_bytes: Annotated[int, Meta(ge=1)] = 1536 * 1024 * 1024
    # Open connections; fewer if the limit of file descriptors is lower.
    max_sockets: Annotated[int, Meta(ge=1, le=1_000_000)] = 4096
    # Of these, per client address; 0: three quarters of them.
    max_sockets_per_address: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    # Addresses or networks whose X-Forwarded-For is trusted, comma-separated.
    trusted_proxies: str = ""
    first_audio_timeout_s: Annotated[float, Meta(gt=0)] = 120.0
    request_timeout_s: Annotated[float, Meta(gt=0)] = 3600.0
    # How long a request with an idempotency key continues after its client disconnects.
    idempotency_grace_s: Annotated[float, Meta(gt=0, le=600)] = 10.0
    max_jobs: Annotated[int, Meta(ge=1, le=1000)] = 4  # concurrent jobs of this edge
    max_job_characters: Annotated[int, Meta(ge=1, le=2_000_000)] = 1_500_000
    job_timeout_s: Annotated[float, Meta(gt=0)] = 12 * 3600.0
    # Job results of one tenant; 0: half of the store with API keys, all of it without.
    job_results_tenant_bytes: Annotated[int, Meta(ge=0)] = 0
    max_connections: Annotated[int, Meta(ge=1)] = 1000  # concurrent speech requests
    # Clients that follow a running job, by its events or its audio.
    max_job_streams: Annotated[int, Meta(ge=1)] = 1000
    max_job_streams_per_tenant: Annotated[int, Meta(ge=1)] = 250
    # A request is admitted if the near-term backlog can be synthesized within this time.
    queue_wait_s: Annotated[float, Meta(gt=0)] = 5.0
    # A fixed limit of the near-term backlog instead; 0: derived from the workers' speed.
    queue_audio_s: Annotated[float, Meta(ge=0)] = 0.0
    tenant_share: Annotated[float, Meta(gt=0, le=1)] = 1.0  # of that limit, for one tenant
    # Requests of one tenant that one edge stores, for 2 h each.
    tenant_requests_bytes: Annotated[int, Meta(ge=1)] = 128 * 1024 * 1024
    # Reference clips that one tenant can store within 24 h.
    tenant_clips_bytes: Annotated[int, Meta(ge=1)] = 512 * 1024 * 1024
    # Whether a voice can only be stored with the record of the speaker's consent.
    voice_consent: Literal["required", "optional"] = "required"
    # A voice that was not changed for this long is erased; 0: voices are stored until they are deleted.
    voices_kept_days: Annotated[float, Meta(ge=0, le=36_500)] = 0.0
    tenant_voices: Annotated[int, Meta(ge=0, le=1_000_000)] = 1000  # stored voices of one tenant
    tenant_voices_bytes: Annotated[int, Meta(ge=0)] = 1024 * 1024 * 1024  # of their clips
    # How much audio of a stream is synthesized ahead of what its client has read.
    stream_ahead_s: Annotated[float, Meta(ge=2, le=3600)] = 120.0
    # A client that reads no audio for this long is disconnected.
    listener_timeout_s: Annotated[float, Meta(gt=0)] = 60.0
    # Files are marked as synthetic in their metadata.
    container_mark: Literal["on", "off"] = "on"
    # Finished files are signed; "auto": if c2pa-python is installed.
    content_credentials: Literal["auto", "on", "off"] = "auto"
    # PEM: the chain of certificates that signs, its first one the signer's, and its key; empty: one for development.
    c2pa_certificate_file: str = ""
    c2pa_key_file: str = ""
    decoders: Annotated[int, Meta(ge=1, le=64)] = 1  # child processes that decode reference audio

    def __post_init__(self) -> None:
        """Raise BadSettings for a tenant that only the operator's voices can have, and for half an identity."""
        if self.tenant in RESERVED_TENANTS:
            reserved = " and ".join(sorted(RESERVED_TENANTS))
            raise BadSettings(f"TENANT: {reserved} are reserved; write another name")
        if bool(self.c2pa_certificate_file) != bool(self.c2pa_key_file):
            raise BadSettings("C2PA_CERTIFICATE_FILE and C2PA_KEY_FILE: set both, or neither")

    @property
    def open_to_all(self) -> bool:
        """Return whether any client that can reach this machine can use the service."""
        return not self.api_keys_file and not is_loopback(self.http_host)

    @property
    def exit_s(self) -> float:
        """Return how long the process needs to exit after SIGTERM: the minimum grace period."""
        return self.http_drain_s + self.http_stop_s + super().exit_s
