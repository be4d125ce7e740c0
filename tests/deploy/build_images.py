"""`python -m tests.deploy.build_images`: build the images, start them, and hear them speak.

By docker where its engine answers; else by buildah, as root, on a base of Debian's own packages, in a chroot that
shares this machine's network. A chroot cannot make the root read-only, so it is looked at afterwards what was written.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import aiohttp

from services import __version__
from services.common.runtime.local_nats import local_nats

ROOT: Final = Path(__file__).parents[2]
STORE: Final = Path("/var/tmp/voice-cloning-images")  # of buildah; needs 5 GB
HEALTH: Final = {
    "http-edge": "http://127.0.0.1:8004/readyz",
    "splitter": "http://127.0.0.1:9101/readyz",
    "worker-cpu": "http://127.0.0.1:9102/readyz",
    "ui": "http://127.0.0.1:8501/_stcore/health",
}
_EDGE_LAST: Final = (
    "splitter",
    "worker-cpu",
    "http-edge",
    "ui",
).index  # it is ready once there is a worker
CLIP: Final = ROOT / "examples" / "voices" / "austen.flac"
TEXT: Final = "This sentence was spoken in a container."
# of these a run may write, or buildah
_NOT_OURS: Final = (
    "tmp",
    "proc",
    "sys",
    "dev",
    "etc/hosts",
    "etc/resolv.conf",
)
COMPILERS: Final = "for p in gcc g++ cc c++ clang make rustc cargo go; do command -v $p; done; true"


@dataclass(frozen=True)
class Built:
    """One image, and what it came to."""

    name: str
    build_s: float
    size_mb: int
    ready_s: float | None = None


class Tool(Protocol):
    """A program that builds images and runs them on this machine's network."""

    def base(self) -> str | None:
        """Return the image to build on; None: what the Dockerfiles say."""

    def build(self, name: str, base: str | None) -> None:
        """Build one image."""

    def size_mb(self, name: str) -> int:
        """Return its size, unpacked."""

    def healthcheck(self, name: str) -> list[str]:
        """Return the command of its HEALTHCHECK."""

    def command(
        self, name: str, environment: dict[str, str], program: list[str] | None = None
    ) -> list[str]:
        """Return the command line that runs its entry point, or another program, as its user."""

    def written(self, name: str) -> list[str]:
        """Return the files outside /tmp that a run wrote."""

    def clean(self, *, keep: bool) -> None:
        """Remove what was made, or all but the images."""


def _said(*command: str) -> str:
    return subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ).stdout.strip()


class Docker:
    """The docker engine."""

    def __init__(self) -> None:
        self._built: list[str] = []

    def base(self) -> str | None:
        return None

    def build(self, name: str, base: str | None) -> None:
        chosen = ["--build-arg", f"BASE={base}"] if base else []
        _said(
            "docker",
            "build",
            "--quiet",
            *chosen,
            "-f",
            f"deploy/images/{name}.Dockerfile",
            "-t",
            _tag(name),
            ".",
        )
        self._built.append(_tag(name))

    def size_mb(self, name: str) -> int:
        return (
            int(_said("docker", "image", "inspect", "--format", "{{.Size}}", _tag(name))) // 10**6
        )

    def healthcheck(self, name: str) -> list[str]:
        test = json.loads(_said("docker", "image", "inspect", _tag(name)))[0]["Config"][
            "Healthcheck"
        ]["Test"]
        return [str(part) for part in test[1:]]

    def command(
        self, name: str, environment: dict[str, str], program: list[str] | None = None
    ) -> list[str]:
        variables = [
            part for key, value in environment.items() for part in ("--env", f"{key}={value}")
        ]
        hard = [
            "--read-only",
            "--tmpfs",
            "/tmp:mode=1777",
            "--cap-drop",
            "ALL",
            "--network",
            "host",
        ]
        entry = ["--entrypoint", program[0], _tag(name), *program[1:]] if program else [_tag(name)]
        return ["docker", "run", "--rm", *hard, *variables, *entry]

    def written(self, name: str) -> list[str]:
        return []  # the root was read-only

    def clean(self, *, keep: bool) -> None:
        if not keep:
            _said("docker", "image", "rm", *self._built)


class Buildah:
    """Buildah with chroots, for machines without an engine."""

    def __init__(self) -> None:
        places = [
            "--root",
            str(STORE / "root"),
            "--runroot",
            str(STORE / "run"),
            "--storage-driver",
            "vfs",
        ]
        self._buildah = ["buildah", *places]
        self._containers: dict[str, str] = {}
        STORE.mkdir(exist_ok=True)
        # A machine that reaches PyPI by an index or certificate of its own names their files here, as for docker's -v.
        self._mounts = os.environ.get("IMAGES_MOUNT", "").split()

    def base(self) -> str:
        if "voice-cloning-base" not in _said(*self._buildah, "images", "--format", "{{.Name}}"):
            container = _said(*self._buildah, "from", "scratch")
            folder = _said(*self._buildah, "mount", container)
            packages = "ca-certificates,python3,python3-venv"
            _said("debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", folder)
            for left_over in ("var/cache/apt", "var/lib/apt/lists"):
                shutil.rmtree(Path(folder) / left_over)
            _said(
                *self._buildah,
                "commit",
                "--quiet",
                "--rm",
                container,
                "localhost/voice-cloning-base",
            )
        return "localhost/voice-cloning-base"

    def build(self, name: str, base: str | None) -> None:
        how = [
            "--format",
            "docker",
            "--isolation",
            "chroot",
            "--network",
            "host",
            "--build-arg",
            f"BASE={base}",
        ]
        pairs = [path if ":" in path else f"{path}:{path}" for path in self._mounts]
        mounts = [part for pair in pairs for part in ("--volume", f"{pair}:ro")]
        what = ["-f", f"deploy/images/{name}.Dockerfile", "-t", _tag(name), "."]
        _said(*self._buildah, "bud", "--quiet", *how, *mounts, *what)
        self._containers[name] = _said(
            *self._buildah, "from", "--pull-never", f"localhost/{_tag(name)}"
        )
        (STORE / f"{name}.started").touch()

    def _folder(self, name: str) -> str:
        return _said(*self._buildah, "mount", self._containers[name])

    def _configuration(self, name: str) -> dict[str, object]:
        image = json.loads(
            _said(*self._buildah, "inspect", "--type", "image", f"localhost/{_tag(name)}")
        )
        configuration: dict[str, object] = image["Docker"]["config"]
        return configuration

    def size_mb(self, name: str) -> int:
        return int(_said("du", "-sm", self._folder(name)).split()[0])

    def healthcheck(self, name: str) -> list[str]:
        return self._configuration(name)["Healthcheck"]["Test"][1:]  # type: ignore[index, no-any-return]

    def command(
        self, name: str, environment: dict[str, str], program: list[str] | None = None
    ) -> list[str]:
        chosen: list[str] = program or self._configuration(name)["Entrypoint"]  # type: ignore[assignment]
        variables = [
            part for key, value in environment.items() for part in ("--env", f"{key}={value}")
        ]
        how = ["--isolation", "chroot", "--network", "host", "--cap-drop", "ALL"]
        return [*self._buildah, "run", *how, *variables, self._containers[name], "--", *chosen]

    def written(self, name: str) -> list[str]:
        folder, since = self._folder(name), str(STORE / f"{name}.started")
        apart = [
            part for path in _NOT_OURS for part in ("-path", f"{folder}/{path}", "-prune", "-o")
        ]
        return _said("find", folder, *apart, "-newer", since, "-type", "f", "-print").split()

    def clean(self, *, keep: bool) -> None:
        _said(*self._buildah, "rm", "--all")
        if not keep:
            _said(*self._buildah, "rmi", "--all", "--force")
            shutil.rmtree(STORE)


def _tag(name: str) -> str:
    return f"voice-cloning/{name}:{__version__}"


@contextmanager
def running(tool: Tool, name: str, environment: dict[str, str], log: Path) -> Iterator[None]:
    """Run an image's entry point while the block runs."""
    with log.open("wb") as lines:
        process = subprocess.Popen(
            tool.command(name, environment),
            stdout=lines,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def until_ready(url: str, log: Path, patience_s: float = 300.0) -> float:
    """Wait until this answers with 200; return how long it took."""
    began_s = time.monotonic()
    while time.monotonic() < began_s + patience_s:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return time.monotonic() - began_s
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.1)
    sys.exit(f"{url} did not answer with 200 in {patience_s:.0f} s:\n{log.read_text()}")


def inspect(tool: Tool, name: str) -> None:
    """Check that an image has no compiler, and a non-root user that owns nothing but /tmp."""
    found = _said(*tool.command(name, {}, ["sh", "-c", COMPILERS]))
    user = _said(*tool.command(name, {}, ["id", "-u"]))
    owned = _said(
        *tool.command(name, {}, ["find", "/app", "/venv", "-writable", "-print", "-quit"])
    )
    licences = _said(*tool.command(name, {}, ["ls", "/app"])).split()
    if found or user != "10001" or owned or not {"LICENSE", "NOTICE"} <= set(licences):
        sys.exit(
            f"{name}: user {user}, compilers {found or 'none'}, writable {owned or 'nothing'}, in /app {licences}"
        )


async def spoken() -> tuple[float, float]:
    """Request speech from the edge; return the seconds of audio and of waiting."""
    form = aiohttp.FormData({"text": TEXT, "language": "en"})
    form.add_field("reference_audio", CLIP.read_bytes(), filename="reference")
    began_s = time.monotonic()
    async with (
        aiohttp.ClientSession() as session,
        session.post("http://127.0.0.1:8004/synthesize", data=form) as answer,
    ):
        wav = await answer.read()
        if answer.status != 200 or wav[:4] != b"RIFF" or len(wav) < 48_000:
            sys.exit(f"{answer.status}: {wav[:1000]!r}")
    return int.from_bytes(wav[40:44], "little") / 48_000, time.monotonic() - began_s


async def started(tool: Tool, built: list[Built]) -> tuple[list[Built], str]:
    """Start the images with a fresh NATS; return their start-up times and the audio."""
    names = sorted((image.name for image in built if image.name in HEALTH), key=_EDGE_LAST)
    whole = {"http-edge", "splitter", "worker-cpu"} <= set(names)
    ready: dict[str, float] = {}
    heard = ""
    with tempfile.TemporaryDirectory(prefix="images-") as folder, ExitStack() as containers:
        async with local_nats(Path(folder)) as nats:
            environment = {"NATS_URL": nats.url, "SERVICE_URL": "http://127.0.0.1:8004"}
            for name in names:
                log = Path(folder) / f"{name}.log"
                containers.enter_context(running(tool, name, environment, log))
                url = HEALTH[name] if whole else HEALTH[name].replace("readyz", "livez")
                ready[name] = await asyncio.to_thread(until_ready, url, log)
            if whole:
                sound_s, took_s = await spoken()
                heard = (
                    f"{sound_s:.1f} s of speech in {took_s:.1f} s, the voice's enrolment included"
                )
            for name in names:
                _said(*tool.command(name, {}, tool.healthcheck(name)))
                if files := tool.written(name):
                    sys.exit(f"{name} wrote {files}")
            containers.close()
    return [
        Built(image.name, image.build_s, image.size_mb, ready.get(image.name)) for image in built
    ], heard


def main() -> None:
    """Build, look, start, ask, and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.deploy.build_images", description=__doc__
    )
    parser.add_argument(
        "images", nargs="*", default=list(HEALTH), help="worker-gpu is built only when it is named"
    )
    parser.add_argument(
        "--keep", action="store_true", help="the images, and buildah's base, for the next time"
    )
    parser.add_argument("--base", help="to build on, such as python:3.11-slim-bookworm@sha256:...")
    choice = parser.parse_args()
    engine = (
        shutil.which("docker")
        and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
    )
    if not engine and not (
        shutil.which("buildah") and shutil.which("debootstrap") and os.getuid() == 0
    ):
        sys.exit(
            "This needs docker; or root, with buildah and debootstrap (apt-get install buildah debootstrap)."
        )
    tool: Tool = Docker() if engine else Buildah()
    base = choice.base or tool.base()
    built: list[Built] = []
    for name in choice.images:
        began_s = time.monotonic()
        tool.build(name, base)
        built.append(Built(name, time.monotonic() - began_s, tool.size_mb(name)))
        print(f"built {built[-1]}", flush=True)
        inspect(tool, name)
    built, heard = asyncio.run(started(tool, built))
    tool.clean(keep=choice.keep)
    print("| image | MB, unpacked | built in | ready after |\n|---|---|---|---|")
    for image in built:
        ready = "" if image.ready_s is None else f"{image.ready_s:.1f} s"
        print(f"| {image.name} | {image.size_mb} | {image.build_s:.0f} s | {ready} |")
    print(heard)


if __name__ == "__main__":
    main()
