"""The audio player: plays audio while it is produced, and shows the current sentence."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import streamlit as st

from ui.translations import t, tongue

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer

_FOLDER: Final = Path(__file__).with_name("components")
_HTML: Final = """<div class="player" data-testid="player"><div class="sentences" role="group" dir="auto"></div>
<p class="problem" role="alert" hidden></p><button type="button" class="retry" hidden></button>
<button type="button" class="toggle" hidden></button><span class="time"></span><div class="whole"></div></div>"""
_LABELS: Final = ("player", "pause", "resume", "failed", "retry", "sentences", "pause_elsewhere")


@cache
def _component() -> "ComponentRenderer":
    return st.components.v2.component(
        "player",
        html=_HTML,
        css=(_FOLDER / "player.css").read_text(encoding="utf-8"),
        js=(_FOLDER / "player.js").read_text(encoding="utf-8"),
    )


def play(url: str, *, key: str, live: bool, whole: bool, marks: str = "") -> None:
    """Show a player for the audio at this address.

    `live`: it starts automatically, with the available audio. `whole`: all audio is available: seeking works. `marks`:
    the address of the sentences and their ends.
    """
    _component()(
        key=key,
        data={
            "url": url,
            "live": live,
            "whole": whole,
            "marks": marks,
            "point": "," if tongue() == "fr" else ".",
            "labels": {name: t(f"player.{name}") for name in _LABELS},
        },
    )
