"""A connection to NATS, and requests on it."""

import asyncio
import os
import secrets
import ssl
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nats
import nats.errors
from nats.aio.client import Client as NatsConnection

from voice_cloning_client.audio import Audio, with_wav_sizes
from voice_cloning_client.bus.messages import (
    WORKERS,
    BusRequest,
    checked_language,
    checked_tenant,
    deadline_ms,
    decoded,
    failure,
    running_engine,
    split_options,
    store_clip,
)
from voice_cloning_client.bus.stream import BusStream
from voice_cloning_client.errors import InvalidInput, Unavailable
from voice_cloning_client.retry import Retry
from voice_cloning_client.settings import Timeouts
from voice_cloning_client.speech import Clip, Value, checked_text, read_clips

_FORMATS: Final = ("wav", "pcm")
_HEARTBEATS_S: Final = 1.5  # workers send one per second
_CLIP_S: Final = 120.0
_MAX_SEED: Final = 2**63


@dataclass(frozen=True)
class BusAccess:
    """The tenant and its credentials; what is empty comes from the environment.

    `TENANT`, `NATS_NKEY_SEED_FILE` and `NATS_CA_FILE`, as docs/deploy.md names them.
    """

    tenant: str = ""
    nkey_seed_file: str = ""
    ca_file: str = ""

    def tenant_name(self) -> str:
        """Return the tenant; default `public`. Raises InvalidInput."""
        return checked_tenant(self.tenant or os.environ.get("TENANT") or "public")

    def options(self) -> dict[str, Any]:
        """Return the options of the connection. Raises InvalidInput for an unreadable file."""
        options: dict[str, Any] = {}
        seed = self.nkey_seed_file or os.environ.get("NATS_NKEY_SEED_FILE", "")
        certificate = self.ca_file or os.environ.get("NATS_CA_FILE", "")

        try:
            if seed:
                options["nkeys_seed_str"] = Path(seed).read_text("ascii").strip()
                options["inbox_prefix"] = f"_INBOX_tenant-{self.tenant_name()}".encode()
            if certificate:
                options["tls"] = ssl.create_default_context(cafile=certificate)
        except (OSError, ValueError):
            raise InvalidInput(
                f"the credentials cannot be read; check {seed or 'the seed file'} and "
                f"{certificate or 'the certificate'}"
            ) from None

        return options


class BusClient:
    """Requests on one connection."""

    def __init__(
        self, connection: NatsConnection, tenant: str, timeouts: Timeouts, retry: Retry
    ) -> None:
        """Use a connection that `connect` has made."""
        self._connection = connection
        self._tenant = tenant
        self._timeouts = timeouts
        self._retry = retry

    async def stream(
        self,
        text: str,
        *,
        language: str,
        voice: str = "",
        format: str = "wav",  # noqa: A002  # the name that users know
        seed: int | None = None,
        clips: Clip | Sequence[Clip] = (),
        engine: str = "",
        **options: Value,
    ) -> BusStream:
        """Return the audio of a text as an asynchronous iterator of bytes.

        Recordings are stored first. `engine`: default the running one. Raises InvalidInput,
        ServiceError, Unavailable.
        """
        if format not in _FORMATS:
            raise InvalidInput(f"format {format!r} is not available over NATS; send wav or pcm")

        checked_text(text)
        checked_language(language)
        recordings = read_clips(clips)
        parameters, fields = split_options(options)
        chosen = engine or await self.engine()
        stored = tuple([await self._store(recording) for recording in recordings])
        request = BusRequest(
            request=secrets.token_hex(16),
            tenant=self._tenant,
            engine=chosen,
            language=language,
            text=text,
            seed=secrets.randbelow(_MAX_SEED) if seed is None else seed,
            deadline_unix_ms=deadline_ms(time.time(), text, self._timeouts.first_audio_s),
            voice=voice,
            clips=stored,
            parameters=parameters,
            options=fields,
        )
        return BusStream(
            self._connection,
            request,
            wav=format == "wav",
            timeouts=self._timeouts,
            retry=self._retry,
        )

    async def speak(
        self,
        text: str,
        *,
        language: str,
        voice: str = "",
        format: str = "wav",  # noqa: A002  # the name that users know
        seed: int | None = None,
        clips: Clip | Sequence[Clip] = (),
        engine: str = "",
        **options: Value,
    ) -> Audio:
        """Return the complete audio of a text; the arguments are those of `stream`."""
        stream = await self.stream(
            text,
            language=language,
            voice=voice,
            format=format,
            seed=seed,
            clips=clips,
            engine=engine,
            **options,
        )

        async with stream:
            content = b"".join([block async for block in stream])

        return Audio(with_wav_sizes(content) if format == "wav" else content, format, stream.info)

    async def engine(self) -> str:
        """Return the running engine, by the heartbeats of its workers. Raises InvalidInput, Unavailable."""
        engines: list[str] = []
        heartbeats = await self._connection.subscribe(WORKERS)

        with suppress(TimeoutError, nats.errors.Error):
            async with asyncio.timeout(_HEARTBEATS_S):
                async for message in heartbeats.messages:
                    state = decoded(message.data)
                    if state.get("state") in ("ready", "loading", "draining"):
                        engines.append(str(state.get("engine", "")))

        with suppress(nats.errors.Error):
            await heartbeats.unsubscribe()

        if not engines:
            raise Unavailable("no worker is alive; start one, or check the tenant")
        return running_engine(engines)

    async def _store(self, recording: bytes) -> str:
        """Store a recording and return its clip id. Raises ServiceError, Unavailable."""
        try:
            reply = await self._connection.request(
                *store_clip(self._tenant, recording), timeout=_CLIP_S
            )
        except nats.errors.NoRespondersError:
            raise Unavailable("no edge is running, which stores recordings; start one") from None
        except nats.errors.MaxPayloadError:
            raise InvalidInput(
                "the recording does not fit into one message; send a shorter or compressed one"
            ) from None
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise Unavailable(
                f"the recording was not stored ({type(error).__name__}); retry later"
            ) from None

        answer = decoded(reply.data)
        if answer.get("type") != "ClipStored":
            raise failure(answer)
        return str(answer["clip"])


@asynccontextmanager
async def connect(
    url: str,
    *,
    access: BusAccess | None = None,
    timeouts: Timeouts | None = None,
    retry: Retry | None = None,
) -> AsyncGenerator[BusClient, None]:
    """Connect while the block runs. Raises InvalidInput, Unavailable."""
    access = access or BusAccess()
    timeouts = timeouts or Timeouts()
    tenant = access.tenant_name()
    connection = await _connected(url, access.options(), timeouts)

    try:
        yield BusClient(connection, tenant, timeouts, retry or Retry())
    finally:
        with suppress(nats.errors.Error, TimeoutError, OSError):
            async with asyncio.timeout(timeouts.cancel_s):
                await connection.close()


async def _connected(url: str, options: dict[str, Any], timeouts: Timeouts) -> NatsConnection:
    try:
        async with asyncio.timeout(timeouts.connect_s):
            return await nats.connect(
                url.split(","),
                name="voice-cloning-client",
                error_cb=_ignore,  # each operation raises its own error
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.2,
                ping_interval=2,
                max_outstanding_pings=2,
                **options,
            )
    except (nats.errors.Error, TimeoutError, OSError, ValueError) as error:
        raise Unavailable(
            f"cannot connect to NATS ({type(error).__name__}); check the address and credentials"
        ) from None


async def _ignore(_error: Exception) -> None:
    return None
