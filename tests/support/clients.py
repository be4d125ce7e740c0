"""Programs of other projects that speak through this service, each in its own environment."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
SCRIPTS: Final = ROOT / "tests" / "clients"
_ENVIRONMENT: Final = Path(os.environ.get("CLIENTS") or ROOT / ".venv-clients")
_TIMEOUT_S: Final = 120


PYTHON: Final = _ENVIRONMENT / "bin" / "python"
WYOMING: Final = PYTHON.with_name("python-wyoming")  # not everywhere: tests/clients/python_3_13.sh


def python() -> Path:
    """Return the clients' Python. Raises FileNotFoundError with what to install."""
    if not PYTHON.exists():
        raise FileNotFoundError("the tests with other clients need them: ./task setup:clients")
    return PYTHON


async def printed(*command: str | Path, **environment: str) -> Any:
    """Run a program and return the JSON on its last line. Fails with its error output."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | environment,
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), _TIMEOUT_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()[-4000:]
    return json.loads(output.splitlines()[-1])


@asynccontextmanager
async def running(*command: str | Path) -> AsyncIterator[None]:
    """Run a server of a client while the block runs."""
    process = await asyncio.create_subprocess_exec(*command)
    try:
        yield
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 20)
