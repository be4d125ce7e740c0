"""The command that shows texts as they would be spoken, one or many."""

import io
import json
import sys
from pathlib import Path

import pytest

from services.splitter.normalize_cli import main


def shown(
    capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0
) -> tuple[list[str], str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == status
    out, err = capsys.readouterr()
    return out.splitlines(), err


def test_a_text_is_shown_a_sentence_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines, told = shown(
        capsys, "--language", "en-GB", "It cost $5 in the end.", "He paid 3 more of them."
    )
    assert lines == ["It cost five dollars in the end.", "He paid three more of them."]
    assert told == ""


def test_without_an_argument_the_text_comes_from_stdin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("Il a 5 ans,\nvoilà.".encode())))
    assert shown(capsys)[0] == ["Il a cinq ans, voilà."]


def test_sentences_are_as_long_as_is_asked_and_figures_stay_where_that_is_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines, _ = shown(
        capsys,
        "--language",
        "en",
        "--max-characters",
        "20",
        "--no-spoken-forms",
        "He paid 5, and left, " * 3,
    )
    assert len(lines) > 2
    assert all(len(line) <= 20 for line in lines)
    assert "5" in lines[0]


def test_left_out_text_is_reported_separately(capsys: pytest.CaptureFixture[str]) -> None:
    lines, told = shown(capsys, "--language", "en", "Hello สวัสดี there, friend.")
    assert lines == ["Hello there, friend."]
    assert told == "normalize: left out, as no voice of en can speak it: characters 6-12\n"


@pytest.mark.parametrize(("text", "reason"), [("สวัสดี", "written in Thai"), ("…", "no word")])
def test_a_text_of_which_nothing_is_spoken_fails(
    text: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines, told = shown(capsys, text, status=1)
    assert lines == []
    assert reason in told


LINES = (
    '{"language": "zh-cn", "text": "第①问", "id": 7}',
    '{"language": "fr_FR", "text": "Il a 5 ans."}',
    '{"language": "en", "text": "…"}',
    '{"language": "en", "text": "สวัสดี OK"}',
)


def test_lines_are_answered_in_their_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    lines, told = shown(capsys, "--jsonl", str(file))
    assert [json.loads(line) for line in lines] == [
        {"sentences": ["第一问"]},
        {"sentences": ["Il a cinq ans."]},
        {"sentences": []},
        {"sentences": ["OK"], "left_out": [[0, 6]]},
    ]
    assert told == ""


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (b"nope", "line 2: JSON is malformed"),
        (b'{"text": "a"}', "line 2: Object missing required field `language`"),
        (b'{"language": "sv", "text": "a"}', "line 2: language is unknown; send one of fr en"),
        (b'{"language": "fr", "text": 7}', "line 2: Expected `str`, got `int` - at `$.text`"),
        (b'{"language": "fr", "text": "\xff"}', "line 2: "),
        (b"", "line 2: "),
    ],
)
def test_a_wrong_line_is_named_and_costs_no_other(
    wrong: bytes, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_bytes(b"\n".join((LINES[0].encode(), wrong, LINES[1].encode())))
    lines, _ = shown(capsys, "--jsonl", str(file), status=1)
    first, second, third = map(json.loads, lines)
    assert second["error"].startswith(reason)
    assert "sentences" in first
    assert "sentences" in third


@pytest.mark.parametrize(
    "arguments",
    [
        ("--language", "sv", "a"),
        ("--jsonl", "x", "a"),
        ("--jsonl", "/no/such/file"),
        ("--max-characters", "0", "a"),
    ],
)
def test_wrong_arguments_are_refused(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "task normalize --: error:" in shown(capsys, *arguments, status=2)[1]
