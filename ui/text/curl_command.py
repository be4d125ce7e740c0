"""curl commands for people to copy into a shell: any text is passed on unchanged. Pure."""

import shlex
from collections.abc import Mapping
from typing import Final

_JOIN: Final = " \\\n     "


def form_command(url: str, fields: Mapping[str, str], *, recording: str | None, after: str) -> str:
    """Return the command that sends a form, one option per line.

    `recording`: file name of the reference audio; None: none is sent. `after`: the end of the command, not quoted.
    """
    # The value of --form-string is literal; that of -F ends at `;` and can begin with `@` or `<`.
    options = [f"--form-string {shlex.quote(f'{name}={value}')}" for name, value in fields.items()]
    if recording is not None:
        options.append(f"-F {shlex.quote(f'reference_audio=@{recording}')}")
    return _JOIN.join([f"curl {shlex.quote(url)}", *options]) + after
