"""The prose check: which text it reads, what it reports, and how a word is allowed."""

from pathlib import Path

import pytest

from tools.prose import check_file, files_under, main
from tools.prose_rules import Rules, load_rules

RULES = """
[[banned]]
pattern = '\\bheed(?:s|ed)?\\b'
suggestion = "apply"

[docstrings]
not_imperative = ["the"]
imperative = ["focus"]
questions = ["whether"]

[messages]
names = ["Kokoro"]

[[allow]]
path = "*/quoted.md"
word = "heed"
reason = "a quotation"
"""
WORD = '"heed": write "apply"'


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    file = tmp_path / "rules.toml"
    file.write_text(RULES)
    return load_rules(file)


def findings(tmp_path: Path, rules: Rules, name: str, content: str) -> list[tuple[int, str]]:
    """Return the line and message of each finding in a file with this content."""
    file = tmp_path / name
    file.write_text(content)
    return [(finding.line, finding.message) for finding in check_file(file, rules)]


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("page.md", "First.\n\nWe heed it.\n", 3),
        ("code.py", "x = 1\ny = 2  # we heed it\n", 2),
        ("code.py", '"""Module.\n\nWe heed it.\n"""\n', 3),
        ("code.py", "raise ValueError('please heed it')\n", 1),
        ("code.py", "raise ValueError(f'{1} please heed {2}')\n", 1),
        ("code.py", "log.info('stopped', reason='did not heed it')\n", 1),
        ("code.py", "Counter('name', 'signals that we heed')\n", 1),
        ("code.py", "def test_that_we_heed_it(): ...\n", 1),
        ("compose.yml", "a: 1\nb: 2 # we heed it\n", 2),
        ("Taskfile.yml", "desc: heed it\n", 1),
        ("rules.yml", "  summary: we heed it\n", 1),
        ("http-edge.Dockerfile", "# we heed it\nFROM x\n", 1),
        ("nginx.conf", "listen 80; # we heed it\n", 1),
        ("player.js", "const x = 1; // we heed it\n", 1),
    ],
)
def test_a_banned_word_is_reported_with_its_line(
    tmp_path: Path, rules: Rules, name: str, content: str, line: int
) -> None:
    assert findings(tmp_path, rules, name, content) == [(line, WORD)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("page.md", "```\nheed\n```\n"),
        ("page.md", "Call `heed` or ``heed x``.\n"),
        ("page.md", "See [it](docs/heed.md).\n"),
        ("code.py", "heed = 'heed'\n"),
        ("code.py", "x = 1  # see `heed`\n"),
        ("code.py", "def heed_it(): ...\n"),
        ("compose.yml", "heed: 1\n"),
        ("page.md", "We heeded_not it.\n"),
    ],
)
def test_code_and_data_are_not_read(tmp_path: Path, rules: Rules, name: str, content: str) -> None:
    assert findings(tmp_path, rules, name, content) == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("page.md", "We heed it. <!-- prose: allow heed -->\n"),
        ("code.py", "x = 1  # we heed it  # prose: allow heed\n"),
        ("code.py", '"""We heed it.\n"""  # prose: allow other, heed\n'),
        ("code.py", "raise ValueError(\n    'we heed'\n    ' it'  # prose: allow heed\n)\n"),
        ("compose.yml", "a: 1 # we heed it # prose: allow heed\n"),
        ("quoted.md", "We heed it.\n"),
    ],
)
def test_a_word_is_allowed_by_a_comment_or_for_a_whole_file(
    tmp_path: Path, rules: Rules, name: str, content: str
) -> None:
    assert findings(tmp_path, rules, name, content) == []


def test_allowing_another_word_changes_nothing(tmp_path: Path, rules: Rules) -> None:
    assert findings(tmp_path, rules, "page.md", "We heed it. <!-- prose: allow mend -->\n") == [
        (1, WORD)
    ]


@pytest.mark.parametrize("first", ["The", "Returns", "Whether"])
def test_a_public_function_has_an_imperative_docstring(
    tmp_path: Path, rules: Rules, first: str
) -> None:
    content = f'def f():\n    """{first} value."""\n'
    [(line, message)] = findings(tmp_path, rules, "code.py", content)
    assert line == 2
    assert message.startswith(f'docstring starts with "{first.lower()}"')


@pytest.mark.parametrize(
    "content",
    [
        'def f():\n    """Return it."""\n',
        'def f():\n    """Pass it on."""\n',
        'def f():\n    """Focus it."""\n',
        'def _f():\n    """The value."""\n',
        'class C:\n    """The value."""\n',
        'class C:\n    """Returns it."""\n',
        'class C:\n    @property\n    def f(self):\n        """The value."""\n',
    ],
)
def test_other_docstrings_have_a_free_form(tmp_path: Path, rules: Rules, content: str) -> None:
    assert findings(tmp_path, rules, "code.py", content) == []


def test_no_docstring_is_a_question(tmp_path: Path, rules: Rules) -> None:
    content = 'class C:\n    """Whether it is."""\n'
    [(_, message)] = findings(tmp_path, rules, "code.py", content)
    assert message == 'docstring starts with "whether": name the thing or start with a verb'


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("'The text is empty'", 'error message starts with "The": start it in lower case'),
        ("'the text is empty.'", "error message ends with a full stop: remove it"),
        ("f'the text of {1} is empty.'", "error message ends with a full stop: remove it"),
    ],
)
def test_an_error_message_starts_in_lower_case_and_has_no_full_stop(
    tmp_path: Path, rules: Rules, message: str, expected: str
) -> None:
    assert findings(tmp_path, rules, "code.py", f"raise ValueError({message})\n") == [(1, expected)]


@pytest.mark.parametrize(
    "message",
    [
        "'the text is empty'",
        "'NATS_URL is not set'",
        "'NATS is down'",
        "'Kokoro is missing'",
        "'Idempotency-Key is set'",
        "'waiting ...'",
    ],
)
def test_an_error_message_can_start_with_a_name(tmp_path: Path, rules: Rules, message: str) -> None:
    assert findings(tmp_path, rules, "code.py", f"raise ValueError({message})\n") == []


def test_only_limits_the_files(tmp_path: Path) -> None:
    for name in ("a/x.py", "b/x.py", "b/x.wav", "b/golden/x.py", "b/.cache/x.py"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()

    assert list(files_under([tmp_path], [])) == [tmp_path / "a/x.py", tmp_path / "b/x.py"]
    assert list(files_under([tmp_path], [tmp_path / "b"])) == [tmp_path / "b/x.py"]


def test_the_exit_status_is_1_with_findings_and_0_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("Nobody is here.\n")
    assert main([str(page)]) == 1
    assert capsys.readouterr().out.startswith(f'{page}:1: "Nobody": write "')

    page.write_text("No worker is available.\n")
    assert main([str(page)]) == 0
    assert capsys.readouterr().out == ""


def test_the_program_passes_its_own_check() -> None:
    assert main(["tools", "tests/unit/tools"]) == 0
