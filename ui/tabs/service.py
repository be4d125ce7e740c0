"""Tab 5: how the service is, how it speaks, and how to reach it from elsewhere."""

import re
from collections.abc import Mapping
from typing import Any, Final

import streamlit as st

from ui import shared
from ui.errors import Refusal
from ui.translations import number, t
from ui.widgets import library, voices
from ui.widgets.languages import languages
from ui.widgets.notices import show_refusal
from ui.widgets.parameters import chosen_parameters, show_sliders

_ENDPOINTS: Final = (
    "GET /", "GET /health", "GET /livez", "GET /readyz", "GET /languages", "GET /metrics",
    "POST /synthesize", "POST /stream", "GET /requests/{id}/sentences", "DELETE /requests/{id}",
    "POST /jobs", "GET /jobs/{id}", "GET /jobs/{id}/audio", "DELETE /jobs/{id}",
    "POST /voices", "GET /voices", "GET /voices/{id}", "PATCH /voices/{id}", "DELETE /voices/{id}",
    "PUT /voices/{id}/clips", "GET /voices/{id}/preview",
)  # fmt: skip


def show() -> None:
    """Show the tab."""
    try:
        about, metrics = shared.service().about(), shared.service().metrics()
    except Refusal as refusal:
        show_refusal(refusal)
        return
    _show_state(about, metrics)
    st.subheader(t("service.parameters"))
    show_sliders(about.get("parameters", {}))
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
    st.button(t("service.refresh"), icon=":material/refresh:", key="service_refresh")
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


def _voice_fields() -> list[str]:
    """Return the arguments of the voice that the first tab has chosen; none for the default voice."""
    chosen = voices.chosen_key("quick") or voices.DEFAULT
    stored = library.voices_by_id()
    if chosen in stored:
        return [f"-F 'voice={chosen}'"]
    if chosen == voices.DEFAULT and voices.has_default(stored):
        return []
    return ["-F reference_audio=@voice.wav"]


def _show_examples() -> None:
    url = shared.settings().shown_url
    language = st.session_state.get("quick_language", "fr")
    text = " ".join(st.session_state.get("quick_text", "").split())[:200].replace("'", "’")
    fields = [f"-F 'text={text}'", f"-F language={language}", *_voice_fields()]
    fields += [f"-F {name}={value:g}" for name, value in chosen_parameters().items()]
    form = " \\\n     ".join(fields)
    st.caption(t("service.whole"))
    st.code(f"curl {url}/synthesize \\\n     {form} \\\n     -o speech.wav", language="bash")
    st.caption(t("service.stream"))
    st.code(f"curl -N {url}/stream \\\n     {form} | ffplay -nodisp -autoexit -", language="bash")
    st.caption(t("service.health"))
    st.code(f"curl {url}/health\ncurl {url}/languages\ncurl {url}/metrics", language="bash")
