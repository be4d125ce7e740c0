"""The panel of one speech in every tab: progress, a stop button, the player, and the result."""

import streamlit as st

from ui.client.service import Order
from ui.client.speech import Speaking
from ui.shared import service
from ui.text.estimate import seconds_of
from ui.translations import number, t
from ui.widgets.notices import show_left_out, show_refusal
from ui.widgets.player import play


def begin(place: str, order: Order, *, stream: bool) -> None:
    """Begin a speech, which replaces the one before."""
    if (before := speech(place)) is not None and not before.ended:
        before.cancel()
    st.session_state[f"{place}_speaking"] = Speaking(service(), order, stream=stream)


def speech(place: str) -> Speaking | None:
    """Return the latest speech of this panel."""
    return st.session_state.get(f"{place}_speaking")


def busy(place: str) -> bool:
    """Return whether it is running."""
    running = speech(place)
    return running is not None and not running.ended


def show(place: str) -> None:
    """Show the speech of this panel, if there is one."""
    speaking = speech(place)
    if speaking is None:
        return
    if not speaking.ended:
        _follow(place, speaking)
    if speaking.failure is None and (speaking.stream or speaking.whole):
        play(
            f"/sound/{speaking.id}",
            key=f"{place}_player",
            live=speaking.stream,
            whole=speaking.whole,
        )
    if speaking.failure is not None:
        show_refusal(speaking.failure)
    elif speaking.whole:
        _show_result(place, speaking)


@st.fragment(run_every=0.3)
def _follow(place: str, speaking: Speaking) -> None:
    """Show how far it is; run the whole page again once it has ended."""
    if speaking.ended:
        st.rerun()
    expected = seconds_of(speaking.order.text, speaking.order.language)
    done = min(speaking.seconds / expected, 0.99) if expected else 0.0
    st.progress(done, text=_status(speaking))
    if st.button(t("work.cancel"), key=f"{place}_cancel", icon=":material/cancel:"):
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


def _show_result(place: str, speaking: Speaking) -> None:
    first, total, sound = st.columns(3)
    first.metric(t("work.first_sound"), f"{number(speaking.first_after_s or 0.0, 2)} s")
    total.metric(t("work.total"), f"{number(speaking.took_s)} s")
    sound.metric(t("work.length"), f"{number(speaking.seconds)} s")
    if speaking.heard and speaking.heard.warning:
        st.warning(t("work.warning", warning=speaking.heard.warning), icon=":material/warning:")
    if speaking.heard:
        show_left_out(speaking.order.text, speaking.heard.left_out)
    st.download_button(
        t("work.download_wav"),
        data=speaking.wav,
        file_name="speech.wav",
        mime="audio/wav",
        on_click="ignore",
        icon=":material/download:",
        key=f"{place}_download",
    )
