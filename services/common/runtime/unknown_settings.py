"""Finds environment variables that look like settings of this service but are not, such as typos.

A name is suspected where it is nearly that of a setting, or begins as only settings do. What Kubernetes puts into every
container (links to its Services), and what other programs read, is left alone.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

# Of every service and of the web interface; a test compares.
KNOWN: Final = frozenset(
    [
        "ALLOWED_HOSTS",
        "API_KEY",
        "API_KEYS_FILE",
        "AUDIO_KEPT_S",
        "AUDIO_STORE_BYTES",
        "C2PA_CERTIFICATE_FILE",
        "C2PA_KEY_FILE",
        "CONNECTION_IDLE_TIMEOUT_S",
        "CONTAINER_MARK",
        "CONTENT_CREDENTIALS",
        "COQUI_TOS_AGREED",
        "CORS_ORIGINS",
        "DECODERS",
        "DEVICE",
        "EMBEDDED_RUNTIME",
        "ENGINE",
        "FIRST_AUDIO_TIMEOUT_S",
        "HTTP_DRAIN_S",
        "HTTP_HOST",
        "HTTP_METRICS_PORT",
        "HTTP_PORT",
        "HTTP_STOP_S",
        "IDEMPOTENCY_GRACE_S",
        "JOB_RESULTS_KEPT_S",
        "JOB_RESULTS_TENANT_BYTES",
        "JOB_TIMEOUT_S",
        "LISTENER_TIMEOUT_S",
        "LOG_LEVEL",
        "LOG_READABLE",
        "LOUDNESS_LUFS",
        "MAX_CONNECTIONS",
        "MAX_JOBS",
        "MAX_JOB_CHARACTERS",
        "MAX_JOB_STREAMS",
        "MAX_JOB_STREAMS_PER_TENANT",
        "MAX_SOCKETS",
        "MAX_SOCKETS_PER_ADDRESS",
        "MAX_TEXT_CHARACTERS",
        "MAX_UPLOADS",
        "MAX_UPLOADS_PER_CALLER",
        "MAX_UPLOAD_BYTES",
        "MODEL_CACHE",
        "NATS_CA_FILE",
        "NATS_ESTABLISH",
        "NATS_INBOX_PREFIX",
        "NATS_NKEY_SEED_FILE",
        "NATS_REPLICAS",
        "NATS_URL",
        "NATS_WAIT_S",
        "PRELOAD_LANGUAGES",
        "PROVENANCE",
        "PROVENANCE_KEPT_DAYS",
        "PROVENANCE_STORE_BYTES",
        "PROVENANCE_TENANT_ENTRIES",
        "PUBLIC_SERVICE_URL",
        "QUEUE_AUDIO_S",
        "QUEUE_WAIT_S",
        "REQUEST_TIMEOUT_S",
        "SERVICE_URL",
        "SPLITTER_AHEAD",
        "SPLITTER_HEALTH_HOST",
        "SPLITTER_HEALTH_PORT",
        "SPLITTER_REQUESTS",
        "STREAM_AHEAD_S",
        "TEMP_SPACE_BYTES",
        "TENANT",
        "TENANT_CLIPS_BYTES",
        "TENANT_REQUESTS_BYTES",
        "TENANT_SHARE",
        "TENANT_VOICES",
        "TENANT_VOICES_BYTES",
        "TONE_CRASH_WORD",
        "TONE_HANG_WORD",
        "TONE_REAL_TIME_FACTOR",
        "TRUSTED_PROXIES",
        "UI_HOST",
        "UI_PORT",
        "UI_URL",
        "UPLOAD_BYTES_A_SECOND",
        "UPLOAD_IDLE_TIMEOUT_S",
        "UPLOAD_TIMEOUT_S",
        "URL_SECRETS_FILE",
        "VOICES_KEPT_DAYS",
        "VOICE_CONSENT",
        "WATERMARK",
        "WORKER_EXPRESS_SLOTS",
        "WORKER_HEALTH_HOST",
        "WORKER_HEALTH_PORT",
        "WORKER_SLOTS",
        "WORKER_STEP_TIMEOUT_S",
        "WORKER_STOP_S",
        "WORKER_THREADS",
        "WORKER_VOICES",
        "XTTS_MODEL_DIR",
        "XTTS_PRECISION",
        "XTTS_REVISION",
    ]
)

_OURS: Final = (
    "API_KEY",
    "COQUI_",
    "HTTP_",
    "NATS_",
    "SPLITTER_",
    "TONE_",
    "UI_",
    "WORKER_",
    "XTTS_",
)
# curl and more; the nats tool
_OF_OTHERS: Final = frozenset({"HTTP_PROXY", "NATS_CONTEXT", "NATS_COLOR", "NATS_SERVER"})
_PREFIXES_OF_OTHERS: Final = (
    "BUILDKITE_",
    "CI_",
    "CIRCLE_",
    "GITHUB_",
    "GITLAB_",
    "HF_",
    "OTEL_",
    "RUNNER_",
    "TRAVIS_",
)
_SERVICE_LINK: Final = re.compile(
    r"_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)\Z|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?\Z"
)
_CLOSE: Final = 0.83  # 1: the same; two letters of six that changed places are 0.833
_NEAR: Final = 0.6


class UnknownSetting(NamedTuple):
    """A variable that is not a setting, and the setting with the most similar name; empty if none is."""

    name: str
    nearest: str


def misspelled(
    environment: Mapping[str, str], own: AbstractSet[str] = frozenset()
) -> Iterator[UnknownSetting]:
    """Yield the variables that look like settings and are none; `own`: names of settings, known or not.

    Values stay unsaid, as some are secrets.
    """
    known = KNOWN | own
    for name, value in sorted(environment.items()):
        if name in known or not value:
            continue
        if name.upper() in known:
            yield UnknownSetting(name, name.upper())
        elif name == name.upper() and not _of_others(name, value):
            near = difflib.get_close_matches(
                name, known, n=1, cutoff=_NEAR if name.startswith(_OURS) else _CLOSE
            )
            if near or name.startswith(_OURS):
                yield UnknownSetting(name, near[0] if near else "")


def _of_others(name: str, value: str) -> bool:
    if name in _OF_OTHERS or name.startswith(_PREFIXES_OF_OTHERS):
        return True
    return bool(_SERVICE_LINK.search(name)) or (name.endswith("_PORT") and "://" in value)
