"""Schemathesis, which sends a service what its OpenAPI document allows and forbids, and checks every response.

With its packages it takes 90 MB, so it is installed in a separate environment.
"""

import os
import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
)


def program() -> Path:
    """Return the path of schemathesis. Raises FileNotFoundError with what to install."""
    found = Path(
        os.environ.get("SCHEMATHESIS", ROOT / ".venv-schemathesis" / "bin" / "schemathesis")
    )
    if not found.exists():
        raise FileNotFoundError(f"{found} is missing: run ./task setup:schemathesis")
    return found


def conformance(
    address: str, folder: Path, *options: str, checks: tuple[str, ...] = CHECKS, config: str = ""
) -> str:
    """Return the output of a run that found nothing; the same requests every time.

    Raises AssertionError with what it found, and the commands that repeat it. `config`: TOML.
    """
    (folder / "schemathesis.toml").write_text(config)
    run = subprocess.run(
        [
            str(program()),
            "--config-file",
            str(folder / "schemathesis.toml"),
            "run",
            f"{address}/openapi.json",
            "--url",
            address,
            "--generation-deterministic",
            "--continue-on-failure",
            "--no-color",
            "--request-timeout",
            "30",
            "--checks",
            ",".join(checks),
            *options,
        ],
        cwd=folder,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout
