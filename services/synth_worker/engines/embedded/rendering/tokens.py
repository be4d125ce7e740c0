"""From phonemes to token numbers, in parts that fit the model."""

from collections.abc import Iterator, Mapping
from typing import Final

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
