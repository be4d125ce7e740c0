"""A language is known by its code, however people write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.wire.languages import LANGUAGES, language_code
from tests.support.cases import assert_each


def test_a_code_means_its_language_in_every_case_and_with_every_subtag() -> None:
    forms = ("{0}", "{1}", "{0}-{1}", "{0}_{1}", "{0}-Latn-{1}", "{0}_XX.UTF-8", "{1}-x-private")
    assert_each(
        [(form.format(code, code.upper()), code) for code in LANGUAGES for form in forms],
        language_code,
    )


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("zh-cn", "zh"),
        ("zh-CN", "zh"),
        ("zh_Hans", "zh"),
        ("zh-Hant-TW", "zh"),
        ("cmn", "zh"),
        ("pt-br", "pt"),
        ("fr-FR", "fr"),
        ("en_US", "en"),
        ("fra", "fr"),
        ("FRE", "fr"),
        ("deu-AT", "de"),
        ("ger", "de"),
        ("cze", "cs"),
        ("jpn", "ja"),
    ],
)
def test_tags_of_other_standards_mean_the_language(tag: str, code: str) -> None:
    assert language_code(tag) == code


@pytest.mark.parametrize(
    "tag",
    ["", "sv", "yue", "f", "french", "fr FR", "fr\n", "fr-", "fr--FR", "../fr", "fr;q=1", "ﬁ"],
)
def test_what_is_no_language_of_ours_is_none(tag: str) -> None:
    assert language_code(tag) is None


@given(st.text(max_size=40))
def test_any_text_is_a_language_of_ours_or_none(tag: str) -> None:
    assert language_code(tag) in {None, *LANGUAGES}
