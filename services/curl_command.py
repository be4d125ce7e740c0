"""curl commands for people to copy into a shell: any text and any path is passed on unchanged."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_JOIN: Final = " \\\n     "


def form_command(
    url: str, fields: Mapping[str, str], *, files: Mapping[str, Path], out: str
) -> str:
    """Return the command that sends a form and saves the response to `out`, one option per line."""
    # The value of --form-string is literal; that of -F ends at `;` and can begin with `@` or `<`.
    options = [f"--form-string {shlex.quote(f'{name}={value}')}" for name, value in fields.items()]
    options += [
        f"-F {shlex.quote(f'{name}=@{_quoted_path(path)}')}" for name, path in files.items()
    ]
    return _JOIN.join([f"curl {shlex.quote(url)}", *options, f"-o {shlex.quote(out)}"])


def _quoted_path(path: Path) -> str:
    """Return the path as -F takes it: in double quotes, as `,` and `;` would end it."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
