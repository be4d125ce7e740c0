"""The synchronous client: the asynchronous one, on an event loop in its own thread."""

from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from voice_cloning_client.audio import Audio, AudioInfo
from voice_cloning_client.client import AsyncClient
from voice_cloning_client.loop import Loop
from voice_cloning_client.retry import Retry
from voice_cloning_client.settings import Timeouts
from voice_cloning_client.speech import Clip, Value
from voice_cloning_client.speech_stream import SpeechStream
from voice_cloning_client.sync_library import SyncJobs, SyncVoices


class Stream:
    """The audio of one request as it arrives: an iterator of bytes, and a context manager."""

    def __init__(self, loop: Loop, stream: SpeechStream) -> None:
        """Read nothing yet."""
        self._loop = loop
        self._stream = stream

    @property
    def info(self) -> AudioInfo:
        """Return the properties of the audio, once the first bytes have arrived."""
        return self._stream.info

    @property
    def complete(self) -> bool:
        """Return whether all audio has arrived."""
        return self._stream.complete

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        block = self._loop.run(_next(self._stream))
        if block is None:
            raise StopIteration
        return block

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; cancel the request if its audio is not complete."""
        self._loop.run(self._stream.aclose())


async def _next(stream: SpeechStream) -> bytes | None:
    return await anext(stream, None)


class Client:
    """A client of one service, for programs without an event loop. Can be shared by threads.

    with Client("http://localhost:8004") as client:
        client.speak("Hello.", voice="Anna", format="mp3").save("hello.mp3")
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
        self._client = AsyncClient(url, api_key=api_key, timeouts=timeouts, retry=retry)
        self._loop = Loop()
        self.jobs = SyncJobs(self._loop, self._client.jobs)
        self.voices = SyncVoices(self._loop, self._client.voices)

    def __repr__(self) -> str:
        return repr(self._client).removeprefix("Async")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections, and end the thread."""
        self._loop.run(self._client.close())
        self._loop.close()

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
    ) -> Stream:
        """Return the audio of a text as an iterator of bytes; see `AsyncClient.stream`."""
        stream = self._client.stream(
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
        return Stream(self._loop, stream)

    def speak(
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
        """Return the complete audio of a text; see `AsyncClient.speak`."""
        return self._loop.run(
            self._client.speak(
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
        )

    def languages(self) -> dict[str, str]:
        """Return the supported languages: code -> native name."""
        return self._loop.run(self._client.languages())

    def normalize(self, text: str, *, language: str = "", **options: Value) -> Mapping[str, Any]:
        """Return the normalized text; nothing is synthesized."""
        return self._loop.run(self._client.normalize(text, language=language, **options))

    def provenance(self, recording: Clip, *, until: str = "") -> Mapping[str, Any]:
        """Return the watermark of a recording, and its sentences in the log."""
        return self._loop.run(self._client.provenance(recording, until=until))

    def about(self) -> Mapping[str, Any]:
        """Return the service's version, engine and supported parameters."""
        return self._loop.run(self._client.about())
