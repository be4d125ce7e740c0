"""From phonemes to token numbers, in parts that fit the model."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

Span = tuple[int, int]  # first character and one past the last

# per part: the model takes 510, but hurries through more than about half of that
MOST_TOKENS: Final = 240

_CLAUSE_ENDS: Final = frozenset(".!?…;:,—")
_SPACE: Final = " "


def token_parts(phonemes: str, vocabulary: Mapping[str, int]) -> list[list[int]]:
    """Turn phonemes into token numbers, cut into parts of at most 240: at the end of a clause, else between words.

    Symbols that the model lacks are left out. Returns an empty list where nothing is left to speak.
    """
    known = "".join(symbol for symbol in phonemes if symbol in vocabulary)
    return [[vocabulary[symbol] for symbol in part] for part in _parts(known) if _speakable(part)]


def part_owners(phonemes: str, owners: Sequence[Span | None]) -> list[list[Span | None]]:
    """Return the characters that each token of `token_parts` reads.

    `phonemes` holds only symbols that the model has; `owners` has one entry for each that is not a space, or none.
    """
    found: list[list[Span | None]] = []
    if not owners:
        return found
    remaining = iter(owners)
    for part in _parts(phonemes):
        read = [None if symbol == _SPACE else next(remaining) for symbol in part]
        if _speakable(part):
            found.append(read)
    return found


def _parts(phonemes: str) -> Iterator[str]:
    """Cut into about equal parts: three short ones are better than two long ones and a stump."""
    rest = phonemes.strip()
    while rest:
        count = -(-len(rest) // MOST_TOKENS)
        cut = len(rest) if count == 1 else _best_cut(rest, least=len(rest) // (2 * count))
        yield rest[:cut].strip()
        rest = rest[cut:].strip()


def _best_cut(phonemes: str, least: int) -> int:
    """Find the last clause end up to the limit, else the last space, else the limit."""
    for ends in (_CLAUSE_ENDS, {_SPACE}):
        for index in range(min(len(phonemes), MOST_TOKENS) - 1, least, -1):
            if phonemes[index] in ends:
                return index + 1
    return MOST_TOKENS


def _speakable(phonemes: str) -> bool:
    return any(symbol.isalpha() for symbol in phonemes)
