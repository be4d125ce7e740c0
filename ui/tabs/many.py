"""Tab 4: one voice in many languages at once."""

from typing import Final

import streamlit as st

from ui.audio.looks import spectrogram
from ui.audio.reading import samples_of
from ui.client.service import Order
from ui.client.speech import Speaking
from ui.presets import preset
from ui.shared import service
from ui.translations import number, t
from ui.widgets import voices
from ui.widgets.languages import languages
from ui.widgets.notices import refusal_text
from ui.widgets.parameters import chosen_parameters

_FIRST: Final = ("fr", "en", "es", "de")
_PATIENCE_S: Final = 180.0  # a small service does not admit seventeen at once
_WIDTHS: Final = (2, 5, 1, 1)


def show() -> None:
    """Show the tab."""
    st.write(t("many.intro"))
    voice = voices.choose("many")
    known = languages()
    chosen = st.pills(
        t("many.languages"),
        list(known),
        selection_mode="multi",
        default=[code for code in _FIRST if code in known],
        format_func=lambda code: known[code],
        key="many_languages",
    )
    with st.expander(t("many.texts")):
        texts = {
            code: st.text_area(known[code], preset(code, "test"), height=68, key=f"many_{code}")
            for code in chosen
        }
    running = any(not speaking.ended for speaking in _speeches().values())
    if (
        st.button(
            t("many.go"), type="primary", disabled=not (voice and chosen) or running, key="many_go"
        )
        and voice
    ):
        st.session_state["many"] = {
            code: Speaking(
                service(),
                Order(text, code, voice, chosen_parameters()),
                stream=False,
                patience_s=_PATIENCE_S,
            )
            for code, text in texts.items()
        }
        st.rerun()
    if running:
        _follow()
    else:
        _table()


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
    if st.button(t("work.cancel"), key="many_cancel", icon=":material/cancel:"):
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


def _row(code: str, speaking: Speaking) -> None:
    name, audio, length, factor = st.columns(_WIDTHS, vertical_alignment="center")
    name.write(languages().get(code, code))
    if speaking.failure is not None:
        audio.error(refusal_text(speaking.failure), icon=":material/error:")
        return
    if not speaking.whole:
        audio.caption(t("work.waiting", seconds=number(speaking.took_s)))
        return
    with audio:
        st.audio(speaking.wav())
        if st.toggle(t("many.spectrogram"), key=f"many_spectrogram_{code}"):
            samples = samples_of(speaking.pcm())
            rate_hz = speaking.head.sample_rate_hz if speaking.head else 24_000
            caption = t("many.spectrogram_of", language=languages().get(code, code))
            st.image(spectrogram(samples, rate_hz), caption=caption, width="stretch")
    length.write(f"{number(speaking.seconds)} s")
    factor.write(number((speaking.synthesis_s or speaking.took_s) / speaking.seconds, 2))
