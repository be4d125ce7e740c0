"""One process of the service: settings, logs, run until a signal, exit status."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import msgspec
import structlog
from msgspec import Meta, Struct

from services.common.runtime.child.confinement import hide_from_other_processes
from services.common.runtime.lifecycle import exiting_within, stop_on_signals
from services.common.runtime.logs import configure_logs
from services.common.runtime.settings import BadSettings, read_settings
from services.common.runtime.tcp_ports import CannotListen
from services.common.runtime.tracing import configure_tracing
from services.common.runtime.unknown_settings import misspelled

log = structlog.get_logger()


class ProcessSettings(Struct, frozen=True, kw_only=True):
    """Settings of every service: environment variables of the same names in upper case."""

    nats_url: str = "nats://localhost:4222"
    nats_nkey_seed_file: str = ""  # seed of the NATS user to connect as; empty: none
    nats_ca_file: str = (
        ""  # of the certificate authority that signed the server's certificate; empty: no TLS
    )
    nats_inbox_prefix: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,72}\Z")] = (
        "_INBOX"  # of the user's own
    )
    nats_establish: bool = True  # whether it creates streams that do not exist
    # How long a process waits at its start for NATS, and for streams that it does not create.
    nats_wait_s: Annotated[float, Meta(ge=0, le=3600)] = 0.0
    # of the streams and buckets that it creates
    nats_replicas: Annotated[int, Meta(ge=1, le=5)] = 1
    # of the stores of jobs, where it creates them
    job_results_kept_s: Annotated[float, Meta(ge=60)] = 24 * 3600.0
    # of TTS_AUDIO, where it creates it
    audio_store_bytes: Annotated[int, Meta(ge=1024 * 1024)] = 1024**3
    audio_kept_s: Annotated[float, Meta(ge=1)] = 600.0  # audio in it, where it creates it
    # of TTS_PROVENANCE, where it creates it: days, bytes, and entries of one tenant (0: no limit)
    provenance_kept_days: Annotated[float, Meta(gt=0, le=36_500)] = 180.0
    provenance_store_bytes: Annotated[int, Meta(ge=1024 * 1024)] = 1024**3
    provenance_tenant_entries: Annotated[int, Meta(ge=0)] = 0
    log_level: Annotated[
        str, Meta(pattern=r"^(?i:debug|info|warn|warning|error|critical|fatal)\Z")
    ] = "info"
    log_readable: bool = False

    @property
    def exit_s(self) -> float:
        """Return within how many seconds of SIGTERM the process has ended: the least grace that it needs."""
        return 20.0  # to hand work back and leave NATS; a second or two where NATS answers


SettingsT = TypeVar("SettingsT", bound=ProcessSettings)


def run_process(
    name: str,
    kind: type[SettingsT],
    run: Callable[[SettingsT, asyncio.Event], Awaitable[None]],
    expected: type[Exception],
) -> None:
    """Read the settings, run the service until SIGTERM, SIGINT or SIGHUP, and exit.

    Bad settings, a port that is taken and `expected` failures end with status 1 and their message alone. From the start
    on, others of its user cannot read its environment, which may name or hold secrets.
    """

    async def live(settings: SettingsT) -> None:
        stop = stop_on_signals()
        with exiting_within(settings.exit_s, stop):
            await run(settings, stop)

    hide_from_other_processes()
    try:
        settings = read_settings(kind, os.environ)
        configure_logs(name, level=settings.log_level, readable=settings.log_readable)
        for found in misspelled(
            os.environ, {field.name.upper() for field in msgspec.structs.fields(kind)}
        ):
            log.warning("unknown_setting", name=found.name, nearest=found.nearest)
        configure_tracing(name)
        asyncio.run(live(settings))
    except (BadSettings, CannotListen, expected) as error:
        sys.exit(f"{name}: {error}")
