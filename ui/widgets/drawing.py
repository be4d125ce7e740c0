"""Small things that Streamlit has no element for: a waveform in the page's colours, a count while one types."""

from functools import cache
from typing import TYPE_CHECKING, Final

import streamlit as st

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer

_HTML: Final = """<svg role="img" viewBox="0 0 640 64" preserveAspectRatio="none">
<path fill="none" stroke="currentColor" stroke-width="2.4"/></svg>"""
_CSS: Final = "svg { width: 100%; height: 56px; color: var(--st-primary-color); display: block; }"
_JS: Final = """export default function ({ data, parentElement }) {
  parentElement.querySelector("svg").setAttribute("aria-label", data.label);
  parentElement.querySelector("path").setAttribute("d", data.path);
}"""


@cache
def _component() -> "ComponentRenderer":
    return st.components.v2.component("waveform", html=_HTML, css=_CSS, js=_JS)


def draw_waveform(path: str, label: str, *, key: str) -> None:
    """Show a path of 640 by 64 units; the label is for those who do not see it."""
    _component()(key=key, data={"path": path, "label": label})


_COUNT_HTML: Final = '<div class="count"></div>'
_COUNT_CSS: Final = """.count { font: 400 .875rem var(--st-font); color: var(--st-text-color); }
.count.over { color: var(--st-red-text-color, #b00); font-weight: 600; }"""
_COUNT_JS: Final = """export default function ({ data, parentElement }) {
  const shown = parentElement.querySelector(".count");
  let counted;
  const count = () => {
    const field = [...document.querySelectorAll("textarea")].find((each) => each.ariaLabel === data.field);
    if (!field || field.value === counted) return;
    counted = field.value;
    const length = [...counted].length;
    const lasts = duration(length / data.rate, data.point);
    shown.textContent = data.text.replace("{count}", length).replace("{duration}", lasts);
    shown.classList.toggle("over", Boolean(data.most) && length > data.most);
  };
  document.addEventListener("input", count);
  const timer = setInterval(count, 250); // the field may be shown later, and the page may fill it: without an event
  count();
  return () => {
    clearInterval(timer);
    document.removeEventListener("input", count);
  };
}

function duration(seconds, point) {
  const whole = Math.round(seconds);
  if (whole < 60) return `${seconds.toFixed(1).replace(".", point)} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(whole / 3600)} h ${String(Math.floor(whole / 60) % 60).padStart(2, "0")} min`;
}"""


@cache
def _count() -> "ComponentRenderer":
    return st.components.v2.component("live_count", html=_COUNT_HTML, css=_COUNT_CSS, js=_COUNT_JS)


def show_live_count(
    field: str, *, text: str, most: int = 0, characters_per_second: float, point: str, key: str
) -> None:
    """Show a text field's length and estimated duration; `text` has `{count}` and `{duration}`.

    `most`: the greatest length that is accepted; 0: any.
    """
    data = {
        "field": field,
        "text": text,
        "most": most,
        "rate": characters_per_second,
        "point": point,
    }
    _count()(key=key, data=data)
