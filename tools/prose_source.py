"""The prose of a file: what the check reads of Python, markdown and configuration."""

import ast
import io
import re
import tokenize
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from tools.prose_rules import Rules

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
class Text:
    """Prose on one line of a file."""

    line: int  # 1-based
    text: str
    last_line: int  # of the string or comment; an allow comment counts on any line from `line` on
    first_line: int


@dataclass
class Source:
    """The prose of one file, and its sentences of a wrong form."""

    texts: list[Text] = field(default_factory=list)
    forms: list[tuple[int, str]] = field(default_factory=list)

    def add(self, text: str, first_line: int, last_line: int | None = None) -> None:
        """Add prose that may span several lines of the file."""
        lines = text.split("\n")
        end = last_line or first_line

        for number, line in enumerate(lines, first_line):
            self.texts.append(Text(min(number, end), line, end, first_line))


def read_prose(path: Path, content: str, rules: Rules) -> Source:
    """Return the prose of a file with this content, by the kind of file."""
    if path.suffix == ".py":
        return _read_python(content, rules)

    if path.suffix == ".md":
        return _read_markdown(content)

    return _read_configuration(
        content, _SLASH_COMMENT if path.suffix in {".js", ".alloy"} else _HASH_COMMENT
    )


def _read_markdown(content: str) -> Source:
    source = Source()
    fence = ""

    for number, line in enumerate(content.split("\n"), 1):
        opened = re.match(r"\s*(```+|~~~+)", line)

        if opened:
            fence = "" if fence else opened[1]
        elif not fence:
            source.add(line, number)

    return source


def _read_configuration(content: str, comment: re.Pattern[str]) -> Source:
    source = Source()

    for number, line in enumerate(content.split("\n"), 1):
        for pattern in (comment, _DESCRIPTION):
            found = pattern.search(line)

            if found:
                source.add(found[1], number)

    return source


def _read_python(content: str, rules: Rules) -> Source:
    source = Source()

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


def _read_call(node: ast.Call, source: Source) -> None:
    if _name_of(node.func) in _CALLS_WITH_HELP:
        _read_messages(node, source)

    for keyword in node.keywords:
        if keyword.arg in _MESSAGE_ARGUMENTS:
            _read_messages(keyword.value, source)


def _read_messages(node: ast.AST, source: Source) -> None:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            source.add(part.value.replace("\n", " "), part.lineno, part.end_lineno)


def _read_docstring(node: _Documented, source: Source, rules: Rules) -> None:
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


def _check_message_form(call: ast.Call, source: Source, rules: Rules) -> None:
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
