"""The languages that the service speaks."""

from typing import Final

import streamlit as st

from ui import shared
from ui.client.service import Service
from ui.errors import Refusal
from ui.translations import t, tongue

AUTO: Final = "auto"

# Offered until the service has reported its languages.
_USUAL = {
    "fr": "français", "en": "English", "es": "español", "de": "Deutsch", "it": "italiano", "pt": "português",
    "pl": "polski", "tr": "Türkçe", "ru": "русский", "nl": "Nederlands", "cs": "čeština", "ar": "العربية", "zh": "中文",
    "hu": "magyar", "ko": "한국어", "ja": "日本語", "hi": "हिन्दी",
}  # fmt: skip


@st.cache_data(ttl=20, show_spinner=False)
def _spoken(url: str) -> dict[str, str]:
    try:
        return Service(url).languages()
    except Refusal:
        return _USUAL


def languages() -> dict[str, str]:
    """Return ISO 639-1 code -> the language's own name."""
    return _spoken(shared.settings().service_url)


def choose_language(tab: str, *, found: bool = False) -> str:
    """Show the languages and return the chosen one's code; `found`: or `auto`, so that the service finds it."""
    known = languages() | ({AUTO: t("language.auto")} if found else {})
    codes = list(known)
    begin = codes.index(tongue()) if tongue() in codes else 0
    return st.selectbox(
        t("language.choose"),
        codes,
        index=begin,
        format_func=lambda code: known[code] if code == AUTO else f"{known[code]} ({code})",
        key=f"{tab}_language",
    )
