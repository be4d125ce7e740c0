"""The consent to use a voice of this session: given once, shown in every tab."""

from streamlit.testing.v1 import AppTest


def _two_tabs() -> None:
    import streamlit as st

    from ui.audio.looks import Quality
    from ui.audio.recorded import RecordedVoice
    from ui.widgets.voices import consent

    voice = RecordedVoice("Anna", b"clip", "key", "M0 0", Quality(8.0, 30.0, 0.0, 0.5))
    for tab in ("first", "second"):
        st.write(f"{tab}: {consent(voice, tab)}")


def _shown(page: AppTest) -> list[str]:
    return [text.value for text in page.markdown]


def test_a_consent_given_in_one_tab_counts_in_every_tab() -> None:
    page = AppTest.from_function(_two_tabs).run()
    assert _shown(page) == ["first: False", "second: False"]

    page.checkbox[0].check().run()
    assert _shown(page) == ["first: True", "second: True"]


def test_an_outdated_box_of_another_tab_does_not_withdraw_a_consent() -> None:
    page = AppTest.from_function(_two_tabs).run()
    page.checkbox[0].check().run()

    outdated = page.checkbox[1]
    outdated.proto.disabled = False  # the browser has not shown the latest run yet
    outdated.uncheck().run()
    assert _shown(page) == ["first: True", "second: True"]


def test_a_consent_is_withdrawn_where_it_was_given() -> None:
    page = AppTest.from_function(_two_tabs).run()
    page.checkbox[1].check().run()

    page.checkbox[1].uncheck().run()
    assert _shown(page) == ["first: False", "second: False"]
