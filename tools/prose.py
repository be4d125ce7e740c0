"""Prose check: reports words and sentence forms that do not read as plain technical English.

Run it as `python -m tools.prose [PATHS] [--only DIR...]`. It prints `path:line: message` for each finding and exits
with 1 if it printed any. The rules are in prose.toml, next to this file.

It reads only the prose of a file: markdown outside code, Python comments, docstrings, test names and messages, and in
configuration files comments and descriptions. A message is a string in a `raise` statement, an argument with a name
such as `reason`, `detail` or `help`, or the help text of a metric. Text in backticks is code and is not read.

To keep a word on one line, end the line with `# prose: allow WORD` (in markdown `<!-- prose: allow WORD -->`). In a
docstring or a message of several lines, any of its lines will do. For a whole file, add an [[allow]] table.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from tools.prose_rules import Rules, load_rules
from tools.prose_source import read_prose

_READABLE = re.compile(
    r"\.(?:py|md|ya?ml|conf|toml|sh|template|Dockerfile|alloy|in|js|css)$|^(?:Dockerfile|task)$"
)
SKIPPED_FOLDERS = {"__pycache__", "golden", "node_modules", "build", "dist"}

_ALLOW_COMMENT = re.compile(r"(?:#|//|<!--)\s*prose:\s*allow\s+([^#\n]+?)\s*(?:-->|$)")
_INLINE_CODE = re.compile(r"``.+?``|`[^`\n]*`")
_LINK_TARGET = re.compile(r"\]\([^)]*\)|\]\[[^\]]*\]|https?://\S+")


@dataclass(frozen=True)
class Finding:
    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


def check_file(path: Path, rules: Rules) -> list[Finding]:
    """Return the findings of one file, in the order of its lines."""
    content = path.read_text(encoding="utf-8")
    source = read_prose(path, content, rules)
    findings = [Finding(path, line, message) for line, message in source.forms]
    lines = content.split("\n")

    for text in source.texts:
        allowed = _allowed_words(path, lines[text.first_line - 1 : text.last_line], rules)
        findings += [
            Finding(path, text.line, message)
            for message in _banned_words(text.text, allowed, rules)
        ]

    return sorted(set(findings), key=lambda finding: finding.line)


def files_under(paths: list[Path], only: list[Path]) -> Iterator[Path]:
    """Yield the files that the check can read, below `paths` and, if `only` is not empty, below one of its folders."""
    folders = [folder.resolve() for folder in only]

    for path in paths:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]

        for file in files:
            if path.is_dir() and _is_skipped(file.relative_to(path)):
                continue

            if folders and not any(file.resolve().is_relative_to(folder) for folder in folders):
                continue

            if file.is_file() and _READABLE.search(file.name):
                yield file


def _is_skipped(path: Path) -> bool:
    return any(part in SKIPPED_FOLDERS or part.startswith(".") for part in path.parts)


def _allowed_words(path: Path, lines: list[str], rules: Rules) -> set[str]:
    words = {allowed.word for allowed in rules.allowed if fnmatch(_relative(path), allowed.path)}

    for line in lines:
        comment = _ALLOW_COMMENT.search(line)

        if comment:
            words.update(word.strip().lower() for word in comment[1].split(","))

    return words


def _relative(path: Path) -> str:
    absolute = path.resolve()
    return str(absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else path)


def _banned_words(text: str, allowed: set[str], rules: Rules) -> Iterator[str]:
    prose = _LINK_TARGET.sub(" ", _INLINE_CODE.sub(" ` ", _ALLOW_COMMENT.sub("", text)))

    for banned in rules.banned:
        for match in banned.pattern.finditer(prose):
            if match[0].lower() not in allowed:
                yield f'"{match[0]}": write "{banned.suggestion}"'


def main(arguments: list[str] | None = None) -> int:
    """Print the findings and return the exit status: 1 if there are any, else 0."""
    parser = argparse.ArgumentParser(
        prog="prose", description="Check that the prose of the repository is plain English."
    )
    parser.add_argument(
        "paths", nargs="*", type=Path, default=[Path()], help="files and folders (default: all)"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        type=Path,
        default=[],
        metavar="DIR",
        help="report only files below these folders",
    )
    options = parser.parse_args(arguments)

    rules = load_rules()
    findings = [
        finding
        for file in files_under(options.paths, options.only)
        for finding in check_file(file, rules)
    ]
    sys.stdout.writelines(f"{finding}\n" for finding in findings)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
