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


_COUNT_HTML: Final = '<div class="count" role="status" aria-live="off"></div>'
_COUNT_CSS: Final = """.count { font: 400 .875rem var(--st-font); color: var(--st-text-color); opacity: .7; }
.count.over { color: var(--st-red-text-color, #b00); opacity: 1; font-weight: 600; }"""
_COUNT_JS: Final = """export default function ({ data, parentElement }) {
  const shown = parentElement.querySelector(".count");
  let timer;
  const count = () => {
    const field = [...document.querySelectorAll("textarea")].find((each) => each.ariaLabel === data.field);
    if (!field) {
      timer = setTimeout(count, 100); // it is about to be shown
      return;
    }
    const length = [...field.value].length;
    const seconds = (length / data.rate).toFixed(1).replace(".", data.point);
    shown.textContent = data.text.replace("{count}", length).replace("{seconds}", seconds);
    shown.classList.toggle("over", length > data.most);
  };
  document.addEventListener("input", count);
  count();
  return () => {
    clearTimeout(timer);
    document.removeEventListener("input", count);
  };
}"""


@cache
def _count() -> "ComponentRenderer":
    return st.components.v2.component("live_count", html=_COUNT_HTML, css=_COUNT_CSS, js=_COUNT_JS)


def show_live_count(
    field: str, *, text: str, most: int, characters_per_second: float, point: str, key: str
) -> None:
    """Show a text field's length and estimated duration; `text` has `{count}` and `{seconds}`."""
    data = {
        "field": field,
        "text": text,
        "most": most,
        "rate": characters_per_second,
        "point": point,
    }
    _count()(key=key, data=data)


@cache
def _language() -> "ComponentRenderer":
    return st.components.v2.component(
        "page_language",
        js="export default function ({ data }) { document.documentElement.lang = data; }",
    )


def tell_language(tongue: str) -> None:
    """Tell the browser, and so its screen reader, in what language the page is."""
    _language()(key="page_language", data=tongue, height=1)
