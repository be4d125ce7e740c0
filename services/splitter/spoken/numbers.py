"""Numbers by themselves: cardinals, ordinals, decimals, fractions, ranges, percentages, counted units, money. Pure."""

from collections.abc import Iterator
from functools import partial
from math import gcd
from typing import Final

from services.splitter.spoken import named, quantities
from services.splitter.spoken.formulas import in_formula
from services.splitter.spoken.grammar import Grammar, Number
from services.splitter.spoken.recogniser import (
    CJK,
    FIGURES,
    MINUS,
    SIGNS,
    WORD_BEFORE,
    Match,
    Recogniser,
    alternatives,
    amount,
    by_context,
    by_word,
    choices,
    compiled,
    full_stop,
    in_case,
    next_word,
    number_pattern,
    parsed,
    phrase_stop,
    word_before,
)

_USUAL_DENOMINATORS: Final = frozenset((*range(2, 21), 24, 25, 30, 32, 36, 40, 48, 50, 60, 64, 100))
_AFTER_NAME: Final = compiled(r"[\p{L}\p{M},][^\S\n]\p{Lu}[\p{L}\p{M}]+[^\S\n]$")
_JOINING: Final = "und|oder|bis|i|oraz|lub|a|nebo|až|és|vagy|ve"  # 1. und 2. Klasse
_VULGAR: Final = dict(zip("½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞", (12, 13, 23, 14, 34, 15, 25, 35, 45, 16, 56, 18, 38, 58, 78), strict=True))


def recognisers(grammar: Grammar) -> Iterator[Recogniser]:
    """Yield what recognises a language's numbers, the most special first."""
    yield from named.recognisers(grammar)
    yield from _lists(grammar)
    yield _note_marks(grammar)
    yield _rows(grammar)
    yield from _named_years(grammar)
    yield from _decades(grammar)
    yield from _suffixed_ordinals(grammar)
    yield from named.range_signs(grammar)
    yield from quantities.recognisers(grammar)
    yield from _millions(grammar)
    yield from _fractions(grammar)
    yield from _ordinals(grammar)
    yield from _suffixed(grammar)
    yield from _counters(grammar)
    yield _ranges(grammar)
    yield _versions(grammar)
    yield from _years(grammar)
    yield from _after_counted_words(grammar)
    if grammar.table.round:
        yield _round_millions(grammar)
    yield _plain(grammar)
    yield _leftover(grammar)


def _plain(grammar: Grammar) -> Recogniser:
    gap = grammar.gap

    def say(found: Match) -> str:
        number = amount(found, grammar)
        if number.genitive and 1100 <= number.value < 2100:  # rather a year
            number = Number(number.whole, "", number.negative)
        said = grammar.number(number)
        if grammar.table.stop and "." in found["number"] and "," not in found["number"]:  # 2.4 where a decimal is 2,4
            said = said.replace(f" {grammar.table.point} ", f" {grammar.table.stop} ")
        glued_before = found.string[found.start() - 1 : found.start()].isalpha() and not found["minus"]
        after = found.string[found.end() : found.end() + 1]
        glued_after = after.isalpha() and (not grammar.glued or after not in grammar.table.magnitudes)
        if glued_after and grammar.particle.match(found.string, found.end()):
            glued_after = False
        return f"{gap * glued_before}{said}{gap * glued_after}"

    return Recogniser(compiled(rf"{MINUS}(?P<number>{number_pattern(grammar)})"), say, FIGURES + SIGNS, "number")


def _round_millions(grammar: Grammar) -> Recogniser:
    """Recognise round millions before a noun, to which some languages join them: un million d'habitants."""

    def say(found: Match) -> str | None:
        number = parsed(found["number"], grammar)
        if number.decimals or number.value < 1_000_000 or number.value % 1_000_000:
            return None
        if found["noun"] in grammar.starters:
            return None
        return f"{grammar.number(number)}{grammar.linked(number.value, found['noun'])}"

    pattern = rf"(?P<number>{number_pattern(grammar)})\s(?P<noun>\p{{Ll}}{{3,24}})(?!\p{{L}})"
    return Recogniser(compiled(pattern), say, rule="millions")


def _leftover(grammar: Grammar) -> Recogniser:
    """Recognise figures that no other rule takes, so that none is passed on as it is written."""
    gap = grammar.gap

    def say(found: Match) -> str:
        before, after = found.string[: found.start()][-1:], found.string[found.end() : found.end() + 1]
        said = grammar.number(Number(found[0]))
        return f"{gap * (before.isalnum() or before in '.,')}{said}{gap * after.isalpha()}"

    return Recogniser(compiled(r"\d++"), say, rule="number.leftover")


def _rows(grammar: Grammar) -> Recogniser:
    """Recognise figures with commas that are no thousands and no decimal: 1,2,3 is three numbers."""
    comma = grammar.comma
    one_number = compiled(rf"{number_pattern(grammar)}")
    grouped_as_in_india = compiled(r"\d{1,2}(?:,\d{2})+,\d{3}")

    def say(found: Match) -> str | None:
        written = found[0]
        if one_number.fullmatch(written):
            return None
        if grouped_as_in_india.fullmatch(written) and grammar.table.decimal == ".":
            return grammar.number(Number(written.replace(",", "")))
        said = f"{comma}{' ' if comma in ',،' else ''}".join(
            grammar.number(Number(figures)) for figures in written.split(",")
        )
        glued = found.string[found.end() : found.end() + 1].isalpha() and not grammar.particle.match(
            found.string, found.end()
        )
        return f"{said}{grammar.gap * glued}"

    return Recogniser(compiled(r"(?<!\d)(?<!\d[.,])\d++(?:,\d++)++(?![.,]?\d|\s?[%°€$£])"), say, rule="number.row")


def _note_marks(grammar: Grammar) -> Recogniser:
    """Recognise the mark of a note behind a sentence's end, which is not said: known.1 Others."""
    tables = (grammar.table.abbreviations, grammar.table.before_number, grammar.table.within, grammar.table.titles)
    short = {written.lower().rstrip(".") for table in tables for keys in table for written in keys.split("|")}

    def say(found: Match) -> str | None:
        return None if word_before(found).rstrip(".!?…").rsplit(".", 1)[-1] in short else ""

    return Recogniser(
        compiled(r"(?<=[\p{Ll}\p{M}]{3}[.!?…][\"”’»)]{0,2})\d{1,3}(?=\s+[\"“«¿¡(]?\p{Lu}|\s*+$|\s*+\n)"),
        say,
        rule="note",
    )


def _after_counted_words(grammar: Grammar) -> Iterator[Recogniser]:
    """Recognise figures with a zero in front after a word that is counted: Chapter 05."""
    counted = grammar.table.roman.counted
    if counted:
        yield Recogniser(
            compiled(rf"(?<=(?<!\p{{L}})(?i:{counted})\s)0(?P<number>\d{{1,2}})(?!\d|[.,:]\d)"),
            lambda found: grammar.words(int(found["number"])),
            rule="number.counted",
        )


def _follows_name(found: Match) -> bool:
    """Return whether a capitalised word in the middle of a sentence stands before: Outlook Express 5/6."""
    return _AFTER_NAME.search(found.string[max(0, found.start() - WORD_BEFORE) : found.start()]) is not None


def _millions(grammar: Grammar) -> Iterator[Recogniser]:
    """Recognise so many millions of nothing in particular."""
    nouns = {word: noun for word, noun in grammar.table.magnitudes.items() if len(word) > 1}

    def say(found: Match) -> str:
        said = grammar.counted(amount(found, grammar), grammar.noun(nouns[found["magnitude"]]))
        return said + full_stop(found, grammar)

    if nouns and grammar.table.spaced and grammar.language != "ko":
        pattern = rf"{MINUS}(?P<number>{number_pattern(grammar)})\s?(?P<magnitude>{alternatives(nouns)})(?!\p{{L}})"
        yield Recogniser(compiled(pattern), say, FIGURES + SIGNS, "millions")


def _fractions(grammar: Grammar) -> Iterator[Recogniser]:
    table = grammar.table

    def words(upper: int, lower: int) -> str | None:
        known = table.fractions.get(f"{upper}/{lower}")
        if known or not table.denominator:
            return known
        template = table.denominator_one if upper == 1 else ""
        return grammar.fill(template or table.denominator, n=upper, d=lower)

    def vulgar(found: Match) -> str | None:
        said = words(*divmod(_VULGAR[found["sign"]], 10))
        if not found["number"] or said is None:
            return said
        joined = table.fractions.get("and", "{number} {fraction}")
        return grammar.fill(joined, number=grammar.words(int(found["number"])), fraction=said)

    def written(found: Match) -> str | None:
        upper, lower = int(found["upper"]), int(found["lower"])
        known = table.fractions.get(f"{upper}/{lower}")
        usual = lower in _USUAL_DENOMINATORS and gcd(upper, lower) == 1 and not _follows_name(found)
        said = words(upper, lower) if 0 < upper < lower and usual else known
        if said is None or not found["number"]:
            return said
        return grammar.fill(table.fractions.get("and", ""), number=grammar.words(int(found["number"])), fraction=said)

    signs, end = "".join(_VULGAR), rf"(?![{grammar.letter}\p{{N}}])"
    yield Recogniser(
        compiled(rf"(?P<number>(?<!\d)\d{{1,6}})?\s?(?P<sign>[{signs}])"), vulgar, FIGURES + SIGNS, "fraction"
    )
    yield Recogniser(
        compiled(
            r"(?<![\d/.,A-Za-z])(?<![A-Za-z]-)(?:(?P<number>\d{1,6})[\s-](?=\d/))?+(?P<upper>[1-9]\d?)[/⁄](?P<lower>\d{1,3})(?![\d/]|-\p{L}|[.,]\d)"
            + end
        ),
        written,
        rule="fraction",
    )


def _ordinals(grammar: Grammar) -> Iterator[Recogniser]:
    table = grammar.table.ordinals
    for pattern, rule in table.prefixes.items():
        yield Recogniser(
            compiled(rf"(?<={pattern})(?P<number>\d{{1,9}})(?:\s?[-–~～〜]\s?(?P<last>\d{{1,9}}))?+(?!\d|[.,]\d)"),
            partial(_prefixed, rule, grammar),
            rule="ordinal.prefix",
        )
    if table.dot:
        yield _dotted(grammar)


def _suffixed_ordinals(grammar: Grammar) -> Iterator[Recogniser]:
    end = rf"(?![{grammar.letter}\p{{N}}])"
    for pattern, rule in grammar.table.ordinals.suffixes.items():
        yield Recogniser(
            compiled(rf"(?<![\dA-Za-z])(?<!\d[.,])(?P<number>\d{{1,3}}(?:[,.]\d{{3}})*+|\d{{1,9}})(?:{pattern}){end}"),
            partial(_by_rule, rule, grammar),
            rule="ordinal.suffix",
        )


def _prefixed(rule: str, grammar: Grammar, found: Match) -> str:
    if not found["last"]:
        return _by_rule(rule, grammar, found)
    gap = grammar.gap * found.string[found.end() : found.end() + 1].isalpha()
    return f"{grammar.words(int(found['number']), rule)}{grammar.to}{grammar.words(int(found['last']), rule)}{gap}"


def _by_rule(rule: str, grammar: Grammar, found: Match) -> str:
    number = int("".join(filter(str.isdecimal, found["number"])))
    stop = phrase_stop(found, grammar) if "{stop}" in rule else ""
    said = grammar.fill(rule, n=number, stop=stop) if "{" in rule else grammar.words(number, rule)
    glued = found.string[found.end() : found.end() + 1].isalpha() and not grammar.particle.match(
        found.string, found.end()
    )
    return f"{said}{grammar.gap * glued}"


def _dotted(grammar: Grammar) -> Recogniser:
    """Recognise "3." as an ordinal: after a word that asks for one, or before a small letter."""
    table = grammar.table.ordinals
    after, before = choices(table.after), choices(table.before)
    capitals = compiled(table.capitals or r"(?!)")

    def say(found: Match) -> str | None:
        chosen = by_context(after, found)
        following = found["noun"]
        capital = capitals.fullmatch(following) or (chosen and grammar.language in ("de", "tr"))
        if not (following[0].islower() or capital) or following in grammar.starters:
            return None  # a capital begins a sentence, and of words like "is" none is counted
        rule = chosen if chosen and not chosen.startswith("noun") else by_word(before, following) or table.rule
        if chosen.startswith("noun-") and "plural" not in rule and not rule.endswith("accusative"):
            gender = "feminine" if "feminine" in rule else "masculine"
            rule = f"ordinal-{gender}-{chosen.removeprefix('noun-')}"
        return f"{grammar.words(int(found['number']), rule)}"

    return Recogniser(
        compiled(
            rf"(?<![\p{{L}}\d.,-])(?P<number>[1-9]\d{{0,3}})\.(?=\s(?:(?:{_JOINING})\s\d{{1,4}}\.\s)?+(?P<noun>\p{{L}}[\p{{L}}\p{{M}}]*+))"
        ),
        say,
        rule="ordinal.dot",
    )


def _suffixed(grammar: Grammar) -> Iterator[Recogniser]:
    """Recognise figures with an ending of their own, as Turkish and Hungarian write them: 1945'te, 5-kor."""
    if not grammar.table.suffixed:
        return

    def say(found: Match) -> str:
        glued = found.string[found.start() - 1 : found.start()].isalpha()
        return f"{grammar.gap * glued}{grammar.number(parsed(found['number'], grammar))}{found['ending']}"

    number = number_pattern(grammar)
    yield Recogniser(
        compiled(rf"(?P<number>{number})(?:{grammar.table.suffixed})(?![\p{{L}}])"), say, rule="number.suffixed"
    )


def _counters(grammar: Grammar) -> Iterator[Recogniser]:
    """Recognise numbers whose word depends on what is counted."""
    by_rule: dict[str, list[str]] = {}
    for words, rule in grammar.table.counters.items():
        by_rule.setdefault(rule, []).append(words)
    for rule, patterns in by_rule.items():
        yield Recogniser(
            compiled(
                rf"(?<!\d)(?<!\d[.,])(?:(?<!-)(?P<first>\d{{1,4}})\s?[-–~～〜]\s?)?+(?P<number>\d{{1,6}}|\d{{1,3}}(?:,\d{{3}})++)"
                rf"(?P<space>\s?)(?=(?P<counter>{'|'.join(patterns)}))"
            ),
            partial(_counted, rule, grammar),
            rule="counter",
        )


def _counted(rule: str, grammar: Grammar, found: Match) -> str | None:
    number = int(found["number"].replace(",", ""))
    if rule.endswith("native-attributive") and number > 99:
        return None
    said = f"{grammar.words(number, rule)}{grammar.gap}"
    if not found["first"]:
        return said
    counter = f" {found['counter']}" if grammar.table.spaced else ""  # 두 명에서 세 명
    return f"{grammar.words(int(found['first']), rule)}{counter}{grammar.to}{said}"


def _ranges(grammar: Grammar) -> Recogniser:
    def say(found: Match) -> str | None:
        if found["dash"] == " - " and in_formula(found.string, found.start("dash"), found.end("dash"), "-"):
            return None
        first, last = parsed(found["first"], grammar), parsed(found["last"], grammar)
        if found["dash"] == "-" and (first.decimals == "") != (last.decimals == ""):
            return None  # 1.5-3 is a version
        score = first.value < 100 and last.value < 100
        # 1914-18, but 2008-12 may be a month
        short = len(found["last"]) == 2 and last.value > max(12, first.value % 100) and first.value >= 1100
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

    tildes = "" if grammar.table.spaced and grammar.language != "ko" else "~～〜"
    number = number_pattern(grammar)
    last = number.replace("group", "groups")
    begin, end = rf"(?:(?<![\w^-])(?<!\p{{L}}\.)|(?<={CJK}))", rf"(?![-–/\d])(?:(?!\p{{L}})|(?={CJK}))"
    pattern = rf"{begin}(?P<first>{number})(?P<dash>-|[^\S\n]-[^\S\n]|\s?[–—{tildes}]\s?)(?P<last>{last}){end}"
    return Recogniser(compiled(pattern), say, rule="range")


def _is_label(found: Match, first: Number, last: Number) -> bool:
    """Return whether a hyphen between figures is rather that of a version or of a figure's number: 1.5-2, 图2-1."""
    odd = first.value >= last.value or bool(first.decimals) != bool(last.decimals)
    around = found.string[max(0, found.start() - 8) : found.end() + 10]
    odd = odd or (bool(first.decimals) and any(word in around for word in ("バージョン", "版", "버전")))
    return odd and "-" in found["dash"] and not found.string[found.end() : found.end() + 1].isalpha()


def _are_years(found: Match, span: int) -> bool:
    """Return whether 1990-1995 stands before 年, or in brackets as somebody's life does."""
    if len(found["last"]) != 4 or span <= 0:
        return False
    before, after = found.string[: found.start()][-1:], found.string[found.end() : found.end() + 1]
    life = before in "(（，" and after in ")）" and bool(before and after) and span < 120
    return life or (after == "年" and len(found["first"]) == 4)


def _versions(grammar: Grammar) -> Recogniser:
    """Recognise what has too many points for a number, or a word before it that asks for a version: 2.6.1."""
    asks = compiled(rf"(?<!\p{{L}})(?:{grammar.table.versions or '(?!)'})\s?$")

    def say(found: Match) -> str | None:
        parts = found[0].split(".")
        if "." in grammar.table.groups and all(len(part) == 3 for part in parts[1:]):
            return None
        if len(parts) == 2 and not asks.search(found.string[max(0, found.start() - WORD_BEFORE) : found.start()]):
            return None
        words = (grammar.words(int(part)) for part in parts)
        dot = grammar.table.point if grammar.glued else grammar.table.dot  # Japanese: ドット is of addresses alone
        before = grammar.gap if found.string[found.start() - 1 : found.start()].isalpha() else ""
        return before + f"{grammar.gap}{dot}{grammar.gap}".join(words)

    return Recogniser(compiled(r"(?<!\d)(?<!\d\.)\d{1,5}(?:\.\d{1,5}){1,15}(?![\d.]*\d)"), say, rule="version")


def _lists(grammar: Grammar) -> Iterator[Recogniser]:
    """Recognise the number of an item of a list, which is said as a phrase of its own."""
    comma = grammar.comma
    tables = (grammar.table.abbreviations, grammar.table.before_number)
    short = {written.lower() for table in tables for keys in table for written in keys.split("|")}

    ordinal = compiled(grammar.table.ordinals.capitals or r"(?!)")

    def listed(found: Match) -> str | None:
        word = grammar.words(int(found["number"])).capitalize()
        return None if word_before(found) in short else f"{word}{comma}"

    def say(found: Match) -> str | None:
        if ordinal.fullmatch(next_word(found)):
            return None  # 1. FC Köln
        paragraph = "\u2029" if found.start() else ""
        return f"{paragraph}{grammar.words(int(found['number']))}{comma}"

    yield Recogniser(
        compiled(r"(?<=^|\n[^\S\n]{0,8})(?P<number>\d{1,3})(?:\)|\.(?!\s\p{Ll}))(?=\s\S)(?<![\d]{4})"), say, rule="list"
    )
    if not grammar.table.ordinals.dot:
        yield Recogniser(
            compiled(r"(?<=[\p{L}\p{M}]{2}[.!?]\s)(?P<number>\d{1,2})[.)](?=\s\p{Lu})"),
            listed,
            rule="list",
        )


def _named_years(grammar: Grammar) -> Iterator[Recogniser]:
    """Recognise years by the word behind them."""
    for words, rule in grammar.table.years.items():
        if words.startswith("+"):
            yield Recogniser(
                compiled(rf"(?<!\d)(?<!\d[.,])(?P<number>\d{{1,4}})(?:{words[1:]})"),
                partial(_by_rule, rule, grammar),
                rule="year",
            )


_DECADE_WORDS: Final = frozenset(("the", "early", "late", "mid", "her", "his", "their", "my", "your", "our"))


def _asks_for_decade(found: Match) -> bool:
    before = found.string[max(0, found.start() - 5) : found.start()].lower()
    return word_before(found) in _DECADE_WORDS or before.endswith(("mid-", "early-", "late-", " '"))


def _decades(grammar: Grammar) -> Iterator[Recogniser]:
    """Recognise English decades: the 1990s, the late 80s."""

    def say(found: Match) -> str | None:
        number = int(found["number"])
        if number < 100 and not found["mark"] and not _asks_for_decade(found):
            return None  # seconds
        said = grammar.words(number, grammar.table.year)
        return f"{said[:-1]}ies" if said.endswith("y") else f"{said}s"

    if grammar.language == "en":
        yield Recogniser(
            compiled(r"(?<!\d)(?<!\d[.,])(?P<mark>')?(?P<number>[12]\d{2}0|[2-9]0)'?s(?!\p{L})"), say, rule="decade"
        )


_ABOUT_YEARS: Final = frozenset(("c.", "ca.", "est.", "geb.", "gest.", "env.", "circa"))  # which a year may follow


def _years(grammar: Grammar) -> Iterator[Recogniser]:
    """Recognise years where they are said otherwise than a number."""
    after = choices({words: rule for words, rule in grammar.table.years.items() if not words.startswith("+")})
    numbered = {written.lower() for keys in grammar.table.before_number for written in keys.split("|")} - _ABOUT_YEARS

    def say(found: Match) -> str | None:
        number, before = int(found["number"]), word_before(found)
        rule = by_context(after, found)
        if before.endswith(".") and before in numbered:
            return None
        if number < 1000 and grammar.language != "ar":
            return None
        if not rule and grammar.language in ("en", "hi") and 1100 <= number <= 2099 and number % 1000:
            rule = grammar.table.year
        if not rule and grammar.table.bare_years and 1100 <= number <= 1999 and not next_word(found)[:1].isupper():
            rule = grammar.table.year
        if not rule:
            return None
        return grammar.fill(rule, n=number) if "{" in rule else grammar.words(number, rule)

    yield Recogniser(compiled(r"(?<![\d.,\p{L}-])(?P<number>\d{1,4})(?!\d|[.,]\d)(?!\p{L})"), say, rule="year")
