"""The synchronous client: the asynchronous one, on an event loop in its own thread."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from voice_cloning_client.audio import Audio, AudioInfo
from voice_cloning_client.client import AsyncClient
from voice_cloning_client.jobs import Job, Jobs
from voice_cloning_client.retry import Retry
from voice_cloning_client.settings import Timeouts
from voice_cloning_client.speech import Clip, SpeechStream, Value
from voice_cloning_client.voices import Consent, Voice, VoicePage, Voices

T = TypeVar("T")
_CLOSE_S: Final = 10.0


class Loop:
    """An event loop in a daemon thread; `run` waits for a coroutine on it."""

    def __init__(self) -> None:
        """Start the thread."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="voice-cloning-client", daemon=True
        )
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return its result; if the wait is interrupted, cancel it and let it clean up."""
        ended = threading.Event()

        async def settled() -> T:
            try:
                return await coroutine
            finally:
                ended.set()

        future = asyncio.run_coroutine_threadsafe(settled(), self._loop)
        try:
            return future.result()
        except BaseException:
            if future.cancel():
                ended.wait(_CLOSE_S)
            raise

    def close(self) -> None:
        """Stop the thread."""
        if self._loop.is_closed():
            return

        asyncio.run_coroutine_threadsafe(self._loop.shutdown_asyncgens(), self._loop).result(
            _CLOSE_S
        )
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_S)
        self._loop.close()


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


class SyncJobs:
    """The jobs of one client; see `Jobs`."""

    def __init__(self, loop: Loop, jobs: Jobs) -> None:
        """Wrap the asynchronous jobs."""
        self._run = loop.run
        self._jobs = jobs

    def submit(
        self,
        text: str,
        *,
        voice: str = "",
        language: str = "",
        seed: int | None = None,
        clips: Clip | Sequence[Clip] = (),
        idempotency_key: str | None = None,
        **options: Value,
    ) -> Job:
        """Queue a text."""
        return self._run(
            self._jobs.submit(
                text,
                voice=voice,
                language=language,
                seed=seed,
                clips=clips,
                idempotency_key=idempotency_key,
                **options,
            )
        )

    def get(self, job: str) -> Job:
        """Return the state of a job."""
        return self._run(self._jobs.get(job))

    def cancel(self, job: str) -> Job:
        """Cancel a job that has not ended."""
        return self._run(self._jobs.cancel(job))

    def delete(self, job: str) -> Job:
        """Delete a job."""
        return self._run(self._jobs.delete(job))

    def wait(
        self,
        job: str,
        *,
        progress: Callable[[Job], None] | None = None,
        timeout_s: float | None = None,
    ) -> Job:
        """Return a job when it is done. `progress` is called on the client's thread."""
        return self._run(self._jobs.wait(job, progress=progress, timeout_s=timeout_s))

    def download(
        self,
        job: str,
        path: str | Path,
        *,
        format: str | None = None,  # noqa: A002  # the name that users know
        sample_rate: int | None = None,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> Path:
        """Write the audio of a job that is done to a file."""
        return self._run(
            self._jobs.download(
                job, path, format=format, sample_rate=sample_rate, progress=progress
            )
        )


class SyncVoices:
    """The voice library of one client; see `Voices`."""

    def __init__(self, loop: Loop, voices: Voices) -> None:
        """Wrap the asynchronous library."""
        self._run = loop.run
        self._voices = voices

    def page(
        self,
        *,
        after: str | None = None,
        limit: int | None = None,
        language: str = "",
        query: str = "",
        kind: str = "",
    ) -> VoicePage:
        """Return one page of voices."""
        return self._run(
            self._voices.page(after=after, limit=limit, language=language, query=query, kind=kind)
        )

    def list(self, *, language: str = "", query: str = "", kind: str = "") -> Iterator[Voice]:
        """Yield all voices, page by page."""
        after: str | None = None

        while True:
            page = self.page(after=after, limit=200, language=language, query=query, kind=kind)
            yield from page.voices

            if not page.next or page.next == after:
                return
            after = page.next

    def create(
        self,
        name: str,
        clips: Clip | Sequence[Clip],
        *,
        consent: Consent | None = None,
        language: str = "",
        description: str = "",
        parameters: Mapping[str, Value] | None = None,
    ) -> Voice:
        """Store a voice."""
        return self._run(
            self._voices.create(
                name,
                clips,
                consent=consent,
                language=language,
                description=description,
                parameters=parameters,
            )
        )

    def get(self, voice: str) -> Voice:
        """Return a voice by its id or name."""
        return self._run(self._voices.get(voice))

    def change(
        self,
        voice: str,
        *,
        name: str | None = None,
        description: str | None = None,
        language: str | None = None,
        parameters: Mapping[str, Value] | None = None,
        consent: Consent | None = None,
    ) -> Voice:
        """Change what is given."""
        return self._run(
            self._voices.change(
                voice,
                name=name,
                description=description,
                language=language,
                parameters=parameters,
                consent=consent,
            )
        )

    def rename(self, voice: str, name: str) -> Voice:
        """Give a voice another name."""
        return self._run(self._voices.rename(voice, name))

    def replace_clips(
        self, voice: str, clips: Clip | Sequence[Clip], *, consent: Consent | None = None
    ) -> Voice:
        """Replace the recordings of a voice."""
        return self._run(self._voices.replace_clips(voice, clips, consent=consent))

    def delete(self, voice: str) -> None:
        """Erase a voice."""
        self._run(self._voices.delete(voice))

    def preview(self, voice: str, *, language: str = "") -> bytes:
        """Return a short sentence in this voice, as WAV."""
        return self._run(self._voices.preview(voice, language=language))

    def export(self, voice: str) -> bytes:
        """Return the voice with its recordings, as one file."""
        return self._run(self._voices.export(voice))

    def import_(self, file: bytes | str | Path) -> Voice:
        """Store a voice that `export` returned."""
        return self._run(self._voices.import_(file))


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

    def about(self) -> Mapping[str, Any]:
        """Return the service's version, engine and supported parameters."""
        return self._loop.run(self._client.about())
