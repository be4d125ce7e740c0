"""The UI estimates the length of audio with the speaking rates of the services."""

import pytest

from services.common.wire import estimate
from services.common.wire.languages import LANGUAGES
from ui.text.estimate import characters_per_second


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_ui_and_the_services_use_the_same_speaking_rate(language: str) -> None:
    assert characters_per_second(language) == estimate.characters_per_second(language)
