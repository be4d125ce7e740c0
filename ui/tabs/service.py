"""Tab 6: how the service is, how it speaks, and how to reach it from elsewhere."""

import re
from collections.abc import Mapping
from typing import Any, Final

import streamlit as st

from ui import shared
from ui.client.order import text_type
from ui.errors import Refusal
from ui.tabs.quick import text_and_language
from ui.text.curl_command import form_command
from ui.translations import number, t
from ui.widgets import dialogue, library, options, press, provenance, voices
from ui.widgets.languages import languages
from ui.widgets.notices import show_refusal
from ui.widgets.parameters import show_sliders

_ENDPOINTS: Final = (
    "GET /", "GET /health", "GET /livez", "GET /readyz", "GET /languages", "GET /metrics",
    "POST /synthesize", "POST /stream", "POST /normalize", "GET /requests/{id}/audio",
    "GET /requests/{id}/sentences", "GET /requests/{id}/subtitles.vtt", "DELETE /requests/{id}",
    "POST /jobs", "GET /jobs/{id}", "GET /jobs/{id}/events", "GET /jobs/{id}/audio",
    "GET /jobs/{id}/subtitles.vtt", "DELETE /jobs/{id}",
    "POST /voices", "GET /voices", "GET /voices/{id}", "PATCH /voices/{id}", "DELETE /voices/{id}",
    "PUT /voices/{id}/clips", "GET /voices/{id}/preview", "POST /provenance",
)  # fmt: skip


def show() -> None:
    """Show the tab."""
    about = shared.ABOUT.get()
    metrics = shared.METRICS.get()
    if isinstance(about, dict) and isinstance(metrics, str):
        _show_state(about, metrics)
    elif isinstance(about, Refusal):
        show_refusal(about)
    st.subheader(t("service.parameters"))
    st.caption(t("service.parameters_why"))
    show_sliders("service")
    with st.expander(t("provenance.title"), icon=":material/fingerprint:"):
        provenance.show()
    st.subheader(t("service.languages"))
    st.write(" · ".join(f"{name} (`{code}`)" for code, name in languages().items()))
    st.subheader(t("service.examples"))
    _show_examples()
    st.subheader(t("service.endpoints"))
    st.code("\n".join(_ENDPOINTS), language=None)
    st.link_button(
        t("service.metrics"), f"{shared.settings().shown_url}/metrics", icon=":material/monitoring:"
    )


def _show_state(about: Mapping[str, Any], metrics: str) -> None:
    st.subheader(t("service.state"))
    if press.button(t("service.refresh"), icon=":material/refresh:", key="service_refresh"):
        shared.ABOUT.refresh()
        shared.METRICS.refresh()
        st.rerun()
    workers, queue = (
        metric(metrics, "tts_workers", '"ready"'),
        metric(metrics, "tts_queue_depth", "TTS_SENTENCES"),
    )
    shown = {
        "engine": about.get("engine", "?"),
        "device": about.get("device", "?"),
        "version": about.get("version", "?"),
        "workers": f"{workers:.0f}",
        "queue": f"{queue:.0f}",
        "owed": f"{number(metric(metrics, 'tts_queued_audio_seconds'))} s",
    }
    columns = st.columns(3)
    for index, (name, value) in enumerate(shown.items()):
        columns[index % 3].metric(t(f"service.{name}"), value)


def metric(exposition: str, name: str, having: str = "") -> float:
    """Return the sum of a metric's samples, of those whose labels hold `having`, in Prometheus' text format."""
    lines = re.findall(rf"^{name}(?:{{([^}}]*)}})? (\S+)$", exposition, re.MULTILINE)
    return sum(float(value) for labels, value in lines if having in labels)


def _voice() -> tuple[dict[str, str], str | None]:
    """Return the field of the voice that the first tab has chosen, and the file of its recording, if it has one."""
    chosen = voices.chosen_key("quick") or voices.DEFAULT
    stored = library.voices_by_id()
    if chosen in stored:
        return {"voice": chosen}, None
    if chosen == voices.DEFAULT and voices.has_default(stored):
        return {}, None
    return {}, "voice.wav"


def _show_examples() -> None:
    url = shared.settings().shown_url
    voice, recording = _voice()
    text, language = text_and_language()
    fields = {
        "text": text,
        **text_type(text, dialogue.chosen("quick", text, language)),
        "language": language,
        **voice,
        **options.manner().fields(),
    }
    whole = form_command(
        f"{url}/synthesize", fields, recording=recording, after=" \\\n     -o speech.wav"
    )
    stream = form_command(
        f"{url}/stream",
        fields,
        recording=recording,
        after=" \\\n     -N | ffplay -nodisp -autoexit -",
    )
    st.caption(t("service.whole"))
    st.code(whole, language=None, wrap_lines=True)
    st.caption(t("service.stream"))
    st.code(stream, language=None, wrap_lines=True)
    st.caption(t("service.health"))
    st.code(f"curl {url}/health\ncurl {url}/languages\ncurl {url}/metrics", language=None)
