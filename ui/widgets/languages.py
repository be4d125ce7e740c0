"""The languages that the service speaks."""

from collections.abc import Mapping
from typing import Final

import streamlit as st

from ui import shared
from ui.translations import t, tongue
from ui.widgets.choice import pick

AUTO: Final = "auto"

# Offered until the service has reported its languages.
_USUAL: Final = {
    "fr": "français", "en": "English", "es": "español", "de": "Deutsch", "it": "italiano", "pt": "português",
    "pl": "polski", "tr": "Türkçe", "ru": "русский", "nl": "Nederlands", "cs": "čeština", "ar": "العربية", "zh": "中文",
    "hu": "magyar", "ko": "한국어", "ja": "日本語", "hi": "हिन्दी",
}  # fmt: skip


def languages() -> Mapping[str, str]:
    """Return ISO 639-1 code -> the language's own name."""
    spoken = shared.LANGUAGES.get()
    return spoken if isinstance(spoken, dict) and spoken else _USUAL


def choose_language(tab: str, *, found: bool = False) -> str:
    """Show the languages and return the chosen one's code; `found`: or `auto`, so that the service finds it.

    Until the user has chosen one, it is the language of the pages.
    """
    known = dict(languages()) | ({AUTO: t("language.auto")} if found else {})
    begin = tongue() if tongue() in known else next(iter(known))
    return pick(
        st.selectbox,
        t("language.choose"),
        {code: name if code == AUTO else f"{name} ({code})" for code, name in known.items()},
        remembered=f"{tab}_language_chosen",
        first=begin,
    )


def chosen_language(tab: str) -> str:
    """Return the code of the language that this tab has chosen."""
    chosen: str = st.session_state.get(f"{tab}_language_chosen", tongue())
    return chosen
