"""The estimate of a text's audio, on which admission is based."""

from dataclasses import replace

import pytest

from services.common.wire.options import Parameters, TextOptions
from services.http_edge.errors import BadRequest
from services.http_edge.intake.forms.form import Form
from services.http_edge.intake.text import understood

WORDS = "a" * 13 + " "  # 14 characters: a second


def form(
    text: str, *, pronunciations: dict[str, str] | None = None, speed: float = 1.0, **fields: str
) -> Form:
    return Form(
        text=text, language=fields.get("language", "en"), uploads=(), seed=None, parameters=Parameters(speed=speed),
        options=TextOptions(
            pronunciations=pronunciations or {},
            text_type="ssml" if text.startswith("<") else "text",
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        (form(WORDS * 10), 10),
        (form(WORDS * 10, speed=0.25), 40),
        (form(WORDS * 1_000), 1_000),
        (form("雪" * 45, language="zh"), 10),
        (form("a\n\n" * 100), 73.6),
        (form("SQL " * 70, pronunciations={"SQL": "structured query language"}), 130),
        (form("MySQL " * 70, pronunciations={"SQL": "structured query language"}), 30),
        (form("重庆" * 45, language="zh", pronunciations={"重庆": "重庆重庆"}), 40),
        (form(f"<speak>{WORDS * 10}</speak>"), 10),
        (form(f'<speak>{WORDS}<break time="10s"/>{WORDS}</speak>'), 12),
        (form(f'<speak><prosody rate="25%">{WORDS * 10}</prosody></speak>'), 40),
        (
            form(f'<speak><prosody rate="25%">{WORDS * 10}</prosody></speak>', speed=0.25),
            40,
        ),  # no slower than 0.25
        (form(f'<speak>{WORDS * 10}<lang xml:lang="zh">{"雪" * 45}</lang></speak>'), 20),
        (form(f'<speak><sub alias="{WORDS * 10}">x</sub></speak>'), 10),
    ],
    ids=lambda value: "" if isinstance(value, Form) else str(value),
)
async def test_pauses_pronunciations_languages_and_speed_count(asked: Form, seconds: float) -> None:
    assert (await understood(asked)).audio_s == pytest.approx(seconds, rel=0.05)


async def test_each_paragraph_counts_in_its_own_language() -> None:
    english = "It was a bright cold day in April, and the clocks were striking thirteen. " * 4
    chinese = "雪又下了，夜里起了风，他们都在屋子里等着天亮。" * 4
    both = await understood(form(f"{english}\n\n{chinese}", language="auto"))
    assert both.audio_s == pytest.approx(len(english) / 14 + len(chinese) / 4.5 + 0.6, rel=0.05)


async def test_the_names_of_the_voices_that_speak_are_found() -> None:
    dialogue = replace(
        form("Anna: Yes.\nPaul: No."),
        options=TextOptions(text_type="dialogue"),
        voices={"Paul": "low", "Anna": "high", "Eve": "low"},
    )
    assert (await understood(dialogue)).names == ("Anna", "Paul")
    document = form('<speak>a <voice name="low">b</voice></speak>')
    assert (await understood(document)).names == ("", "low")
    assert (await understood(form(WORDS))).names == ("",)
    with pytest.raises(BadRequest, match="no line of the text begins with a name"):
        await understood(replace(dialogue, voices={"Eve": "low"}))
