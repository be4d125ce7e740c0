"""The client installs alone, from its folder, and its command runs against the service."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.front import Front, front
from tests.support.service import TEXT

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Front]:
    folder = tmp_path / "service"
    folder.mkdir()
    async with front(folder) as made:
        yield made


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of commands of a new environment with nothing but the client."""
    folder = tmp_path_factory.mktemp("install")
    source = folder / "client"
    ignored = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
    shutil.copytree(ROOT / "client", source, ignore=ignored)
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    pip = [folder / "venv/bin/pip", "--quiet", "--disable-pip-version-check", "install"]
    subprocess.run([*pip, source], check=True, timeout=300)
    return folder / "venv" / "bin"


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program outside the repository, without its paths."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        command,
        cwd="/",
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


async def test_the_installed_command_speaks(commands: Path, service: Front, tmp_path: Path) -> None:
    output = tmp_path / "speech.mp3"
    arguments = ("speak", TEXT, "--language", "en", "--voice", "low", "-o", str(output))
    result = await asyncio.to_thread(
        run,
        commands / "voice-cloning",
        *arguments,
        VOICE_CLONING_SERVICE_URL=service.addresses[0],
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert output.stat().st_size > 1000


def test_only_the_client_and_its_dependencies_are_installed(commands: Path) -> None:
    program = """
import importlib.util, pkgutil, voice_cloning_client
for name in ("services", "ui", "nats", "msgpack", "numpy"):
    assert importlib.util.find_spec(name) is None, name
for module in pkgutil.walk_packages(
    voice_cloning_client.__path__, "voice_cloning_client.", onerror=lambda name: None
):
    if ".bus" not in module.name and not module.name.endswith(("__main__", "bus_source")):
        __import__(module.name)
"""
    result = run(commands / "python", "-c", program)
    assert result.returncode == 0, result.stderr


def test_nats_without_its_extra_is_an_error_that_names_the_extra(commands: Path) -> None:
    arguments = ("speak", "Hi.", "--language", "en", "-o", "-", "--nats", "nats://127.0.0.1:9")
    result = run(commands / "voice-cloning", *arguments)
    assert result.returncode == 2
    assert "voice-cloning-client[nats]" in result.stderr


def test_the_types_are_installed(commands: Path) -> None:
    program = "import voice_cloning_client as c, pathlib; print(pathlib.Path(c.__file__).parent)"
    folder = Path(run(commands / "python", "-c", program).stdout.strip())
    assert (folder / "py.typed").exists()
