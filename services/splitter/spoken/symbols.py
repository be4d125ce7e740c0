"""Signs of mathematics and others that are words. Pure."""

from collections.abc import Callable, Iterator

from services.splitter.spoken.grammar import Grammar
from services.splitter.spoken.recogniser import LETTERS, SIGNS, Match, Recogniser, alternatives, compiled


def recognisers(grammar: Grammar) -> Iterator[Recogniser]:
    """Yield what recognises a language's signs."""
    table, gap = grammar.table, grammar.gap

    def spaced(words: dict[str, str]) -> Callable[[Match], str]:
        def say(found: Match) -> str:
            text, said = found.string, words[found["sign"]]
            before = (
                gap
                if found.start() and not text[found.start() - 1].isspace() and text[found.start() - 1] not in "([{"
                else ""
            )
            after = gap if text[found.end() : found.end() + 1].isalnum() else ""
            return f"{before}{said}{after}"

        return say

    if table.number_signs:
        yield Recogniser(
            compiled(rf"(?<![\p{{L}}\p{{N}}&])(?P<sign>{alternatives(table.number_signs)})\s?(?=\d)"),
            lambda found: f"{table.number_signs[found['sign']]}{gap}",
            SIGNS + LETTERS,
        )
    if table.operators:
        signs = alternatives(table.operators)
        tight = alternatives(sign for sign in table.operators if sign not in "-:")  # 3-2 and 3:2 are no sums
        yield Recogniser(
            compiled(
                rf"(?:(?<=[\p{{L}}\p{{N}})²³][^\S\n])(?P<sign>{signs})(?=[^\S\n][\p{{L}}\p{{N}}(√−-])|(?<=\d)(?P<sign>{tight})(?=\d))"
            ),
            spaced(table.operators),
            SIGNS + LETTERS,
        )
    if table.symbols:
        yield Recogniser(compiled(rf"(?P<sign>{alternatives(table.symbols)})"), spaced(table.symbols), SIGNS)
