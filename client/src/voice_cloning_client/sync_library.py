"""Jobs and voices of the synchronous client."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from voice_cloning_client.jobs import Job, JobPage, Jobs
from voice_cloning_client.loop import Loop
from voice_cloning_client.speech import Clip, Value
from voice_cloning_client.voices import Consent, Voice, VoicePage, Voices


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

    def page(
        self, *, after: str | None = None, limit: int | None = None, state: str = ""
    ) -> JobPage:
        """Return one page of jobs, newest first."""
        return self._run(self._jobs.page(after=after, limit=limit, state=state))

    def list(self, *, state: str = "") -> Iterator[Job]:
        """Yield all jobs, newest first, page by page."""
        after: str | None = None

        while True:
            page = self.page(after=after, limit=200, state=state)
            yield from page.jobs

            if not page.next or page.next == after:
                return
            after = page.next

    def request(self, job: str) -> dict[str, Any]:
        """Return the text of a job and how it was to be spoken."""
        return self._run(self._jobs.request(job))

    def sentences(self, job: str) -> Iterator[dict[str, Any]]:
        """Yield the sentences of a job that is done, with their words and times."""

        async def read() -> tuple[dict[str, Any], ...]:
            return tuple([sentence async for sentence in self._jobs.sentences(job)])

        yield from self._run(read())

    def redo(
        self,
        job: str,
        sentence: int,
        *,
        text: str = "",
        seed: int | None = None,
        **options: Value,
    ) -> dict[str, Any]:
        """Speak a sentence of a job that is done again; return it with the job's new revision."""
        return self._run(self._jobs.redo(job, sentence, text=text, seed=seed, **options))

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
        chapter: int | None = None,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> Path:
        """Write the audio of a job that is done to a file."""
        return self._run(
            self._jobs.download(
                job,
                path,
                format=format,
                sample_rate=sample_rate,
                chapter=chapter,
                progress=progress,
            )
        )

    def download_book(
        self,
        job: str,
        path: str | Path,
        *,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> Path:
        """Write a job that is done to an audio book, `.m4b` or `.mp3`."""
        return self._run(self._jobs.download_book(job, path, progress=progress))


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

    def export(self, voice: str, *, computed: bool = False) -> bytes:
        """Return the voice with its recordings, as one file."""
        return self._run(self._voices.export(voice, computed=computed))

    def import_(self, file: bytes | str | Path) -> Voice:
        """Store a voice that `export` returned."""
        return self._run(self._voices.import_(file))
