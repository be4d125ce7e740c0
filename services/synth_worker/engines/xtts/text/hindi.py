"""Hindi numbers in words, which num2words lacks. Pure.

The words are those of the Unicode CLDR's rule-based number format for Hindi (common/rbnf/hi.xml,
spellout-cardinal): every number below a hundred has its own word, and above that they group by thousand,
lakh (10^5) and crore (10^7).
"""

from typing import Final

import regex

_WORDS: Final = """
शून्य एक दो तीन चार पाँच छह सात आठ नौ
दस ग्यारह बारह तेरह चौदह पन्द्रह सोलह सत्रह अठारह उन्नीस
बीस इक्कीस बाईस तेईस चौबीस पच्चीस छब्बीस सत्ताईस अट्ठाईस उनतीस
तीस इकतीस बत्तीस तैंतीस चौंतीस पैंतीस छत्तीस सैंतीस अड़तीस उनतालीस
चालीस इकतालीस बयालीस तैंतालीस चौवालीस पैंतालीस छियालीस सैंतालीस अड़तालीस उनचास
पचास इक्यावन बावन तिरेपन चौवन पचपन छप्पन सत्तावन अट्ठावन उनसठ
साठ इकसठ बासठ तिरेसठ चौंसठ पैंसठ छियासठ सड़सठ अड़सठ उनहत्तर
सत्तर इकहत्तर बहत्तर तिहत्तर चौहत्तर पचहत्तर छिहत्तर सतहत्तर अठहत्तर उन्यासी
अस्सी इक्यासी बयासी तिरासी चौरासी पचासी छियासी सत्तासी अट्ठासी नवासी
नब्बे इक्यानबे बानबे तिरानबे चौरानबे पंचानबे छियानबे सत्तानबे अट्ठानबे निन्यानबे
"""  # of 0 to 99, ten a line
_BELOW_HUNDRED: Final = _WORDS.split()
_GROUPS: Final = ((10**7, "करोड़"), (10**5, "लाख"), (10**3, "हज़ार"), (10**2, "सौ"))
_NUMBER: Final = regex.compile(r"(\d+(?:,\d{2,3}(?!\d))*+)(?:\.(\d++))?+")
_MOST_DIGITS: Final = 15  # longer numbers are read digit by digit


def spell_out(number: int) -> str:
    """Return a number of 0 or more in words."""
    words = []
    for group, name in _GROUPS:
        count, number = divmod(number, group)
        if count:
            words += [spell_out(count), name]
    if number or not words:
        words.append(_BELOW_HUNDRED[number])
    return " ".join(words)


def with_numbers_spelled_out(text: str) -> str:
    """Return a text with its numbers, in digits of any script, written out; decimals digit by digit."""
    return str(_NUMBER.sub(lambda match: f" {_words(match[1].replace(',', ''), match[2])} ", text))


def _words(whole: str, decimals: str | None) -> str:
    words = spell_out(int(whole)) if len(whole) <= _MOST_DIGITS else _digits(whole)
    return words if decimals is None else f"{words} दशमलव {_digits(decimals)}"


def _digits(digits: str) -> str:
    return " ".join(_BELOW_HUNDRED[int(digit)] for digit in digits)
