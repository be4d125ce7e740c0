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
import ast
import io
import re
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import TypeAlias

RULES_FILE = Path(__file__).with_name("prose.toml")
_READABLE = re.compile(
    r"\.(?:py|md|ya?ml|conf|toml|sh|template|Dockerfile|alloy|in|js|css)$|^(?:Dockerfile|task)$"
)
SKIPPED_FOLDERS = {"__pycache__", "golden", "node_modules", "build", "dist"}

_ALLOW_COMMENT = re.compile(r"(?:#|//|<!--)\s*prose:\s*allow\s+([^#\n]+?)\s*(?:-->|$)")
_INLINE_CODE = re.compile(r"``.+?``|`[^`\n]*`")
_LINK_TARGET = re.compile(r"\]\([^)]*\)|\]\[[^\]]*\]|https?://\S+")
_HASH_COMMENT = re.compile(r"(?:^|\s)#+\s(.*)$")
_SLASH_COMMENT = re.compile(r"(?:^|\s)//\s(.*)$")
_DESCRIPTION = re.compile(r"^\s*-?\s*(?:desc|summary|description):\s*(.+)$")
_CAPITALIZED = re.compile(r"[A-Z][a-z]*$")
_TOOL_COMMENT = re.compile(r"#\s*(?:noqa|type:|ruff:|mypy:|pragma)")

_MESSAGE_ARGUMENTS = {
    "action",
    "description",
    "detail",
    "epilog",
    "help",
    "hint",
    "message",
    "reason",
    "title",
}
_CALLS_WITH_HELP = {"add_argument", "Counter", "Gauge", "Histogram", "Summary"}
_UNCHECKED_DECORATORS = {"property", "cached_property", "fixture", "setter"}

_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
_Documented: TypeAlias = ast.Module | ast.ClassDef | _Function


@dataclass(frozen=True)
class Banned:
    pattern: re.Pattern[str]
    suggestion: str


@dataclass(frozen=True)
class Allowed:
    path: str  # a glob, relative to the working directory
    word: str


@dataclass(frozen=True)
class Rules:
    banned: list[Banned]
    allowed: list[Allowed]
    not_imperative: set[str]  # first words, lower case, that no function's docstring starts with
    imperative: set[str]  # verbs that end in a single "s"
    questions: set[str]  # first words that no docstring starts with
    names: set[str]  # capitalized words that an error message can start with


@dataclass(frozen=True)
class Text:
    """Prose on one line of a file."""

    line: int  # 1-based
    text: str
    last_line: int  # of the string or comment; an allow comment counts on any line from `line` on
    first_line: int


@dataclass(frozen=True)
class Finding:
    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


@dataclass
class _Source:
    """The prose of one file, and its sentences of a wrong form."""

    texts: list[Text] = field(default_factory=list)
    forms: list[tuple[int, str]] = field(default_factory=list)

    def add(self, text: str, first_line: int, last_line: int | None = None) -> None:
        """Add prose that may span several lines of the file."""
        lines = text.split("\n")
        end = last_line or first_line

        for number, line in enumerate(lines, first_line):
            self.texts.append(Text(min(number, end), line, end, first_line))


def load_rules(file: Path = RULES_FILE) -> Rules:
    """Return the rules of a TOML file."""
    data = tomllib.loads(file.read_text(encoding="utf-8"))
    banned = [
        Banned(re.compile(entry["pattern"], re.IGNORECASE), entry["suggestion"])
        for entry in data["banned"]
    ]
    allowed = [Allowed(entry["path"], entry["word"].lower()) for entry in data.get("allow", [])]
    docstrings = data["docstrings"]

    return Rules(
        banned=banned,
        allowed=allowed,
        not_imperative=set(docstrings["not_imperative"]),
        imperative=set(docstrings["imperative"]),
        questions=set(docstrings["questions"]),
        names=set(data["messages"]["names"]),
    )


def check_file(path: Path, rules: Rules) -> list[Finding]:
    """Return the findings of one file, in the order of its lines."""
    content = path.read_text(encoding="utf-8")
    source = _read(path, content, rules)
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


def _read(path: Path, content: str, rules: Rules) -> _Source:
    if path.suffix == ".py":
        return _read_python(content, rules)

    if path.suffix == ".md":
        return _read_markdown(content)

    return _read_configuration(
        content, _SLASH_COMMENT if path.suffix in {".js", ".alloy"} else _HASH_COMMENT
    )


def _read_markdown(content: str) -> _Source:
    source = _Source()
    fence = ""

    for number, line in enumerate(content.split("\n"), 1):
        opened = re.match(r"\s*(```+|~~~+)", line)

        if opened:
            fence = "" if fence else opened[1]
        elif not fence:
            source.add(line, number)

    return source


def _read_configuration(content: str, comment: re.Pattern[str]) -> _Source:
    source = _Source()

    for number, line in enumerate(content.split("\n"), 1):
        for pattern in (comment, _DESCRIPTION):
            found = pattern.search(line)

            if found:
                source.add(found[1], number)

    return source


def _read_python(content: str, rules: Rules) -> _Source:
    source = _Source()

    for token in tokenize.generate_tokens(io.StringIO(content).readline):
        if token.type == tokenize.COMMENT and not _TOOL_COMMENT.match(token.string):
            source.add(token.string.lstrip("#! "), token.start[0])

    for node in ast.walk(ast.parse(content)):
        if isinstance(node, _Documented):
            _read_docstring(node, source, rules)

        if isinstance(node, _Function) and node.name.startswith("test_"):
            source.add(node.name.replace("_", " "), node.lineno)

        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            _read_messages(node.exc, source)
            _check_message_form(node.exc, source, rules)

        if isinstance(node, ast.Call):
            _read_call(node, source)

    return source


def _read_call(node: ast.Call, source: _Source) -> None:
    if _name_of(node.func) in _CALLS_WITH_HELP:
        _read_messages(node, source)

    for keyword in node.keywords:
        if keyword.arg in _MESSAGE_ARGUMENTS:
            _read_messages(keyword.value, source)


def _read_messages(node: ast.AST, source: _Source) -> None:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            source.add(part.value.replace("\n", " "), part.lineno, part.end_lineno)


def _read_docstring(node: _Documented, source: _Source, rules: Rules) -> None:
    text = ast.get_docstring(node, clean=False)

    if not text:
        return

    constant = node.body[0]
    source.add(text, constant.lineno, constant.end_lineno)
    first = re.match(r"[A-Za-z]+", text.strip())
    word = first[0].lower() if first else ""

    if word in rules.questions:
        advice = "name the thing or start with a verb"
    elif isinstance(node, _Function) and _is_checked(node) and not _is_imperative(word, rules):
        advice = 'start with an imperative ("Return ...")'
    else:
        return

    source.forms.append((constant.lineno, f'docstring starts with "{word}": {advice}'))


def _is_imperative(word: str, rules: Rules) -> bool:
    third_person = word.endswith("s") and not word.endswith("ss") and word not in rules.imperative
    return not third_person and word not in rules.not_imperative


def _is_checked(node: _Function) -> bool:
    if node.name.startswith(("_", "test_")):
        return False

    return not any(
        _name_of(decorator) in _UNCHECKED_DECORATORS for decorator in node.decorator_list
    )


def _check_message_form(call: ast.Call, source: _Source, rules: Rules) -> None:
    message = call.args[0] if call.args else call

    if not isinstance(message, ast.Constant | ast.JoinedStr):
        return

    parts = message.values if isinstance(message, ast.JoinedStr) else [message]
    start, end = _string(parts[0]), _string(parts[-1])
    word = re.split(r"[\s:,;']", start)[0]

    if _CAPITALIZED.match(word) and word not in rules.names and " " in start:
        source.forms.append(
            (message.lineno, f'error message starts with "{word}": start it in lower case')
        )

    if end.endswith(".") and not end.endswith("..."):
        source.forms.append((message.lineno, "error message ends with a full stop: remove it"))


def _string(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _name_of(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        return _name_of(node.func)

    if isinstance(node, ast.Attribute):
        return node.attr

    return node.id if isinstance(node, ast.Name) else ""


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
