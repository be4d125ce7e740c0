"""Speaks one sentence of a finished job again: in a result, a history entry or a reading."""

from collections.abc import Callable
from typing import Final

import streamlit as st

from ui import shared
from ui.client.jobs import all_sentences
from ui.client.order import Manner
from ui.client.redo import MOST_CHARACTERS, Redoing, SentenceRedo, StoredSentence, matching
from ui.errors import Refusal
from ui.text.pronunciations import parse_pronunciations
from ui.translations import number, t
from ui.widgets import press
from ui.widgets.choice import choose_one
from ui.widgets.frame import announce
from ui.widgets.notices import show_refusal
from ui.widgets.options import parse_seed

_MOST_LISTED: Final = 200
_SHOWN_CHARACTERS: Final = 80


def show(job_id: str, *, tab: str, ssml: bool, replaced: Callable[[], None]) -> None:
    """Show a closed box in which a sentence of a job that is done is chosen, changed and spoken again.

    `ssml`: the job's text is SSML, so the words of the sentence are sent. `replaced` runs after a sentence was
    replaced, before the page is run again: it fetches what the caller shows of the job.
    """
    with st.expander(
        t("redo.title"), icon=":material/replay:", on_change="rerun", key=f"{tab}_redo_{job_id}"
    ) as box:
        if not box.open:
            return
        st.caption(t("redo.intro"))
        redoing: Redoing | None = st.session_state.get(_running(job_id))
        if redoing is not None:
            st.fragment(_follow, run_every=None if redoing.ended else 0.5)(redoing, replaced)
        try:
            sentences = _sentences(job_id)
        except Refusal as refusal:
            show_refusal(refusal)
            return
        sentence = _chosen(job_id, tab, sentences)
        if sentence is not None:
            _show_form(job_id, tab, sentence, ssml=ssml)


def _running(job_id: str) -> str:
    return f"redoing_{job_id}"


def _follow(redoing: Redoing, replaced: Callable[[], None]) -> None:
    """Show that the sentence is being spoken, and once how it ended."""
    number_shown = redoing.redo.index + 1
    if not redoing.ended:
        st.progress(0.0, text=t("redo.running", number=number_shown))
        return
    if redoing.failure is not None:
        show_refusal(redoing.failure)
        return
    done = t("redo.done", number=number_shown, seconds=number(redoing.seconds), seed=redoing.seed)
    taken = f"redone_{redoing.redo.job_id}"
    if st.session_state.get(taken) is not redoing:
        st.session_state[taken] = redoing
        st.session_state.pop(_stored(redoing.redo.job_id), None)
        announce(done)
        try:
            replaced()
        except Refusal as refusal:
            show_refusal(refusal)
            return
        st.rerun()
    st.success(done, icon=":material/check:")


def _stored(job_id: str) -> str:
    return f"redo_sentences_{job_id}"


def _sentences(job_id: str) -> tuple[StoredSentence, ...]:
    """Return the sentences of the job, which are fetched once for each revision. Raises Refusal."""
    sentences: tuple[StoredSentence, ...] | None = st.session_state.get(_stored(job_id))
    if sentences is None:
        sentences = tuple(map(StoredSentence.of, all_sentences(shared.service(), job_id)))
        st.session_state[_stored(job_id)] = sentences
    return sentences


def _chosen(job_id: str, tab: str, sentences: tuple[StoredSentence, ...]) -> StoredSentence | None:
    """Show the list of sentences, with a search if they are many; return the chosen one."""
    listed = sentences
    if len(sentences) > _MOST_LISTED:
        words = st.text_input(t("redo.search"), key=f"{tab}_redo_search_{job_id}")
        listed = matching(sentences, words, _MOST_LISTED)
        if not listed:
            st.caption(t("redo.not_found"))
            return None
    labels = {str(each.index): _label(each) for each in listed}
    chosen = choose_one(
        t("redo.sentence"),
        labels,
        remembered=f"{tab}_redo_sentence_{job_id}",
        first=None,
        placeholder=t("redo.sentence"),
    )
    return next((each for each in listed if str(each.index) == chosen), None)


def _label(sentence: StoredSentence) -> str:
    text = sentence.text
    shown = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
    return f"{sentence.index + 1}. {shown}" + (f" ({t('redo.redone')})" if sentence.redone else "")


def _show_form(job_id: str, tab: str, sentence: StoredSentence, *, ssml: bool) -> None:
    """Show the words, seed and pronunciations of the sentence, and the button that speaks it again."""
    key = f"{tab}_redo_{job_id}_{sentence.index}"
    words = st.text_area(
        t("redo.words"),
        value=sentence.text,
        max_chars=MOST_CHARACTERS,
        height=96,
        key=f"{key}_words_{hash(sentence.text)}",
    )
    seed = st.text_input(
        t("options.seed"), max_chars=19, placeholder=t("options.random"), key=f"{key}_seed"
    )
    pronunciations = st.text_area(
        t("options.pronunciations"),
        height=68,
        placeholder="SQL = sequel",
        help=t("options.pronunciations_help"),
        key=f"{key}_pronunciations",
    )
    if seed and parse_seed(seed) is None:
        st.warning(t("options.seed_wrong"), icon=":material/warning:")
    said, wrong = parse_pronunciations(pronunciations)
    if wrong:
        st.warning(
            t("options.pronunciations_wrong", lines=" · ".join(wrong)), icon=":material/warning:"
        )
    if press.button(t("redo.go"), icon=":material/replay:", key=f"{tab}_redo_go_{job_id}"):
        changed = ssml or words.strip() != sentence.text
        manner = Manner(seed=parse_seed(seed), pronunciations=said)
        _begin(SentenceRedo(job_id, sentence.index, words if changed else None, manner))


def _begin(redo: SentenceRedo) -> None:
    """Begin, unless a sentence of this job is being spoken."""
    running: Redoing | None = st.session_state.get(_running(redo.job_id))
    if running is not None and not running.ended:
        return
    if redo.words is not None and not redo.words.strip():
        st.error(t("refusal.empty_text"), icon=":material/error:")
        return
    st.session_state[_running(redo.job_id)] = Redoing(shared.service(), redo)
    announce(t("redo.running", number=redo.index + 1))
    st.rerun()
