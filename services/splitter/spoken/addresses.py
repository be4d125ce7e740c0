"""E-mail and web addresses, telephone numbers. Pure."""

from collections.abc import Iterator
from typing import Final

import regex

from services.splitter.spoken.grammar import Grammar
from services.splitter.spoken.recogniser import FIGURES, LETTERS, SIGNS, Match, Recogniser, compiled

_LABEL: Final = r"[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,62}[\p{L}\p{N}])?"
_PIECE: Final = regex.compile(r"\p{L}[\p{L}\p{M}]*+|\d++|[^\p{L}\p{N}\s]")
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


# Where this is not, there is no address.
HINT: Final = regex.compile(rf"@|://|www\.|[A-Za-z0-9]\.(?:{_TOP})(?![\p{{L}}\p{{N}}])")


def recognisers(grammar: Grammar) -> Iterator[Recogniser]:
    """Yield what recognises addresses and telephone numbers."""
    table = grammar.table
    words = {"@": table.at, ".": table.dot, "/": table.slash, "-": table.dash, "_": table.underscore}
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
        return " ".join(said for piece in _PIECE.findall(address) if (said := _piece(piece, words, grammar)))

    domain = rf"{_LABEL}(?:\.{_LABEL}){{1,8}}"
    yield Recogniser(
        compiled(rf"(?<![A-Za-z0-9@.])[A-Za-z0-9](?:[\w.+-]{{0,62}}\w)?@{domain}(?![\w@-])"), spelled, FIGURES + LETTERS
    )
    path = r"(?:[/?#](?:[A-Za-z0-9/_.~%?#=&+-]{0,200}[A-Za-z0-9/_=&#])?)?"
    yield Recogniser(
        compiled(rf"(?<![A-Za-z0-9@.])(?:https?://{domain}|www\.{domain}){path}"), spelled, FIGURES + LETTERS
    )
    yield Recogniser(
        compiled(
            rf"(?<![A-Za-z0-9@.])[A-Za-z][A-Za-z0-9-]{{1,62}}\.(?:{_TOP})(?![A-Za-z0-9@-]|\.[A-Za-z0-9])(?:(?=/){path})?"
        ),
        spelled,
        FIGURES + LETTERS,
    )
    yield from _phones(grammar)


def _piece(piece: str, words: dict[str, str], grammar: Grammar) -> str:
    if piece.isdecimal():
        return grammar.digits(piece) if len(piece) > 4 or piece[0] == "0" else grammar.words(int(piece))
    letters = grammar.table.letters
    if (piece == "www" or (len(piece) == 2 and not _VOWEL.search(piece))) and "W" in letters:
        return " ".join(letters.get(letter, letter) for letter in piece.upper())
    if piece == "www":
        return "w w w" if grammar.table.spaced else "www"
    return words.get(piece, "" if not piece[0].isalpha() else piece)


def _phones(grammar: Grammar) -> Iterator[Recogniser]:
    phones = grammar.table.phones

    def say(found: Match) -> str | None:
        groups = regex.findall(r"\d+", found[0])
        if not 7 <= sum(map(len, groups)) <= 15:
            return None
        said = [_group(group, grammar, pairs=phones.pairs) for group in groups]
        sign = f"{grammar.table.plus}{grammar.gap}" if found[0].startswith("+") else ""
        comma = {"zh": "，", "ja": "、", "ar": "، "}.get(grammar.language, ", ")
        return sign + comma.join(said)

    international = r"(?<!\w)\+\d{1,3}(?:[\s.\-/]?\(?\d{1,4}\)?){2,6}(?!\d)"
    national = rf"|(?<![\d.,+-])(?:{phones.national})(?![\d-])" if phones.national else ""
    yield Recogniser(compiled(rf"{international}{national}"), say, FIGURES + SIGNS)


def _group(group: str, grammar: Grammar, *, pairs: bool) -> str:
    if pairs and len(group) == 2 and group[0] != "0":
        return grammar.words(int(group))
    return grammar.digits(group)
