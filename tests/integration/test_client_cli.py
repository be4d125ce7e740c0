"""The command `voice-cloning`, as a process, against the real service."""

import asyncio
import json
import os
import pty
import signal
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.front import VOICE, Front
from tests.support.service import TEXT, expected_pcm, sentence_count
from tests.support.wav import pcm_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).parents[2]
LONG = " ".join(f"{TEXT} That was number {number}." for number in range(5))
HOSTILE = (
    "-5 degrees outside.",
    "--output",
    'It\'s a "quote"; rm -rf / # and $(id) `id` $HOME',
    "@/etc/passwd",
    "<speak>not ssml</speak>",
    "first line\nsecond line\r\nthird\tline",
    "100 % of %s %n {0} \\n",
    '--boundary\r\nContent-Disposition: form-data; name="text"\r\n\r\nno',
    'a=b&c=d; name="x"',
    "caf\u00e9 e\u0301 \u202eright to left\u202c done \U0001f600 yes",
    "\x1b[31mred\x1b[0m text",
)


@dataclass(frozen=True)
class Result:
    code: int
    out: bytes
    err: str


@dataclass(frozen=True)
class Cli:
    """Runs the command in a folder."""

    address: str
    folder: Path

    async def start(self, *arguments: str, err: int = PIPE, **environment: str) -> Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "voice_cloning_client.cli", *arguments),
            stdin=PIPE,
            stdout=PIPE,
            stderr=err,
            cwd=self.folder,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT / "client" / "src"),
                "VOICE_CLONING_SERVICE_URL": self.address,
                "XDG_STATE_HOME": str(self.folder / "state"),
                **environment,
            },
        )

    async def run(self, *arguments: str, stdin: bytes = b"", **environment: str) -> Result:
        process = await self.start(*arguments, **environment)
        async with asyncio.timeout(60):
            out, err = await process.communicate(stdin)
        assert process.returncode is not None
        return Result(process.returncode, out, err.decode())

    async def speak(self, *arguments: str, stdin: bytes = b"") -> Result:
        common = ("--language", "en", "--clip", "voice.flac", "--seed", "42")
        return await self.run("speak", *common, *arguments, stdin=stdin)


@pytest.fixture
def cli(service: Front, tmp_path: Path) -> Cli:
    folder = tmp_path / "client"
    folder.mkdir()
    (folder / "voice.flac").write_bytes(VOICE)
    return Cli(service.addresses[0], folder)


async def test_the_extension_chooses_the_format(cli: Cli) -> None:
    beginnings = {
        "a.wav": b"RIFF",
        "a.flac": b"fLaC",
        "a.opus": b"OggS",
        "a.mp3": b"ID3",
        "a.aac": b"\xff",
    }
    for name, beginning in beginnings.items():
        result = await cli.speak(TEXT, "-o", name)
        assert (result.code, result.out, result.err) == (0, b"", "")
        assert (cli.folder / name).read_bytes().startswith(beginning), name

    await cli.speak(TEXT, "-o", "a.pcm")
    assert (cli.folder / "a.pcm").read_bytes() == expected_pcm()
    await cli.speak(TEXT, "-o", "named", "--format", "wav")
    assert (cli.folder / "named").read_bytes() == (cli.folder / "a.wav").read_bytes()


async def test_text_is_read_from_stdin_and_audio_written_to_stdout(cli: Cli) -> None:
    result = await cli.speak("-", "-o", "-", "--format", "pcm", stdin=TEXT.encode())
    assert (result.code, result.out, result.err) == (0, expected_pcm(), "")

    streamed = await cli.run(
        "stream", TEXT, "--language", "en", "--clip", "voice.flac", "--seed=42"
    )
    assert streamed.out[:4] == b"RIFF"
    assert pcm_of(streamed.out) == expected_pcm()

    result = await cli.speak("-", "-o", "x.wav", stdin=b"\xff\xfe")
    assert result.code == 2
    assert "not UTF-8 at byte 0" in result.err


async def test_hostile_texts_arrive_unchanged(cli: Cli, service: Front) -> None:
    for text in HOSTILE:
        async with await service.post("/stream", text=text, response_format="pcm") as response:
            direct = await response.read()
        assert response.status == 200, (text, direct)

        result = await cli.speak("-o", "-", "--format=pcm", "--", text)
        assert (result.code, result.err) == (0, ""), text
        assert result.out == direct, text


async def test_errors_are_one_line_with_the_exit_code_of_their_kind(cli: Cli) -> None:
    unreachable = "http://127.0.0.1:9"
    cases = (
        (("speak", "Hi.", "-o", "x.wav", "--language", "qq"), 1, "unsupported_language"),
        (("speak", "Hi.", "-o", "x.wav", "--voice", "Nobody"), 1, "unknown_voice"),
        (("speak", "", "-o", "x.wav"), 2, "text is empty"),
        (("speak", "Hi.", "-o", "x.doc"), 2, "extension '.doc'"),
        (("speak", "Hi.", "-o", "no/folder/x.wav"), 2, "cannot be written"),
        (("speak", "Hi.", "-o", "x.wav", "--clip", "none.wav"), 2, "none.wav cannot be read"),
        (("speak", "Hi.", "-o", "x.wav", "--api-key-file", "none"), 2, "key file"),
        (("speak", "Hi.", "-o", "x.wav", "--server", "ftp://x"), 2, "address of the service"),
        (("jobs", "status", "0" * 32), 1, "unknown_job"),
        (("jobs", "get", "0" * 32, "-o", "x.mp3"), 1, "unknown_job"),
        (("voices", "show", "Nobody"), 1, "unknown_voice"),
        (("voices", "add", "A", "voice.flac", "--speaker", "A"), 2, "--statement"),
        (("voices", "import", "voice.flac"), 1, ""),
        (("languages", "--server", unreachable, "--quiet"), 3, "cannot connect"),
    )
    for arguments, code, message in cases:
        result = await cli.run(*arguments)
        assert (result.code, result.out) == (code, b""), (arguments, result)
        assert result.err.startswith("voice-cloning: "), arguments
        assert result.err.count("\n") == 1, arguments
        assert message in result.err, arguments
    assert [path.name for path in cli.folder.iterdir()] == ["voice.flac"]


async def test_a_stdout_that_is_full_or_closed_is_an_error_in_one_line(cli: Cli) -> None:
    command = f"{sys.executable} -m voice_cloning_client.cli"
    cases = (
        (f"{command} languages > /dev/full", "No space left"),
        (f"{command} stream Hi. --language en --voice low > /dev/full", "No space left"),
        (f"{command} stream Hi. --language en --voice low >&-", "stdout is closed"),
        (f"{command} speak - -o x.wav <&-", "stdin is closed"),
        (f"{command} speak $'\\xff' -o x.wav", "not valid Unicode"),
    )
    for script, message in cases:
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", script),
            stderr=PIPE,
            cwd=cli.folder,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT / "client" / "src"),
                "VOICE_CLONING_SERVICE_URL": cli.address,
            },
        )
        _, err = await process.communicate()
        assert process.returncode == 2, script
        assert message in err.decode(), script
        assert err.count(b"\n") == 1, script


async def test_an_api_key_is_never_shown(cli: Cli) -> None:
    secret = "k3y-that-is-secret"
    (cli.folder / "key").write_text(f"{secret}\n")
    for arguments in (("voices", "show", "Nobody"), ("languages", "--server", "http://[::1")):
        result = await cli.run(*arguments, VOICE_CLONING_API_KEY=secret)
        assert secret not in result.err + result.out.decode()
    result = await cli.run("languages", "--api-key-file", "key")
    assert result.code == 0
    result = await cli.run("languages", VOICE_CLONING_API_KEY="two words")
    assert (result.code, "two words" in result.err) == (2, False)


async def _until_in_flight(service: Front, requests: int = 1) -> None:
    """Wait until the edge synthesizes so many requests."""
    async with asyncio.timeout(60):
        while True:
            async with await service.get("/metrics") as response:
                if f"\ntts_requests_in_flight {requests}.0\n" in await response.text():
                    return
            await asyncio.sleep(0.05)


async def test_a_job_from_its_text_to_its_audio(cli: Cli) -> None:
    arguments = ("--language", "en", "--clip", "voice.flac", "--seed", "42")
    submitted = await cli.run(
        "jobs", "submit", "-", *arguments, "--title", "A cold day", stdin=TEXT.encode()
    )
    job = submitted.out.decode().strip()
    assert submitted.code == 0

    assert (await cli.run("jobs", "wait", job)).code == 0
    assert (await cli.run("jobs", "get", job, "-o", "book.wav")).code == 0
    assert pcm_of((cli.folder / "book.wav").read_bytes()) == expected_pcm()

    assert (await cli.run("jobs", "book", job, "-o", "book.m4b")).code == 0
    assert (cli.folder / "book.m4b").read_bytes()[4:12] == b"ftypM4B "
    assert (await cli.run("jobs", "book", job, "-o", "book.txt")).code == 2
    made = await cli.run("jobs", "redo", job, "1", "--text", "The clocks struck.", "--seed", "7")
    assert (json.loads(made.out)["job"]["revision"], json.loads(made.out)["seed"]) == (1, 7)

    listed = await cli.run("jobs", "list")
    assert listed.out.decode().split("\t")[:2] == [job, "done"]
    assert listed.out.decode().rstrip().endswith("\tA cold day")
    assert (await cli.run("jobs", "list", "--state", "failed,queued")).out == b""
    assert json.loads((await cli.run("jobs", "status", job)).out)["state"] == "done"
    assert (await cli.run("jobs", "cancel", job)).code == 0
    assert (await cli.run("jobs", "delete", job)).code == 0
    assert (await cli.run("jobs", "list")).out == b""


async def test_a_voice_from_its_recording_to_its_end(cli: Cli) -> None:
    consent = ("--speaker", "Anna Weber", "--statement", "I agree.")
    added = await cli.run("voices", "add", "Anna", "voice.flac", *consent, "--language", "en")
    voice = added.out.decode().strip()
    assert (added.code, voice[:2]) == (0, "v_")

    listed = await cli.run("voices", "list", "--kind", "library")
    assert listed.out.decode() == f"{voice}\tAnna\tlibrary\ten\n"
    assert json.loads((await cli.run("voices", "show", "anna")).out)["id"] == voice
    assert (await cli.run("voices", "rename", "Anna", "Berta")).code == 0
    assert (await cli.run("voices", "preview", "Berta", "-o", "-")).out[:4] == b"RIFF"
    assert (await cli.run("voices", "export", "Berta", "-o", "berta.voice")).code == 0
    assert (await cli.run("voices", "delete", "Berta")).code == 0
    assert (await cli.run("voices", "import", "berta.voice")).out[:2] == b"v_"
    spoken = await cli.run("speak", TEXT, "--voice", "Berta", "--language", "en", "-o", "x.wav")
    assert spoken.code == 0
    assert b"fran\xc3\xa7ais" in (await cli.run("languages")).out


async def test_speech_over_nats(cli: Cli, service: Front) -> None:
    url = str(service.bus.client.connected_url.geturl())
    # it tries to connect for ten seconds
    unreachable = asyncio.create_task(
        cli.speak(TEXT, "-o", "y.wav", "--nats", "nats://127.0.0.1:9")
    )
    for output in ("x.pcm", "x.wav"):
        result = await cli.speak(TEXT, "-o", output, "--nats", url)
        assert (result.code, result.err) == (0, "")
    assert (cli.folder / "x.pcm").read_bytes() == expected_pcm()
    wav = (cli.folder / "x.wav").read_bytes()
    assert wav[40:44] == len(expected_pcm()).to_bytes(4, "little")

    result = await cli.speak(TEXT, "-o", "x.mp3", "--nats", url)
    assert (result.code, "send wav or pcm" in result.err) == (2, True)
    result = await unreachable
    assert (result.code, "cannot connect to NATS" in result.err) == (3, True)


@pytest.mark.parametrize("service", [5.0], indirect=True)
async def test_a_signal_cancels_the_request_and_leaves_no_file(cli: Cli, service: Front) -> None:
    arguments = ("speak", LONG, "--language", "en", "--voice", "low", "-o", "x.wav")
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        before = await service.spoken()
        process = await cli.start(*arguments)
        await _until_in_flight(service)
        process.send_signal(number)
        async with asyncio.timeout(60):
            _, err = await process.communicate()
        assert process.returncode == code, err
        assert b"Traceback" not in err
        await _until_in_flight(service, requests=0)
        await service.until_idle()
        assert await service.spoken() < before + sentence_count(LONG)
    assert not list(cli.folder.glob("*.wav"))
    assert not list(cli.folder.glob(".voice-cloning*"))


@pytest.mark.parametrize("service", [5.0], indirect=True)
async def test_a_player_that_ends_early_cancels_the_request(cli: Cli, service: Front) -> None:
    before = await service.spoken()
    process = await cli.start("stream", LONG, "--language", "en", "--voice", "low")
    assert process.stdout is not None
    assert process.stderr is not None
    await process.stdout.readexactly(44)
    process.stdout._transport.close()
    async with asyncio.timeout(60):
        err = await process.stderr.read()
        await process.wait()
    assert (process.returncode, err) == (141, b"")
    await service.until_idle()
    assert await service.spoken() < before + sentence_count(LONG)


@pytest.mark.parametrize("service", [0.3], indirect=True)
async def test_progress_is_shown_on_a_terminal_only(cli: Cli) -> None:
    arguments = ("speak", TEXT, "--language", "en", "--voice", "low", "-o", "x.wav")
    for quiet in ((), ("--quiet",)):
        ours, theirs = pty.openpty()
        process = await cli.start(*arguments, *quiet, err=theirs)
        os.close(theirs)
        async with asyncio.timeout(60):
            await process.communicate()
        try:
            shown = os.read(ours, 65_536)
        except OSError:  # nothing was written
            shown = b""
        os.close(ours)
        assert (b"s of audio" in shown) == (not quiet)
