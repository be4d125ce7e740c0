"""The asynchronous client."""

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import aiohttp

from voice_cloning_client.audio import Audio, format_named, with_wav_sizes
from voice_cloning_client.jobs import Jobs
from voice_cloning_client.retry import Retry
from voice_cloning_client.settings import Timeouts, access
from voice_cloning_client.speech import (
    Clip,
    Speech,
    Value,
    checked_text,
    form,
    form_value,
    read_clips,
)
from voice_cloning_client.speech_stream import SpeechStream
from voice_cloning_client.transport import Call, Transport
from voice_cloning_client.voices import Voices


class AsyncClient:
    """A client of one service. Use it as a context manager, or call `close`.

    async with AsyncClient("http://localhost:8004") as client:
        audio = await client.speak("Hello.", voice="Anna", format="mp3")
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        timeouts: Timeouts | None = None,
        retry: Retry | None = None,
    ) -> None:
        """`url` and `api_key`: default from the environment. Raises InvalidInput."""
        self._transport = Transport(access(url, api_key), timeouts or Timeouts(), retry or Retry())
        self.jobs = Jobs(self._transport)
        self.voices = Voices(self._transport)

    @property
    def url(self) -> str:
        """Return the address of the service."""
        return self._transport.access.url

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._transport.access.url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()

    def stream(
        self,
        text: str,
        *,
        voice: str = "",
        language: str = "",
        format: str = "wav",  # noqa: A002  # the name that users know
        sample_rate: int | None = None,
        seed: int | None = None,
        clips: Clip | Sequence[Clip] = (),
        idempotency_key: str | None = None,
        **options: Value,
    ) -> SpeechStream:
        """Return the audio of a text as an asynchronous iterator of bytes; it starts with the first read.

        `clips`: recordings of one speaker, instead of `voice`. `options`: further fields of
        docs/http.md, such as `speed`, `text_type` and `pronunciations`. Raises InvalidInput.
        """
        speech = Speech(
            checked_text(text),
            voice=voice,
            language=language,
            format=format_named(format).name,
            sample_rate=sample_rate,
            seed=seed,
            clips=read_clips(clips),
            options=options,
        )
        return SpeechStream(self._transport, speech, key=idempotency_key)

    async def speak(
        self,
        text: str,
        *,
        voice: str = "",
        language: str = "",
        format: str = "wav",  # noqa: A002  # the name that users know
        sample_rate: int | None = None,
        seed: int | None = None,
        clips: Clip | Sequence[Clip] = (),
        idempotency_key: str | None = None,
        **options: Value,
    ) -> Audio:
        """Return the complete audio of a text; the arguments are those of `stream`.

        Raises InvalidInput, ServiceError, Unavailable, IncompleteAudio.
        """
        stream = self.stream(
            text,
            voice=voice,
            language=language,
            format=format,
            sample_rate=sample_rate,
            seed=seed,
            clips=clips,
            idempotency_key=idempotency_key,
            **options,
        )

        async with stream:
            content = b"".join([block async for block in stream])

        data = with_wav_sizes(content) if format.lower() == "wav" else content
        return Audio(data, format.lower(), stream.info)

    async def languages(self) -> dict[str, str]:
        """Return the supported languages: code -> native name."""
        body = await self._transport.json(Call("GET", "/languages"))
        return {str(code): str(name) for code, name in body["languages_details"].items()}

    async def normalize(
        self, text: str, *, language: str = "", **options: Value
    ) -> Mapping[str, Any]:
        """Return the normalized text, as docs/http.md describes it; nothing is synthesized."""
        fields = {"text": checked_text(text), "language": language}
        fields |= {name: form_value(value) for name, value in options.items()}
        sent = {name: value for name, value in fields.items() if value}
        return await self._transport.json(Call("POST", "/normalize", form=lambda: form(sent)))

    async def provenance(self, recording: Clip, *, until: str = "") -> Mapping[str, Any]:
        """Return the watermark of a recording, and its sentences in the log, as docs/http.md describes them.

        `until`: only sentences that were spoken before this time (ISO 8601).
        """
        (content,) = await asyncio.to_thread(read_clips, (recording,))

        def body() -> aiohttp.FormData:
            made = form({"until": until} if until else {})
            made.add_field("file", content, filename="recording")
            return made

        return await self._transport.json(Call("POST", "/provenance", form=body))

    async def about(self) -> Mapping[str, Any]:
        """Return the service's version, engine and supported parameters."""
        return await self._transport.json(Call("GET", "/"))
