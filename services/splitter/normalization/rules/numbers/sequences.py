"""Several figures in a row: ranges, versions, lists. Pure."""

from collections.abc import Iterator

from services.splitter.normalization.grammar.formulas import in_formula
from services.splitter.normalization.grammar.grammar import Grammar, Number
from services.splitter.normalization.grammar.table import written_forms
from services.splitter.normalization.recognizer import (
    CJK,
    WORD_BEFORE,
    Match,
    Recognizer,
    compiled,
    in_case,
    next_word,
    number_pattern,
    parsed,
    word_before,
)


def ranges(grammar: Grammar) -> Recognizer:
    """Return the recognizer of two numbers with a dash between them: 3–5, 1990-1995."""

    def verbalize(found: Match) -> str | None:
        if found["dash"] == " - " and in_formula(
            found.string, found.start("dash"), found.end("dash"), "-"
        ):
            return None
        first, last = parsed(found["first"], grammar), parsed(found["last"], grammar)
        if found["dash"] == "-" and (first.decimals == "") != (last.decimals == ""):
            return None  # 1.5-3 is a version
        score = first.value < 100 and last.value < 100
        # 1914-18, but 2008-12 may be a month
        short = (
            len(found["last"]) == 2
            and last.value > max(12, first.value % 100)
            and first.value >= 1100
        )
        ordered = first.value < last.value or score or short
        if "-" in found["dash"] and not (ordered or first.decimals or last.decimals):
            return None
        if found["dash"] == "-" and first == last and grammar.table.spaced:
            return f"{grammar.number(first)}-{grammar.number(last)}"  # fifty-fifty
        years = 1100 <= first.value <= 2099 and (short or 1100 <= last.value <= 2099)
        if grammar.glued:
            if _is_label(found, first, last):
                return None
            years, short = _are_years(found, last.value - first.value), False
        rule = grammar.table.year if years else ""
        if not years:
            first, last = in_case(first, found, grammar), in_case(last, found, grammar)
        return f"{grammar.number(first, rule)}{grammar.to}{grammar.number(last, '' if short else rule)}"

    tildes = "~～〜" if grammar.glued else ""
    number = number_pattern(grammar)
    last = number.replace("group", "groups")
    begin, end = (
        rf"(?:(?<![\w^-])(?<!\p{{Lu}}\.)|(?<={CJK}))",
        rf"(?![-–/\d])(?:(?!\p{{L}})|(?={CJK}))",
    )
    pattern = rf"{begin}(?P<first>{number})(?P<dash>-|[^\S\n]-[^\S\n]|\s?[–—{tildes}]\s?)(?P<last>{last}){end}"
    return Recognizer(compiled(pattern), verbalize, rule="range")


def _is_label(found: Match, first: Number, last: Number) -> bool:
    """Return whether figures with a hyphen are a version or the number of an illustration: 1.5-2,
    图2-1."""
    odd = first.value >= last.value or bool(first.decimals) != bool(last.decimals)
    around = found.string[max(0, found.start() - 8) : found.end() + 10]
    odd = odd or (
        bool(first.decimals) and any(word in around for word in ("バージョン", "版", "버전"))
    )
    return (
        odd and "-" in found["dash"] and not found.string[found.end() : found.end() + 1].isalpha()
    )


def _are_years(found: Match, span: int) -> bool:
    """Return whether 1990-1995 is followed by 年, or in brackets like the years of a life."""
    if len(found["last"]) != 4 or span <= 0:
        return False
    before, after = (
        found.string[found.start() - 1 : found.start()],
        found.string[found.end() : found.end() + 1],
    )
    life = before in "(（，" and after in ")）" and bool(before and after) and span < 120
    return life or (after == "年" and len(found["first"]) == 4)


def versions(grammar: Grammar) -> Recognizer:
    """Recognize figures with too many points for a number, or a word before it that implies a
    version: 2.6.1."""
    asks = compiled(rf"(?<!\p{{L}})(?:{grammar.table.versions or '(?!)'})\s?$")

    def verbalize(found: Match) -> str | None:
        parts = found[0].split(".")
        address = len(parts) == 4 and all(
            int(part) <= 255 and part == str(int(part)) for part in parts
        )
        if (
            len(parts) > 2 - ("." in grammar.table.groups)
            and all(len(part) == 3 for part in parts[1:])
            and not address
        ):
            return None
        if len(parts) == 2 and not asks.search(
            found.string[max(0, found.start() - WORD_BEFORE) : found.start()]
        ):
            return None
        words = (grammar.words(int(part)) for part in parts)
        # Japanese: ドット is of addresses alone
        dot = grammar.table.point if grammar.glued else grammar.table.dot
        before = grammar.gap if found.string[found.start() - 1 : found.start()].isalpha() else ""
        return before + f"{grammar.gap}{dot}{grammar.gap}".join(words)

    return Recognizer(
        compiled(r"(?<!\d)(?<!\d\.)\d{1,5}(?:\.\d{1,5}){1,15}(?![\d.]*\d)"),
        verbalize,
        rule="version",
    )


def lists(grammar: Grammar) -> Iterator[Recognizer]:
    """Recognize the number of a list item, which is spoken as a separate phrase."""
    comma = grammar.comma
    tables = (grammar.table.abbreviations, grammar.table.before_number)
    short = {written.lower() for table in tables for written in written_forms(table)}

    ordinal = compiled(grammar.table.ordinals.capitals or r"(?!)")

    def listed(found: Match) -> str | None:
        word = grammar.words(int(found["number"])).capitalize()
        return None if word_before(found) in short else f"{word}{comma}"

    def verbalize(found: Match) -> str | None:
        if ordinal.fullmatch(next_word(found)):
            return None  # 1. FC Köln
        paragraph = "\u2029" if found.start() else ""
        return f"{paragraph}{grammar.words(int(found['number']))}{comma}"

    yield Recognizer(
        compiled(
            r"(?<=^|\n[^\S\n]{0,8})(?P<number>\d{1,3})(?:\)|\.(?!\s\p{Ll}))(?=\s\S)(?<![\d]{4})"
        ),
        verbalize,
        rule="list",
    )
    if not grammar.table.ordinals.dot:
        yield Recognizer(
            compiled(r"(?<=[\p{L}\p{M}]{2}[.!?]\s)(?P<number>\d{1,2})[.)](?=\s\p{Lu})"),
            listed,
            rule="list",
        )


def rows(grammar: Grammar) -> Recognizer:
    """Recognize figures whose commas are not for thousands or decimals: 1,2,3 is three numbers."""
    comma = grammar.comma
    one_number = compiled(rf"{number_pattern(grammar)}")
    grouped_as_in_india = compiled(r"\d{1,2}(?:,\d{2})+,\d{3}")

    def verbalize(found: Match) -> str | None:
        written = found[0]
        if one_number.fullmatch(written):
            return None
        if grouped_as_in_india.fullmatch(written) and grammar.table.decimal == ".":
            return grammar.number(Number(written.replace(",", "")))
        verbalized = f"{comma}{' ' if comma in ',،' else ''}".join(
            grammar.number(Number(figures)) for figures in written.split(",")
        )
        glued = found.string[
            found.end() : found.end() + 1
        ].isalpha() and not grammar.particle.match(found.string, found.end())
        return f"{verbalized}{grammar.gap * glued}"

    return Recognizer(
        compiled(r"(?<!\d)(?<!\d[.,])\d++(?:,\d++)++(?![.,]?\d|\s?[%°€$£])"),
        verbalize,
        rule="number.row",
    )
