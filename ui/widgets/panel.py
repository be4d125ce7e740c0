"""The panel of one speech: progress, a stop button, the player, and the result."""

from typing import Final

import streamlit as st

from ui.audio.encoding import FORMATS
from ui.client.order import Order
from ui.client.speech import Speaking
from ui.shared import service
from ui.text.estimate import seconds_of
from ui.translations import number, t
from ui.widgets import stored
from ui.widgets.frame import announce
from ui.widgets.notices import show_left_out, show_refusal, warning_text
from ui.widgets.player import play

_PATIENCE_S: Final = 120.0  # that a speech waits for its turn at a busy service


def begin(tab: str, order: Order, *, stream: bool, label: str = "") -> None:
    """Begin a speech, which replaces the one before. The same one is not begun twice while it runs.

    `label`: under which the service stores it; empty: it does not.
    """
    before = speech(tab)
    if before is not None and not before.ended:
        if before.order == order and before.stream == stream and not before.cancelled.is_set():
            return
        before.cancel()
    st.session_state[f"{tab}_speaking"] = Speaking(
        service(), order, stream=stream, patience_s=_PATIENCE_S, label=label
    )
    announce(t("work.begun"))


def drop(tab: str) -> None:
    """Forget the speech of this panel: it belongs to something that is no longer shown."""
    if (before := st.session_state.pop(f"{tab}_speaking", None)) is not None and not before.ended:
        before.cancel()


def speech(tab: str) -> Speaking | None:
    """Return the latest speech of this panel."""
    return st.session_state.get(f"{tab}_speaking")


def show(tab: str) -> None:
    """Show the speech of this panel, if there is one."""
    speaking = speech(tab)
    if speaking is None:
        return
    if not speaking.ended:
        _follow(tab, speaking)
    if speaking.failure is not None:
        show_refusal(speaking.failure)
    changed = stored.changed_reading(speaking)
    if changed is not None:
        stored.show_player(changed, tab)
    elif speaking.playable or (speaking.stream and not speaking.ended):
        play(
            f"/sound/{speaking.id}",
            key=f"{tab}_player",
            live=speaking.stream,
            whole=speaking.ended,
        )
    if speaking.playable:
        _show_result(tab, speaking)


@st.fragment(run_every=0.3)
def _follow(tab: str, speaking: Speaking) -> None:
    """Show how far it is; run the whole page again once it has ended."""
    if speaking.ended:
        st.rerun()
    st.progress(_done(speaking), text=_status(speaking))
    st.button(
        t("work.cancel"),
        key=f"{tab}_cancel",
        icon=":material/cancel:",
        on_click=speaking.cancel,
    )


def _done(speaking: Speaking) -> float:
    """Return the share that is done: of the sentences if the audio comes at once, else of its duration."""
    if not speaking.stream:
        count = len(speaking.alignment.spans)
        return len(speaking.alignment.ends_s) / count if count else 0.0
    expected = seconds_of(speaking.order.text, speaking.order.language)
    return min(speaking.seconds / expected, 0.99) if expected else 0.0


def _status(speaking: Speaking) -> str:
    if speaking.cancelled.is_set():
        return t("work.cancelling")
    if speaking.waits:
        return t("work.queued", seconds=number(speaking.took_s, 0))
    speaking.look()
    spoken = len(speaking.alignment.ends_s)
    sentences = len(speaking.alignment.spans) or "?"
    if not speaking.stream:
        return t(
            "work.making", spoken=spoken, sentences=sentences, seconds=number(speaking.took_s, 0)
        )
    if speaking.first_after_s is None:
        return t("work.waiting", seconds=number(speaking.took_s))
    return t(
        "work.sounding",
        spoken=spoken,
        sentences=sentences,
        seconds=number(speaking.seconds),
        first=number(speaking.first_after_s, 2),
    )


def _show_result(tab: str, speaking: Speaking) -> None:
    """Show what has come, which is all of it unless it failed or was cancelled."""
    changed = stored.changed_reading(speaking)
    if speaking.whole and changed is None:
        _announce_once(tab, speaking)
        _show_measured(speaking)
    if speaking.head and speaking.head.warning:
        st.warning(
            t("work.warning", warning=warning_text(speaking.head.warning)),
            icon=":material/warning:",
        )
    if speaking.head:
        show_left_out(speaking.order.text, speaking.head.left_out)
    if changed is not None:
        stored.show_downloads(changed, tab)
    else:
        _show_downloads(tab, speaking)
    st.caption(t("work.synthetic"))
    if speaking.label:
        stored.show(tab, speaking)


def _announce_once(tab: str, speaking: Speaking) -> None:
    """Announce the end of a speech, and not again when something else is announced after it."""
    if st.session_state.get(f"{tab}_announced") != speaking.id:
        st.session_state[f"{tab}_announced"] = speaking.id
        announce(t("work.done", seconds=number(speaking.seconds)))


def _show_downloads(tab: str, speaking: Speaking) -> None:
    with st.container(horizontal=True, key=f"{tab}_downloads"):
        for kind in FORMATS:
            st.link_button(
                t("work.download", kind=kind.upper()),
                f"/sound/{speaking.id}.{kind}",
                icon=":material/download:",
            )


def _show_measured(speaking: Speaking) -> None:
    measured = t(
        "work.measured",
        first=number(speaking.first_after_s or 0.0, 2),
        total=number(speaking.took_s),
        length=number(speaking.seconds),
    )
    seed = t("work.seed", seed=speaking.head.seed) if speaking.head else ""
    st.caption(measured + seed)
