"""E-mail and web addresses. Pure."""

from collections.abc import Iterator
from typing import Final

import regex

from services.splitter.normalization.grammar.grammar import Grammar
from services.splitter.normalization.recognizer import FIGURES, LETTERS, Match, Recognizer, compiled

_LABEL: Final = r"[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,62}[\p{L}\p{N}])?"
_PART: Final = regex.compile(r"\p{L}[\p{L}\p{M}]*+|\d++|[^\p{L}\p{N}\s]")
_VOWEL: Final = regex.compile(r"[aeiouyáéíóúäöü]")
_TOP: Final = "|".join(
    [
        "com",
        "org",
        "net",
        "edu",
        "gov",
        "info",
        "io",
        "eu",
        "fr",
        "de",
        "es",
        "it",
        "pt",
        "pl",
        "tr",
        "ru",
        "nl",
        "cz",
        "cn",
        "hu",
        "kr",
        "jp",
        "in",
        "uk",
        "us",
        "ch",
        "at",
        "be",
        "br",
        "mx",
        "dev",
        "app",
    ]
)


# Without a match of this pattern, a text contains no address.
HINT: Final = regex.compile(rf"@|://|www\.|[A-Za-z0-9]\.(?:{_TOP})(?![\p{{L}}\p{{N}}])")


def recognizers(grammar: Grammar) -> Iterator[Recognizer]:
    """Yield the recognizers of addresses."""
    table = grammar.table
    words = {
        "@": table.at,
        ".": table.dot,
        "/": table.slash,
        "-": table.dash,
        "_": table.underscore,
    }
    words |= {
        ":": "",
        "?": "",
        "=": "",
        "&": "",
        "#": "",
        "+": table.plus,
        "%": table.percent.partition("|")[0],
        "~": "",
    }

    def spelled(found: Match) -> str:
        address = found[0].removeprefix("https://").removeprefix("http://").removesuffix("/")
        return " ".join(
            verbalized
            for part in _PART.findall(address)
            if (verbalized := _spoken_part(part, words, grammar))
        )

    domain = rf"{_LABEL}(?:\.{_LABEL}){{1,8}}"
    yield Recognizer(
        compiled(rf"(?<![A-Za-z0-9@.])[A-Za-z0-9](?:[\w.+-]{{0,62}}\w)?@{domain}(?![\w@-])"),
        spelled,
        FIGURES + LETTERS,
        "address",
    )
    path = r"(?:[/?#](?:[A-Za-z0-9/_.~%?#=&+-]{0,200}[A-Za-z0-9/_=&#])?)?"
    yield Recognizer(
        compiled(rf"(?<![A-Za-z0-9@.])(?:https?://{domain}|www\.{domain}){path}"),
        spelled,
        FIGURES + LETTERS,
        "address",
    )
    yield Recognizer(
        compiled(
            rf"(?<![A-Za-z0-9@.])[A-Za-z][A-Za-z0-9-]{{1,62}}\.(?:{_TOP})(?![A-Za-z0-9@-]|\.[A-Za-z0-9])(?:(?=/){path})?"
        ),
        spelled,
        FIGURES + LETTERS,
        "address",
    )


def _spoken_part(part: str, words: dict[str, str], grammar: Grammar) -> str:
    if part.isdecimal():
        return grammar.digits(part) if len(part) > 4 or part[0] == "0" else grammar.words(int(part))
    letters = grammar.table.letters
    if (part == "www" or (len(part) == 2 and not _VOWEL.search(part))) and "W" in letters:
        return " ".join(letters.get(letter, letter) for letter in part.upper())
    if part == "www":
        return "w w w" if grammar.table.spaced else "www"
    return words.get(part, "" if not part[0].isalpha() else part)
