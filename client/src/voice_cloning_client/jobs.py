"""Jobs: long texts that are synthesized in the background, and downloaded when they are done."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

import aiohttp

from voice_cloning_client.audio import format_named, format_of_file
from voice_cloning_client.download import Download
from voice_cloning_client.errors import (
    InvalidInput,
    JobFailed,
    Unavailable,
)
from voice_cloning_client.files import NewFile
from voice_cloning_client.speech import Clip, Speech, Value, checked_text, form, read_clips
from voice_cloning_client.transport import Call, Transport

ENDED: Final = ("done", "failed", "cancelled")
_TEXTS: Final = (
    "created",
    "deadline",
    "estimated_end",
    "voice",
    "code",
    "detail",
    "title",
    "language",
    "finished",
    "expires",
)
_FIRST_POLL_S: Final = 0.3
_POLL_S: Final = 3.0
_PAGE: Final = 200
_BOOKS: Final = (".m4b", ".mp3")
_NOT_ENDED: Final = "the job did not end within {:g} s; it continues, wait for it again"


@dataclass(frozen=True)
class Job:
    """A job and its progress."""

    id: str
    state: str  # queued, running, done, failed, cancelled
    sentences: int | None  # None until the text is split
    spoken: int
    audio_seconds: float
    created: str = ""  # RFC 3339, like the next two
    deadline: str = ""
    estimated_end: str = ""
    voice: str = ""
    code: str = ""
    detail: str = ""
    title: str = ""
    language: str = ""
    characters: int = 0
    finished: str = ""  # RFC 3339, like the next one
    expires: str = ""
    revision: int = 0

    @property
    def ended(self) -> bool:
        """Return whether it is final."""
        return self.state in ENDED

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """Return the job that a response describes."""
        return cls(
            id=str(body.get("id", "")),
            state=str(body.get("state", "")),
            sentences=body.get("sentences"),
            spoken=int(body.get("spoken", 0)),
            audio_seconds=float(body.get("audio_seconds", 0.0)),
            characters=int(body.get("characters") or 0),
            revision=int(body.get("revision") or 0),
            **{name: str(body.get(name) or "") for name in _TEXTS},
        )


@dataclass(frozen=True)
class JobPage:
    """Some jobs, newest first, and where the next ones begin."""

    jobs: tuple[Job, ...]
    next: str | None  # `after` of the next page; None on the last one


class Jobs:
    """The jobs of one client."""

    def __init__(self, transport: Transport) -> None:
        """Use the client's connections."""
        self._transport = transport

    async def submit(
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
        """Queue a text of up to 1,500,000 characters; the format is chosen by `download`."""
        name = secrets.token_hex(16)
        speech = Speech(
            checked_text(text),
            voice=voice,
            language=language,
            seed=seed,
            clips=read_clips(clips),
            options=options,
        )

        def body() -> aiohttp.FormData:
            fields = speech.fields()
            made = form(
                {key: value for key, value in fields.items() if key != "text"}, speech.clips
            )
            made.add_field("text_file", text.encode(), filename="text")
            return made

        call = Call(
            "POST",
            "/jobs",
            headers={"Request-Name": name, "Idempotency-Key": f'"{idempotency_key or name}"'},
            form=body,
            response_s=self._transport.timeouts.first_audio_s,
        )
        return Job.of(await self._transport.json(call))

    async def get(self, job: str) -> Job:
        """Return the state of a job. Raises NotFound."""
        return Job.of(await self._transport.json(Call("GET", _path(job))))

    async def page(
        self, *, after: str | None = None, limit: int | None = None, state: str = ""
    ) -> JobPage:
        """Return one page of jobs, newest first. `state`: one or more, with commas between."""
        given = {"after": after or "", "limit": "" if limit is None else str(limit), "state": state}
        query = {name: value for name, value in given.items() if value}
        body = await self._transport.json(Call("GET", "/jobs", query=query))
        jobs = tuple(Job.of(job) for job in body.get("jobs", ()))
        return JobPage(jobs, body.get("next"))

    async def list(self, *, state: str = "") -> AsyncGenerator[Job, None]:
        """Yield all jobs, newest first, page by page."""
        after: str | None = None

        while True:
            page = await self.page(after=after, limit=_PAGE, state=state)
            for job in page.jobs:
                yield job

            if not page.next or page.next == after:
                return
            after = page.next

    async def request(self, job: str) -> dict[str, Any]:
        """Return the text of a job and how it was to be spoken, by the names of the form. Raises NotFound."""
        return await self._transport.json(Call("GET", f"{_path(job)}/request"))

    async def sentences(self, job: str) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the sentences of a job that is done, with their words and times."""
        index = 0

        while True:
            query = {"from": str(index)}
            call = Call("GET", f"{_path(job)}/sentences", query=query)
            body = await self._transport.json(call)
            for sentence in body.get("sentences", ()):
                yield sentence
                index += 1

            if not body.get("sentences") or index >= int(body.get("count", 0)):
                return

    async def redo(
        self,
        job: str,
        sentence: int,
        *,
        text: str = "",
        seed: int | None = None,
        **options: Value,
    ) -> dict[str, Any]:
        """Speak a sentence of a job that is done again; return it with the job's new revision.

        `options`: other fields of the form, such as `pronunciations` and `speed`. It is not repeated once it is sent.
        """
        speech = Speech(text, seed=seed, options=options)
        call = Call(
            "POST",
            f"{_path(job)}/sentences/{sentence}",
            form=(lambda: form(speech.fields())) if speech.fields() else None,
            response_s=self._transport.timeouts.first_audio_s,
            repeatable=False,
        )
        return await self._transport.json(call)

    async def cancel(self, job: str) -> Job:
        """Cancel a job that has not ended, and delete its audio; one that has ended stays."""
        current = await self.get(job)
        return current if current.ended else await self.delete(job)

    async def delete(self, job: str) -> Job:
        """Delete a job that has ended; cancel one that has not."""
        return Job.of(await self._transport.json(Call("DELETE", _path(job))))

    async def wait(
        self,
        job: str,
        *,
        progress: Callable[[Job], None] | None = None,
        timeout_s: float | None = None,
    ) -> Job:
        """Return a job when it is done; `progress` is called whenever it has changed.

        Without `timeout_s` the wait ends at the latest at the job's own deadline. Raises JobFailed,
        Unavailable.
        """
        began_s = time.monotonic()
        poll_s = _FIRST_POLL_S
        last: Job | None = None

        while True:
            current = await self.get(job)
            if current != last and progress is not None:
                progress(current)
            last = current

            if current.state == "done":
                return current
            if current.ended:
                raise JobFailed(
                    current.code or current.state, current.detail or "submit it again", status=409
                )
            if timeout_s is not None and time.monotonic() - began_s + poll_s > timeout_s:
                raise Unavailable(_NOT_ENDED.format(timeout_s), timed_out=True)

            await asyncio.sleep(poll_s)
            poll_s = min(_POLL_S, poll_s * 1.3)

    async def download(
        self,
        job: str,
        path: str | Path,
        *,
        format: str | None = None,  # noqa: A002  # the name that users know
        sample_rate: int | None = None,
        chapter: int | None = None,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> Path:
        """Write the audio of a job that is done to a file; nothing remains of an incomplete one.

        `format`: default by the extension. `chapter`: only this one, from 0. `progress`: called with the bytes so
        far, and in total if known. Raises JobFailed, IncompleteAudio.
        """
        target = Path(path)
        output = format_of_file(target) if format is None else format_named(format)
        query = {"response_format": output.name}
        if sample_rate is not None:
            query["sample_rate"] = str(sample_rate)
        if chapter is not None:
            query["chapter"] = str(chapter)

        return await self._downloaded(job, f"{_path(job)}/audio", query, target, progress)

    async def download_book(
        self,
        job: str,
        path: str | Path,
        *,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> Path:
        """Write a job that is done to an audio book, `.m4b` or `.mp3`, with its title and chapters.

        Raises JobFailed, IncompleteAudio.
        """
        target = Path(path)
        extension = target.suffix.lower()
        if extension not in _BOOKS:
            raise InvalidInput(f"an audio book is one of {', '.join(_BOOKS)}; name the file so")
        return await self._downloaded(job, f"{_path(job)}/book{extension}", {}, target, progress)

    async def _downloaded(
        self,
        job: str,
        path: str,
        query: Mapping[str, str],
        target: Path,
        progress: Callable[[int, int | None], None] | None,
    ) -> Path:
        await self._require_done(job)
        with NewFile(target) as file:
            transfer = Download(self._transport, Call("GET", path, query=query))
            await transfer.into(file, progress)
            file.keep()
        return target

    async def _require_done(self, job: str) -> None:
        current = await self.get(job)
        if current.state in ("failed", "cancelled"):
            raise JobFailed(
                current.code or current.state, current.detail or "submit it again", status=409
            )
        if current.state != "done":
            raise InvalidInput(f"the job is {current.state}; wait until it is done")


def _path(job: str) -> str:
    if not job or job in (".", ".."):
        raise InvalidInput(
            "the id of a job must not be empty, . or ..; send the one that `submit` returned"
        )
    return f"/jobs/{quote(job, safe='')}"
