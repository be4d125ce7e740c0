"""Quantities: money, percentages and counted units. Pure."""

from collections.abc import Iterable, Iterator
from typing import Final

import regex

from services.splitter.normalization.grammar.grammar import Grammar, Number
from services.splitter.normalization.grammar.table import Noun, written_forms
from services.splitter.normalization.recognizer import (
    FIGURES,
    LETTERS,
    MINUS,
    SIGNS,
    Match,
    Recognizer,
    alternatives,
    amount,
    compiled,
    full_stop,
    next_word,
    number_pattern,
    parsed,
    word_before,
)

_DETERMINERS: Final = frozenset(
    ("a", "an", "the", "this", "that", "my", "your", "his", "her", "its", "our", "their")
)
_NO_NOUN: Final = (
    "of|and|or|to|in|on|at|from|by|with|for|as|than|is|are|was|were|be|has|have|had|that|which|who|we|i|you|he|she|it|they"
    "|per|a|an|the|away|long|wide|high|deep|tall|thick|further|farther|more|less|apart|north|south|east|west|above|below"
    "|between|before|after|into|over|under|through|so|if|when|because|but|not|only|left|free|used"
)
_NOUN: Final = regex.compile(rf"\s(?!(?:{_NO_NOUN})(?!\p{{L}}))\p{{Ll}}++(?![.']\p{{L}})")
_LAST: Final = r"(?:\s?%?\s?[-–—~]\s?(?P<last>\d++(?:[.,]\d++)*+))?"  # of a range: 3–5 km
_DASH: Final = r"(?:[.,](?:[-–—]{1,2}|--))?+"  # instead of hundredths: 3,- €


def recognizers(grammar: Grammar) -> Iterator[Recognizer]:
    """Yield the recognizers of a language's quantities."""
    if grammar.table.money.units:
        yield from _money(grammar)
    yield _percentages(grammar)
    if grammar.table.units:
        yield _units(grammar)


def _magnitudes(grammar: Grammar) -> str:
    words = alternatives(grammar.table.magnitudes)
    return (
        rf"(?:\s?(?P<magnitude>{words})(?!\p{{L}}))?+"
        if grammar.table.spaced
        else rf"(?P<magnitude>{words})?+"
    )


def _money(grammar: Grammar) -> Iterator[Recognizer]:
    money = grammar.table.money
    units = {
        symbol: nouns.split(" / ")
        for symbols, nouns in money.units.items()
        for symbol in symbols.split("|")
    }
    number, magnitude = _price_pattern(grammar), _magnitudes(grammar)
    short = rf"(?:\s?(?P<short>{alternatives(money.short)}))?+"

    counted = written_forms(grammar.table.units)
    if grammar.table.durations.hour:
        counted.setdefault("h", grammar.table.durations.hour)
    per = _per_pattern(counted, grammar)

    def verbalize(found: Match) -> str:
        verbalized = _priced(found, units[found["unit"]], grammar)
        if found["per"]:
            noun = grammar.noun(counted[found["per"]])
            verbalized = (
                f"{verbalized}{grammar.gap}{grammar.table.per}{grammar.gap}{grammar.form(noun, 1)}"
            )
        elif found["word"]:
            verbalized = f"{verbalized}{grammar.gap}{grammar.table.per}{grammar.gap}{found['word']}"
        return verbalized + full_stop(found, grammar)

    def divided(found: Match) -> str:
        nouns = units[found["unit"]]
        hundredth = grammar.noun(nouns[1]) if len(nouns) > 1 else None
        price = Number(amount(found, grammar).whole, found["cents"], found["minus"] is not None)
        return _price(price, grammar.noun(nouns[0]), hundredth, grammar)

    letter = grammar.letter
    lettered = alternatives(
        unit for unit in units if unit[0].isalpha() and (unit[0] < "\u0250" or not grammar.glued)
    )
    bare = alternatives(unit for unit in units if not unit[0].isalpha())
    last = _LAST.replace("(?P<last>", r"(?:(?P=unit)\s?)?(?P<last>")  # $5-$10
    before = rf"(?P<minus>(?<![{letter}\d_])[-−])?(?P<unit>{bare}|(?<![{letter}])(?:{lettered}))\s?"
    end = rf"(?![{letter}])"
    behind = rf"(?:{magnitude}{end}|{short}{end})(?!\p{{N}})"
    yield Recognizer(
        compiled(rf"{before}(?P<number>{number}){last}{_DASH}{behind}{per}"),
        verbalize,
        SIGNS + LETTERS,
        "money",
    )
    after = rf"{_DASH}\s?(?P<unit>{alternatives(units)})(?![{letter}\p{{N}}]){per}"
    sign = rf"(?P<unit>{alternatives(unit for unit in units if len(unit) == 1)})"
    cents = rf"{MINUS}(?P<number>\d{{1,9}}){sign}(?P<cents>\d{{2}})(?![\d.,]\d|\d|[{letter}])"
    yield Recognizer(compiled(cents), divided, FIGURES + SIGNS, "money")
    yield Recognizer(
        compiled(rf"{MINUS}(?P<number>{number}){_LAST}(?:{magnitude}|{short}){after}"),
        verbalize,
        FIGURES + SIGNS,
        "money",
    )


def _per_pattern(counted: Iterable[str], grammar: Grammar) -> str:
    """Return the pattern of the unit or the word behind a price: 3 €/kg."""
    if not grammar.table.per:
        return "(?P<per>(?!))?+(?P<word>(?!))?+"
    return rf"(?:/(?:(?P<per>{alternatives(counted)})(?!\p{{L}})|(?P<word>\p{{L}}{{3,15}})))?+"


def _price_pattern(grammar: Grammar) -> str:
    """Return the pattern of an amount, which in English may begin with its point: $.50."""
    number = number_pattern(grammar)
    return rf"(?:{number}|(?<!\d)\.\d\d(?!\d))" if grammar.table.decimal == "." else number


def _priced(found: Match, nouns: list[str], grammar: Grammar) -> str:
    price, unit = amount(found, grammar), grammar.noun(nouns[0])
    if found["magnitude"]:
        return _with_magnitude(price, grammar.table.magnitudes[found["magnitude"]], unit, grammar)
    if found["short"]:
        short = grammar.table.money.short[found["short"]]
        return (
            grammar.counted(_times(price, short), unit)
            if short.isdecimal()
            else _with_magnitude(price, short, unit, grammar)
        )
    if found["last"]:
        return _range(found, unit, grammar)
    return _price(price, unit, grammar.noun(nouns[1]) if len(nouns) > 1 else None, grammar)


def _price(price: Number, unit: Noun, hundredth: Noun | None, grammar: Grammar) -> str:
    whole = Number(price.whole, "", price.negative, price.genitive)
    if not price.decimals.strip("0"):
        return grammar.counted(whole, unit)
    if len(price.decimals) > 2 or hundredth is None:
        # 3.50元 is 三点五元
        decimals = price.decimals.rstrip("0") if grammar.glued else price.decimals
        return grammar.counted(Number(price.whole, decimals, price.negative), unit)
    cents = int((price.decimals + "0")[:2])
    verbalized = grammar.counted(Number(str(cents)), hundredth)
    if price.value == 0 and not price.negative:
        return verbalized
    return grammar.fill(
        grammar.table.money.both, whole=grammar.counted(whole, unit), cents=verbalized, c=cents
    )


def _with_magnitude(number: Number, magnitude: str, unit: Noun, grammar: Grammar) -> str:
    """Return an amount with a magnitude, such as millions, and its noun."""
    verbalized = grammar.counted(number, grammar.noun(magnitude))
    if grammar.glued and not number.decimals:
        verbalized = "".join(verbalized.rsplit(" ", 1))  # 백만, one word
    money, form = grammar.table.money, unit.forms["other"]
    thousand = _thousand(grammar)
    if thousand and magnitude == thousand:  # thousands are no noun: dix mille euros
        if len(number.decimals) <= 3:
            thousands = f"{number.whole}{number.decimals:0<3}"
            return grammar.counted(Number(thousands, "", number.negative, number.genitive), unit)
        return f"{verbalized}{grammar.gap}{form}"
    if grammar.table.round:
        return f"{verbalized}{grammar.linked(1_000_000, form)}"
    return grammar.fill(money.magnitude, number=verbalized, unit=form)


def _times(number: Number, power: str) -> Number:
    """Return a number times a power of ten, in words."""
    zeros = len(power) - 1
    moved = number.decimals.ljust(zeros, "0")
    return Number(
        (number.whole + moved[:zeros]).lstrip("0") or "0",
        moved[zeros:].rstrip("0"),
        number.negative,
    )


def _thousand(grammar: Grammar) -> str:
    return grammar.table.money.short.get("k", "")


def _range(found: Match, unit: Noun, grammar: Grammar) -> str:
    first, last = amount(found, grammar), parsed(found["last"], grammar)
    if first.genitive and not last.decimals:
        last = Number(last.whole, genitive=True)
    return f"{grammar.number(first)}{grammar.to}{grammar.counted(last, unit)}"


def _percentages(grammar: Grammar) -> Recognizer:
    words = {**dict.fromkeys("%٪％", grammar.table.percent), "‰": grammar.table.permille}

    def verbalize(found: Match) -> str:
        word, number = words[found["sign"]], amount(found, grammar)
        if found["last"] and "{" not in word:
            return _range(found, grammar.noun(word), grammar)
        sign = ""
        if number.negative and word.endswith("{number}"):  # 负百分之三
            sign = f"{grammar.table.minus}{grammar.gap}"
            number = Number(number.whole, number.decimals)
        verbalized = grammar.number(number)
        if found["last"]:
            verbalized = f"{verbalized}{grammar.to}{grammar.number(parsed(found['last'], grammar))}"
        return (
            f"{sign}{grammar.fill(word, number=verbalized)}"
            if "{" in word
            else grammar.counted(number, grammar.noun(word))
        )

    pattern = rf"{MINUS}(?P<number>{number_pattern(grammar)}){_LAST}\s?(?P<sign>[%٪％‰])"
    return Recognizer(compiled(pattern), verbalize, FIGURES + SIGNS, "percent")


def _is_attribute(found: Match) -> bool:
    """Return whether an English unit is attributive and so has no plural: a 32-oz can, the 5 km
    run."""
    if found.string[found.start("unit") - 1] == "-":
        return True
    return word_before(found) in _DETERMINERS and _NOUN.match(found.string, found.end()) is not None


def _units(grammar: Grammar) -> Recognizer:
    units = written_forms(grammar.table.units)
    units |= {
        f"° {written[1]}": noun
        for written, noun in units.items()
        if regex.fullmatch("°[CF]", written)
    }
    doubtful = frozenset(grammar.table.doubtful_units.split())

    def verbalize(found: Match) -> str | None:
        if found["unit"] in doubtful and next_word(found):
            return None
        noun, number = grammar.noun(units[found["unit"]]), amount(found, grammar)
        stop = full_stop(found, grammar)
        if found["magnitude"]:
            return (
                _with_magnitude(number, grammar.table.magnitudes[found["magnitude"]], noun, grammar)
                + stop
            )
        if grammar.language == "en" and not found["last"] and _is_attribute(found):
            return f"{grammar.number(number)} {noun.forms['one']}{stop}"
        return (
            _range(found, noun, grammar) if found["last"] else grammar.counted(number, noun)
        ) + stop

    end = rf"(?![{grammar.letter}\p{{N}}])"
    ending = grammar.language == "ru" or grammar.joint == "-"
    gap = r"\s?" if ending else r"[\s-]?"  # 2-t is an ending in Hungarian, 3-м in Russian
    free = rf"(?<![{grammar.letter}])"  # no cell of a table: A1
    # bzip2 s, w3m, Aria-192t, a hardware address
    name = r"(?<![A-Za-z%])(?<![A-Za-z]-)(?<![\dA-F]:)(?<!\s\.)"
    number = (
        rf"{free}{name}{MINUS}(?P<number>{number_pattern(grammar)}){_LAST}{_magnitudes(grammar)}"
    )
    return Recognizer(
        compiled(
            rf"{number}{gap}(?P<unit>{alternatives(units)})(?!'|-\d|\.\p{{Ll}}\.)(?:(?<=\p{{Ll}})\.(?=\s\p{{Ll}}))?{end}"
        ),
        verbalize,
        FIGURES + SIGNS,
        "unit",
    )
