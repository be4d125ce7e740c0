"""The commands `jobs ...`."""

import argparse
import json
from dataclasses import asdict
from typing import Final

from voice_cloning_client.audio import format_named, format_of_file
from voice_cloning_client.cli import job_record
from voice_cloning_client.cli.inputs import client_of, speech_options, text_of
from voice_cloning_client.cli.terminal import Progress, show, show_table
from voice_cloning_client.client import AsyncClient
from voice_cloning_client.errors import NotFound, ServiceError
from voice_cloning_client.jobs import Job

_NO_SUCH_METHOD: Final = 405


async def submit(options: argparse.Namespace) -> None:
    """Submit a text, and write the id of the job to stdout."""
    text = await text_of(options)

    async with client_of(options) as client:
        job = await client.jobs.submit(
            text,
            voice=options.voice,
            language=options.language,
            seed=options.seed,
            clips=options.clip,
            idempotency_key=None,
            **speech_options(options),
            **({"title": options.title} if options.title else {}),
        )
        job_record.add(client.url, job.id)
        show(job.id)


async def list_jobs(options: argparse.Namespace) -> None:
    """List the jobs of the service, newest first."""
    async with client_of(options) as client:
        try:
            rows = [_row(job) async for job in client.jobs.list(state=options.state)]
        except ServiceError as error:
            if error.status != _NO_SUCH_METHOD:
                raise
            rows = await _recorded(client)  # a service of an earlier release
        show_table(rows)


async def _recorded(client: AsyncClient) -> list[list[str]]:
    """Return the rows of the jobs that this account has submitted to the service, oldest first."""
    rows = []
    for job_id in job_record.ids(client.url):
        try:
            rows.append(_row(await client.jobs.get(job_id)))
        except NotFound:
            job_record.remove(client.url, job_id)
    return rows


def _row(job: Job) -> list[str]:
    return [job.id, job.state, _progress(job), job.created, job.title]


async def status(options: argparse.Namespace) -> None:
    """Show the state of a job as JSON."""
    async with client_of(options) as client:
        _show_job(await client.jobs.get(options.job))


async def wait(options: argparse.Namespace) -> None:
    """Wait until a job is done."""
    async with client_of(options) as client:
        _show_job(await _wait(client, options))


async def download(options: argparse.Namespace) -> None:
    """Wait for a job, and download its audio."""
    output = format_named(options.format) if options.format else format_of_file(options.output)

    async with client_of(options) as client:
        await _wait(client, options)
        with Progress("downloading", shown=not options.quiet) as progress:
            await client.jobs.download(
                options.job,
                options.output,
                format=output.name,
                sample_rate=options.sample_rate,
                progress=lambda received, total: progress.show(
                    f"{received / 1000:.0f} kB", received / total if total else None
                ),
            )


async def book(options: argparse.Namespace) -> None:
    """Wait for a job, and download it as an audio book."""
    async with client_of(options) as client:
        await _wait(client, options)
        with Progress("downloading", shown=not options.quiet) as progress:
            await client.jobs.download_book(
                options.job,
                options.output,
                progress=lambda received, total: progress.show(
                    f"{received / 1000:.0f} kB", received / total if total else None
                ),
            )


async def redo(options: argparse.Namespace) -> None:
    """Speak one sentence again, and show it as JSON."""
    speed = {} if options.speed is None else {"speed": options.speed}
    async with client_of(options) as client:
        made = await client.jobs.redo(
            options.job, options.sentence, text=options.text, seed=options.seed, **speed
        )
        show(json.dumps(made, ensure_ascii=False))


async def cancel(options: argparse.Namespace) -> None:
    """Cancel a job that has not ended."""
    async with client_of(options) as client:
        _show_job(await client.jobs.cancel(options.job))


async def delete(options: argparse.Namespace) -> None:
    """Delete a job and its audio."""
    async with client_of(options) as client:
        _show_job(await client.jobs.delete(options.job))
        job_record.remove(client.url, options.job)


async def _wait(client: AsyncClient, options: argparse.Namespace) -> Job:
    with Progress("job", shown=not options.quiet) as progress:
        return await client.jobs.wait(
            options.job,
            timeout_s=options.timeout,
            progress=lambda job: progress.show(
                f"{job.state} {_progress(job)}",
                job.spoken / job.sentences if job.sentences else None,
            ),
        )


def _progress(job: Job) -> str:
    return f"{job.spoken}/{job.sentences or '?'} sentences, {job.audio_seconds:.0f} s"


def _show_job(job: Job) -> None:
    shown = {name: value for name, value in asdict(job).items() if value not in ("", None)}
    show(json.dumps(shown, ensure_ascii=False))
