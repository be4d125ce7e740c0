"""The audio player: plays audio while it is produced, and shows the current sentence."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict

import streamlit as st

from ui.translations import t, tongue

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer

_FOLDER: Final = Path(__file__).with_name("components")
_HTML: Final = """<div class="player" data-testid="player"><div class="sentences" role="group" dir="auto"></div>
<p class="problem" role="alert" hidden></p><button type="button" class="retry" hidden></button>
<p class="stopped" hidden><span></span> <button type="button"></button></p>
<button type="button" class="toggle" hidden></button><span class="time"></span><div class="whole"></div>
<ol class="chapters" hidden></ol></div>"""
_LABELS: Final = (
    "player",
    "pause",
    "resume",
    "failed",
    "retry",
    "sentences",
    "pause_elsewhere",
    "chapters",
    "stopped",
    "restart",
)


class PlayedChapter(TypedDict):
    """A chapter in a player's list."""

    title: str
    begins: float | None  # in the audio, in seconds; None: it is not spoken yet
    length: str  # to show
    href: str  # where it is downloaded from; empty: nowhere
    download: str  # name of that link for screen readers


@cache
def _component() -> "ComponentRenderer":
    return st.components.v2.component(
        "player",
        html=_HTML,
        css=(_FOLDER / "player.css").read_text(encoding="utf-8"),
        js=(_FOLDER / "player.js").read_text(encoding="utf-8"),
    )


def play(
    url: str,
    *,
    key: str,
    live: bool,
    whole: bool,
    marks: str = "",
    remembered: str = "",
    chapters: Sequence[PlayedChapter] = (),
) -> None:
    """Show a player for the audio at this address.

    `live`: it starts automatically, with the available audio. `whole`: all audio is available: seeking works. `marks`:
    the address of the sentences and their ends. `remembered`: the name under which the browser stores where the user
    stopped; empty: it does not.
    """
    _component()(
        key=key,
        data={
            "url": url,
            "live": live,
            "whole": whole,
            "marks": marks,
            "remembered": remembered,
            "chapters": chapters,
            "point": "," if tongue() == "fr" else ".",
            "labels": {name: t(f"player.{name}", time="{time}") for name in _LABELS},
        },
    )
