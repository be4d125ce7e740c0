"""Prints the normalized form of texts: `task normalize -- --language fr "Il a 17."`, or of many
texts as JSON lines."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from services.common.wire.languages import LANGUAGES, language_code
from services.common.wire.options import TextOptions
from services.splitter.segmentation.sentences import SplitText, divided, nothing_spoken

_USUAL_CHARACTERS: Final = 250
_SHOWN: Final = 5  # spans that are left out


class _InputLine(msgspec.Struct, frozen=True):
    """One line of a file; other fields than these are ignored."""

    language: str
    text: str


class _Options(NamedTuple):
    """Normalization options."""

    max_characters: int
    spoken_forms: bool

    def divided(self, text: str, language: str) -> SplitText:
        """Divide a text; no error if it has nothing to speak."""
        options = TextOptions(spoken_forms=self.spoken_forms)
        return divided(text, language, max_characters=self.max_characters, options=options)


def answers(lines: Iterable[bytes], options: _Options) -> Iterator[dict[str, object]]:
    """Yield {"sentences": [...]} or {"error": ...} for each line; "left_out" has the spans that
    cannot be spoken."""
    for number, line in enumerate(lines, 1):
        try:
            entry = msgspec.json.decode(line, type=_InputLine)
            language = _code(entry.language)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            yield {"error": f"line {number}: {error}"}
            continue
        found = options.divided(entry.text, language)
        answer: dict[str, object] = {"sentences": [sentence.spoken for sentence in found.sentences]}
        yield answer | ({"left_out": found.left_out} if found.left_out else {})


def _code(tag: str) -> str:
    """Return the code of a language. Raises ValueError."""
    code = language_code(tag.strip())
    if code is None:
        raise ValueError(f"language is unknown; send one of {' '.join(LANGUAGES)}")
    return code


def _write_answers(path: str, options: _Options) -> int:
    """Print an answer for each line of a file; return 1 if a line was invalid. Raises OSError if it
    cannot be read."""
    status = 0
    with Path(path).open("rb") as lines:
        for answer in answers(lines, options):
            status |= "error" in answer
            print(json.dumps(answer, ensure_ascii=False), flush=True)  # noqa: T201
    return status


def _show(text: str, language: str, options: _Options) -> int:
    """Print a text's sentences, and on stderr what is left out; return 1 if nothing can be
    spoken."""
    report = partial(print, file=sys.stderr)
    found = options.divided(text, language)
    for sentence in found.sentences:
        print(sentence.spoken)  # noqa: T201
    if not found.sentences:
        report(f"normalize: {nothing_spoken(text, found.left_out, language)}")
        return 1
    if found.left_out:
        spans = ", ".join(f"{start}-{end}" for start, end in found.left_out[:_SHOWN])
        report(f"normalize: left out, as no voice of {language} can speak it: characters {spans}")
    return 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the sentences of a text as they would be spoken, one per line."""
    parser = argparse.ArgumentParser(prog="task normalize --", description=__doc__)
    parser.add_argument("text", nargs="*", help="read from stdin if omitted")
    parser.add_argument(
        "--language", default="fr", metavar="CODE", help="such as fr, pt-BR or zh_CN (default: fr)"
    )
    parser.add_argument(
        "--jsonl", metavar="FILE", help='lines {"language": ..., "text": ...}, "-" for stdin'
    )
    parser.add_argument(
        "--max-characters", type=int, default=_USUAL_CHARACTERS, metavar="N", help="of a sentence"
    )
    parser.add_argument(
        "--no-spoken-forms", action="store_true", help="keep figures and signs as written"
    )
    choice = parser.parse_args(arguments)
    if choice.max_characters < 1:
        parser.error("--max-characters must be at least 1")
    options = _Options(choice.max_characters, spoken_forms=not choice.no_spoken_forms)
    if choice.jsonl is not None:
        if choice.text:
            parser.error("send texts either as arguments or with --jsonl, not both")
        try:
            sys.exit(_write_answers("/dev/stdin" if choice.jsonl == "-" else choice.jsonl, options))
        except OSError as error:
            parser.error(f"--jsonl {choice.jsonl} cannot be read ({error.strerror})")
    try:
        language = _code(choice.language)
    except ValueError as error:
        parser.error(f"--{error}")
    text = (
        " ".join(choice.text) if choice.text else sys.stdin.buffer.read().decode("utf-8", "replace")
    )
    sys.exit(_show(text, language, options))


if __name__ == "__main__":
    main()
