"""A click counts once, also if the run of the script that it began is replaced by another one."""

from streamlit.testing.v1 import AppTest


def _page() -> None:
    import streamlit as st

    from ui.widgets import press

    if st.session_state.pop("replaced", False):
        st.rerun()
    if not st.session_state.get("hidden", False):
        st.session_state["clicks"] += press.button("Go", key="go")
    with st.form("form"):
        st.session_state["submits"] += press.submit_button("Save", key="save")
    press.forget()


def shown() -> AppTest:
    app = AppTest.from_function(_page, default_timeout=60)
    app.session_state["clicks"] = app.session_state["submits"] = 0
    return app.run()


def counts(app: AppTest) -> tuple[int, int]:
    assert not app.exception
    return app.session_state["clicks"], app.session_state["submits"]


def test_a_click_counts_once() -> None:
    app = shown()
    assert counts(app) == (0, 0)
    assert counts(app.button[0].click().run()) == (1, 0)
    assert counts(app.run()) == (1, 0)
    assert counts(app.button[1].click().run()) == (1, 1)
    assert counts(app.run()) == (1, 1)


def test_a_click_is_not_lost_with_the_run_that_it_began() -> None:
    app = shown()
    app.session_state["replaced"] = True
    assert counts(app.button[0].click().run()) == (1, 0)
    app.session_state["replaced"] = True
    assert counts(app.button[1].click().run()) == (1, 1)


def test_a_click_on_a_button_that_is_not_shown_any_longer_is_forgotten() -> None:
    app = shown()
    app.session_state["hidden"] = True
    app.button[0].click().run()
    app.session_state["hidden"] = False
    assert counts(app.run()) == (0, 0)
