"""Tab 5: one voice in many languages at once."""

import io
import zipfile
from collections.abc import Mapping
from functools import partial
from typing import Final

import streamlit as st

from ui.audio.looks import spectrogram
from ui.audio.reading import samples_of
from ui.client.order import Order
from ui.client.speech import Speaking
from ui.presets import preset
from ui.shared import service
from ui.translations import number, t
from ui.widgets import options, press, voices
from ui.widgets.languages import languages
from ui.widgets.notices import refusal_text
from ui.widgets.speak import columns, speak_button

_FIRST: Final = ("fr", "en", "es", "de")
_PATIENCE_S: Final = 180.0  # a small service does not admit seventeen at once
_WIDTHS: Final = (2, 5, 1, 1)


def show() -> None:
    """Show the tab."""
    st.write(t("many.intro"))
    main, side = columns()
    with side:
        voices.card("many")
        options.show_what_is_copied()
    with main:
        _show_choice()
    if any(not speaking.ended for speaking in _speeches().values()):
        _follow()
    else:
        _table()


def _show_choice() -> None:
    key = voices.select("many")
    known = languages()
    if "many_languages" not in st.session_state:
        st.session_state["many_languages"] = [code for code in _FIRST if code in known]
    chosen = st.pills(
        t("many.languages"),
        list(known),
        default=[code for code in st.session_state["many_languages"] if code in known],
        selection_mode="multi",
        format_func=lambda code: known[code],
        key="many_languages",
        persist_state="session",
    )
    with st.expander(t("many.texts")):
        texts = {code: _text(code, known[code]) for code in chosen}
    voice = voices.allowed("many", key)
    if speak_button(t("many.go"), "many", key, disabled=voice is None or not chosen) and voice:
        for before in _speeches().values():
            before.cancel()
        st.session_state["many"] = {
            code: _begin(Order(text, code, voice, options.manner())) for code, text in texts.items()
        }
        st.rerun()


def _text(code: str, name: str) -> str:
    key = f"many_{code}"
    if key not in st.session_state:
        st.session_state[key] = preset(code, "test")
    value: str = st.session_state[key]
    return st.text_area(name, value, height=68, key=key, persist_state="session") or ""


def _begin(order: Order) -> Speaking:
    return Speaking(service(), order, stream=False, patience_s=_PATIENCE_S)


def _speeches() -> dict[str, Speaking]:
    speeches: dict[str, Speaking] = st.session_state.get("many", {})
    return speeches


@st.fragment(run_every=0.5)
def _follow() -> None:
    """Show the table as it fills; run the whole page again once all have ended."""
    speeches = _speeches().values()
    done = sum(speaking.ended for speaking in speeches)
    if done == len(speeches):
        st.rerun()
    st.progress(done / len(speeches), text=t("many.done", done=done, all=len(speeches)))
    if press.button(t("work.cancel"), key="many_cancel", icon=":material/cancel:"):
        for speaking in speeches:
            speaking.cancel()
    _table()


def _table() -> None:
    if not _speeches():
        return
    for column, name in zip(
        st.columns(_WIDTHS), ("language", "speech", "length", "factor"), strict=True
    ):
        column.markdown(
            f"**{t(f'many.{name}')}**", help=t("many.factor_help") if name == "factor" else None
        )
    for code, speaking in _speeches().items():
        with st.container(key=f"many_row_{code}"):
            _row(code, speaking)
    _show_again()


def _show_again() -> None:
    """Show buttons that repeat the failed ones and download the audio in one file."""
    speeches = _speeches()
    if not all(speaking.ended for speaking in speeches.values()):
        return
    failed = [code for code, speaking in speeches.items() if speaking.failure is not None]
    with st.container(horizontal=True):
        if failed and press.button(t("many.retry"), icon=":material/refresh:", key="many_retry"):
            for code in failed:
                speeches[code] = _begin(speeches[code].order)
            st.rerun()
        st.download_button(
            t("many.download"),
            data=partial(_zipped, dict(speeches)),
            file_name="languages.zip",
            mime="application/zip",
            on_click="ignore",
            icon=":material/download:",
            key="many_download",
        )


def _zipped(speeches: Mapping[str, Speaking]) -> bytes:
    """Return a ZIP file with what was spoken."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for code, speaking in speeches.items():
            if speaking.whole:
                file.writestr(f"{code}.wav", speaking.wav())
    return content.getvalue()


def _row(code: str, speaking: Speaking) -> None:
    name, audio, length, factor = st.columns(_WIDTHS, vertical_alignment="center")
    name.write(languages().get(code, code))
    if speaking.failure is not None:
        audio.error(refusal_text(speaking.failure), icon=":material/error:")
        return
    if not speaking.whole:
        audio.caption(t("many.waiting", seconds=number(speaking.took_s, 0)))
        return
    with audio:
        st.audio(speaking.wav(), alt=t("many.speech_in", language=languages().get(code, code)))
        if st.toggle(t("many.spectrogram"), key=f"many_spectrogram_{code}"):
            samples = samples_of(speaking.pcm())
            rate_hz = speaking.head.sample_rate_hz if speaking.head else 24_000
            caption = t("many.spectrogram_of", language=languages().get(code, code))
            st.image(spectrogram(samples, rate_hz), caption=caption, width="stretch")
    length.write(f"{number(speaking.seconds)} s")
    factor.write(number((speaking.synthesis_s or speaking.took_s) / speaking.seconds, 2))
