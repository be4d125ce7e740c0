"""The languages of the service, in the order in which every face of it lists them, and the codes that mean them."""

import re
from types import MappingProxyType
from typing import Final

# ISO 639-1 code -> the language's own name (CLDR autonyms).
LANGUAGES: Final = MappingProxyType(
    {
        "fr": "français",
        "en": "English",
        "es": "español",
        "de": "Deutsch",
        "it": "italiano",
        "pt": "português",
        "pl": "polski",
        "tr": "Türkçe",
        "ru": "русский",
        "nl": "Nederlands",
        "cs": "čeština",
        "ar": "العربية",
        "zh": "中文",
        "hu": "magyar",
        "ko": "한국어",
        "ja": "日本語",
        "hi": "हिन्दी",
    }
)

# A language tag as people write it: BCP 47 ("zh-CN", "pt-br"), with underscores, or a POSIX locale ("fr_FR.UTF-8").
TAG_PATTERN: Final = r"^[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8}){0,4}(?:\.[A-Za-z0-9-]{1,16})?\Z"
_TAG: Final = re.compile(r"([A-Za-z]{2,3})(?:[-_.].*)?")
# ISO 639-2 and 639-3 codes, bibliographic ones too; "cmn" is Mandarin, which "zh" means here.
_LONG_CODES: Final = MappingProxyType(
    {
        "fra": "fr",
        "fre": "fr",
        "eng": "en",
        "spa": "es",
        "deu": "de",
        "ger": "de",
        "ita": "it",
        "por": "pt",
        "pol": "pl",
        "tur": "tr",
        "rus": "ru",
        "nld": "nl",
        "dut": "nl",
        "ces": "cs",
        "cze": "cs",
        "ara": "ar",
        "zho": "zh",
        "chi": "zh",
        "cmn": "zh",
        "hun": "hu",
        "kor": "ko",
        "jpn": "ja",
        "hin": "hi",
    }
)


def language_code(tag: str) -> str | None:
    """Return the ISO 639-1 code of the language of ours that a tag means, by its primary subtag; None for others."""
    if not re.match(TAG_PATTERN, tag):
        return None
    found = _TAG.fullmatch(tag)
    primary = found[1].lower() if found else ""
    code = _LONG_CODES.get(primary, primary)
    return code if code in LANGUAGES else None
