"""The panel of one speech in every tab: progress, a stop button, the player, and the result."""

import streamlit as st

from ui.client.service import Order
from ui.client.speech import Speaking
from ui.shared import service
from ui.text.estimate import seconds_of
from ui.translations import number, t
from ui.widgets.notices import show_left_out, show_refusal
from ui.widgets.player import play


def begin(tab: str, order: Order, *, stream: bool) -> None:
    """Begin a speech, which replaces the one before."""
    if (before := speech(tab)) is not None and not before.ended:
        before.cancel()
    st.session_state[f"{tab}_speaking"] = Speaking(service(), order, stream=stream)


def speech(tab: str) -> Speaking | None:
    """Return the latest speech of this panel."""
    return st.session_state.get(f"{tab}_speaking")


def busy(tab: str) -> bool:
    """Return whether it is running."""
    running = speech(tab)
    return running is not None and not running.ended


def show(tab: str) -> None:
    """Show the speech of this panel, if there is one."""
    speaking = speech(tab)
    if speaking is None:
        return
    if not speaking.ended:
        _follow(tab, speaking)
    if speaking.failure is None and (speaking.stream or speaking.whole):
        play(
            f"/sound/{speaking.id}",
            key=f"{tab}_player",
            live=speaking.stream,
            whole=speaking.whole,
        )
    if speaking.failure is not None:
        show_refusal(speaking.failure)
    elif speaking.whole:
        _show_result(tab, speaking)


@st.fragment(run_every=0.3)
def _follow(tab: str, speaking: Speaking) -> None:
    """Show how far it is; run the whole page again once it has ended."""
    if speaking.ended:
        st.rerun()
    expected = seconds_of(speaking.order.text, speaking.order.language)
    done = min(speaking.seconds / expected, 0.99) if expected else 0.0
    st.progress(done, text=_status(speaking))
    if st.button(t("work.cancel"), key=f"{tab}_cancel", icon=":material/cancel:"):
        speaking.cancel()


def _status(speaking: Speaking) -> str:
    if speaking.cancelled.is_set():
        return t("work.cancelling")
    if speaking.first_after_s is None:
        return t("work.waiting", seconds=number(speaking.took_s))
    speaking.look()
    return t(
        "work.sounding",
        spoken=len(speaking.alignment.ends_s),
        sentences=len(speaking.alignment.spans) or "?",
        seconds=number(speaking.seconds),
        first=number(speaking.first_after_s, 2),
    )


def _show_result(tab: str, speaking: Speaking) -> None:
    first, total, length = st.columns(3)
    first.metric(t("work.first_sound"), f"{number(speaking.first_after_s or 0.0, 2)} s")
    total.metric(t("work.total"), f"{number(speaking.took_s)} s")
    length.metric(t("work.length"), f"{number(speaking.seconds)} s")
    if speaking.head and speaking.head.warning:
        st.warning(t("work.warning", warning=speaking.head.warning), icon=":material/warning:")
    if speaking.head:
        show_left_out(speaking.order.text, speaking.head.left_out)
    st.download_button(
        t("work.download_wav"),
        data=speaking.wav,
        file_name="speech.wav",
        mime="audio/wav",
        on_click="ignore",
        icon=":material/download:",
        key=f"{tab}_download",
    )
