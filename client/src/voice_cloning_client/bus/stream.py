"""The audio of one request over NATS.

How it works. The stream subscribes to the events of a request, then publishes it, and delivers the
samples in order. Whenever no event arrives for half a second, for example while the connection is
being restored, it reads what is next from the stream TTS_AUDIO by subject. A failure that is
retryable, or audio that is no longer stored, leads to a new request for the sentences that are
missing, with the same seed and voice: their samples are identical, so the join is exact.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from typing import Any, Final

import nats.errors
import nats.js.errors
from nats.aio.client import Client as NatsConnection
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from voice_cloning_client.audio import AudioInfo, wav_header
from voice_cloning_client.block_stream import BlockStream
from voice_cloning_client.bus.assembly import Assembly
from voice_cloning_client.bus.messages import (
    AUDIO_STREAM,
    BusRequest,
    decoded,
    described,
    failure,
)
from voice_cloning_client.errors import (
    IncompleteAudio,
    Overloaded,
    ServiceError,
    Unavailable,
    VoiceCloningError,
)
from voice_cloning_client.retry import Retry
from voice_cloning_client.settings import Timeouts
from voice_cloning_client.transport import Attempts

_POLL_S: Final = 0.5
_PUBLISH_S: Final = 10.0
_READ_S: Final = 2.0
_STREAM_FULL: Final = 10077  # error code of nats-server


class BusStream(BlockStream):
    """The audio of one request as it arrives: an asynchronous iterator of bytes."""

    def __init__(
        self,
        connection: NatsConnection,
        request: BusRequest,
        *,
        wav: bool,
        timeouts: Timeouts,
        retry: Retry,
    ) -> None:
        """Publish nothing yet. `wav`: begin with a WAV header for a stream of unknown length."""
        self.info = AudioInfo(
            request_id=request.request,
            seed=request.seed,
            language=request.language,
            engine=request.engine,
            voice=request.voice,
        )
        self.complete = False
        self._connection = connection
        self._request = request
        self._wav = wav
        self._timeouts = timeouts
        self._attempts = Attempts(retry)
        self._assembly = Assembly()
        self._split: Mapping[str, Any] = {}
        self._events: Subscription | None = None
        self._changed_s = time.monotonic()  # when there was progress
        self._blocks = self._read()

    async def _read(self) -> AsyncGenerator[bytes, None]:
        try:
            async with aclosing(self._samples()) as samples:
                async for pcm in samples:
                    if self.info.sample_rate_hz is None:
                        self._begin()
                        if self._wav:
                            yield wav_header(self._assembly.sample_rate_hz or 0, None)
                    yield pcm
            self.complete = True
        finally:
            await self._leave()

    def _begin(self) -> None:
        self.info = AudioInfo(
            request_id=self.info.request_id,
            sample_rate_hz=self._assembly.sample_rate_hz,
            seed=self.info.seed,
            language=self.info.language,
            engine=self.info.engine,
            voice=str(self._split.get("voice", self.info.voice)),
        )

    async def _samples(self) -> AsyncGenerator[bytes, None]:
        await self._open()

        while not self._assembly.complete:
            try:
                await self._next_event()
            except ServiceError as error:
                await self._continue(error)
                continue

            for pcm in self._assembly.ready():
                self._changed_s = time.monotonic()
                self._attempts.succeeded()
                yield pcm

    async def _open(self) -> None:
        """Subscribe and publish, until the request is stored. Raises ServiceError, Unavailable."""
        while True:
            try:
                await self._subscribe()
                await self._publish()
            except (Unavailable, ServiceError) as error:
                if isinstance(error, ServiceError) and not error.retryable:
                    raise
                await self._attempts.failed(error)
            else:
                self._changed_s = time.monotonic()
                return

    async def _subscribe(self) -> None:
        if self._events is not None:
            return
        try:
            self._events = await self._connection.subscribe(f"{self._request.audio_subject}.>")
        except nats.errors.Error as error:
            raise _unavailable(error) from None

    async def _publish(self) -> None:
        """Publish the request. A repetition has the same id, which JetStream drops."""
        try:
            await self._connection.jetstream().publish(
                self._request.subject,
                self._request.encoded(),
                timeout=_PUBLISH_S,
                headers={"Nats-Msg-Id": self._request.message_id},
            )
        except nats.js.errors.NoStreamResponseError:
            raise Unavailable(
                "no service is connected to NATS; check the tenant, and that the service runs"
            ) from None
        except nats.js.errors.APIError as error:
            raise _refusal(error) from None
        except nats.errors.MaxPayloadError:
            raise ServiceError(
                "text_too_long", "the text does not fit into one message; send it in parts"
            ) from None
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise _unavailable(error) from None

    async def _next_event(self) -> None:
        """Wait for an event, or read what is missing. Raises ServiceError, Unavailable."""
        assert self._events is not None  # noqa: S101  # for the type checker

        try:
            message = await self._events.next_msg(timeout=_POLL_S)
        except nats.errors.TimeoutError:
            await self._recover()
        except (nats.errors.Error, OSError) as error:
            raise self._broken(_unavailable(error)) from None
        else:
            self._take(decoded(message.data))

    def _take(self, event: Mapping[str, Any]) -> None:
        kind = event.get("type")
        if kind == "SpeechFailed":
            raise failure(event)
        if kind == "TextSplit":
            self._split = event
            self._changed_s = time.monotonic()
            if not event.get("sentences"):
                raise ServiceError("empty_text", "the text contains nothing to synthesize")

        try:
            self._assembly.add(event)
        except (KeyError, TypeError, ValueError):
            return  # malformed: what is missing is read again from the stream

    async def _recover(self) -> None:
        """Read by subject what is next. Raises ServiceError, Unavailable if nothing arrives for too long."""
        names = [*self._assembly.missing(), "failed"]
        if not self._split:
            names.append("split")

        had_end = self._assembly.has_end
        for name in names:
            message = await self._stored(name)
            if message is None:
                break  # NATS does not respond now
            if message:
                self._take(decoded(message))
            elif had_end and name == names[0]:
                raise Overloaded("audio_gone", "the audio is no longer stored", retryable=True)

        begun = self._assembly.delivered_bytes > 0
        patience_s = self._timeouts.idle_s if begun else self._timeouts.first_audio_s
        if time.monotonic() - self._changed_s > patience_s:
            raise self._broken(
                Unavailable(f"no audio arrived within {patience_s:g} s; retry later")
            )

    async def _stored(self, name: str) -> bytes | None:
        """Return a stored event; nothing if it is not stored, None if NATS does not respond."""
        subject = f"$JS.API.DIRECT.GET.{AUDIO_STREAM}.{self._request.audio_subject}.{name}"
        try:
            message = await self._connection.request(subject, b"", timeout=_READ_S)
        except (nats.errors.Error, TimeoutError, OSError):
            return None
        return b"" if _status(message) else message.data

    async def _continue(self, error: ServiceError) -> None:
        """Request the sentences that are missing under another id. Raises the error if it is final."""
        if not error.retryable:
            raise self._broken(error)

        try:
            await self._attempts.failed(error)
        except VoiceCloningError:
            raise self._broken(error) from None

        await self._leave()
        self._request = self._request.continued(
            secrets.token_hex(16), self._assembly.sentence, self._split
        )
        await self._open()

    async def _leave(self) -> None:
        """Unsubscribe, and cancel the request if its audio is not complete."""
        events, self._events = self._events, None
        if events is None:
            return

        with suppress(nats.errors.Error, TimeoutError, OSError):
            async with asyncio.timeout(self._timeouts.cancel_s):
                await events.unsubscribe()
                if not self.complete:
                    await self._connection.publish(*self._request.cancel())
                    await self._connection.flush()

    def _broken(self, error: VoiceCloningError) -> VoiceCloningError:
        """Return the error that the caller gets: IncompleteAudio if it has a part of the audio."""
        if not self._assembly.delivered_bytes:
            return error
        return IncompleteAudio(
            str(error),
            received_bytes=self._assembly.delivered_bytes,
            request_id=self._request.request,
        )


def _status(message: Msg) -> str:
    """Return the status of a reply by direct get, such as 404; empty if it is the message."""
    return (message.headers or {}).get("Status", "")


def _refusal(error: nats.js.errors.APIError) -> ServiceError:
    if error.err_code == _STREAM_FULL:
        return Overloaded("queue_full", "the queue is full; retry later", retryable=True)
    return described(error.description or "refused", error.code or 0)


def _unavailable(error: Exception) -> Unavailable:
    return Unavailable(f"NATS does not respond ({type(error).__name__}); retry later")
