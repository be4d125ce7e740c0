"""The languages of the service, in the order in which every face of it lists them."""

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
