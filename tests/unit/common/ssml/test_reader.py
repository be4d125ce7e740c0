"""SSML is read as it is meant, or refused with the place and what to do."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.ssml.document import Border, Break, Document, DocumentMark, SayAs, TextRun
from services.common.ssml.reader import DEEPEST, MOST_ELEMENTS, MOST_MARKS, read_ssml
from services.common.wire.failures import MalformedSsml


def speak(content: str, attributes: str = "") -> str:
    return f"<speak{attributes}>{content}</speak>"


def pieces(document: Document) -> list[TextRun]:
    return [item for item in document.items if isinstance(item, TextRun)]


def test_text_keeps_its_offset_in_the_document_around_markup() -> None:
    source = speak("é&amp;\r\n<!-- none --><![CDATA[<b>]]>&#x1F600;<?pi x?>z 😀 y")
    found = pieces(read_ssml(source))
    assert [piece.text for piece in found] == ["é", "&", "\n", "<b>", "😀", "z 😀 y"]
    assert [source[piece.start : piece.end] for piece in found[:2]] == ["é", "&amp;"]
    assert source[found[-1].start : found[-1].end] == "z 😀 y"


def test_what_a_document_declares_changes_nothing() -> None:
    declared = (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<speak version="1.1" xmlns="http://www.w3.org/2001/10/synthesis"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="a b"'
        ' xml:lang="de-CH">Grüezi</speak>'
    )
    document = read_ssml(declared)
    assert document.text == "Grüezi"
    assert document.language == "de"
    assert document.languages() == ["de"]


def test_the_innermost_voice_speaks() -> None:
    document = read_ssml(
        speak('a<voice name=" Anna "><p>b<voice name="builtin:Heart">c</voice>d</p></voice>')
    )
    assert [(piece.text, piece.style.voice) for piece in pieces(document)] == [
        ("a", ""),
        ("b", "Anna"),
        ("c", "builtin:Heart"),
        ("d", "Anna"),
    ]
    assert document.voices() == ("", "Anna", "builtin:Heart")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("<voice>a</voice>", "needs the attribute name"),
        ('<voice name=" ">a</voice>', "needs the attribute name"),
        ('<voice name="Anna" gender="female">a</voice>', "not supported"),
        (f'<voice name="{"x" * 101}">a</voice>', "1 to 100 characters"),
        ("".join(f'<voice name="{number}">a</voice>' for number in range(33)), "more than 32"),
    ],
)
def test_a_voice_that_is_not_named_or_one_too_many_is_refused(content: str, why: str) -> None:
    with pytest.raises(MalformedSsml, match=why):
        read_ssml(speak(content))


def test_every_element_is_read() -> None:
    source = speak(
        '<p xml:lang="fr">a<s>b</s></p><break time="1.25s"/><sub alias="World Wide Web">WWW</sub>'
        '<say-as interpret-as="date" format="mdy">1/2/3</say-as><lang xml:lang="ja-JP">c</lang>'
        '<prosody rate="slow">d<prosody rate="150%">e</prosody></prosody><mark name="here"/>'
    )
    items = read_ssml(source).items
    assert [type(item) for item in items].count(Border) == 4
    assert [item.milliseconds for item in items if isinstance(item, Break)] == [1250]
    assert [item.name for item in items if isinstance(item, DocumentMark)] == ["here"]
    found = {piece.text: piece for piece in pieces(read_ssml(source))}
    assert (found["a"].style.language, found["a"].style.sentence) == ("fr", 0)
    assert (found["b"].style.language, found["b"].style.sentence) == ("fr", 1)
    assert source[found["World Wide Web"].start : found["World Wide Web"].end] == "WWW"
    assert found["1/2/3"].say_as == SayAs("date", "mdy")
    assert found["c"].style.language == "ja"
    assert (found["d"].style.rate, found["e"].style.rate) == (0.75, 1.5)


@pytest.mark.parametrize(
    ("attributes", "milliseconds"),
    [
        ('time="250ms"', 250),
        ('time="0s"', 0),
        ('time=".5s"', 500),
        ('time="+2s"', 2000),
        ('time="10s" strength="none"', 10_000),
        ('strength="none"', 0),
        ('strength="x-strong"', 1000),
        ("", 400),
    ],
)
def test_a_break_has_its_stated_length(attributes: str, milliseconds: int) -> None:
    [found] = read_ssml(speak(f"<break {attributes}/>")).items
    assert isinstance(found, Break)
    assert found.milliseconds == milliseconds


@pytest.mark.parametrize(
    ("value", "rate"),
    [("x-slow", 0.5), ("default", 1), ("80%", 0.8), ("+10%", 1.1), ("-25%", 0.75), ("400%", 4)],
)
def test_a_rate_is_a_share_of_the_usual_one(value: str, rate: float) -> None:
    [found] = pieces(read_ssml(speak(f'<prosody rate="{value}">x</prosody>')))
    assert found.style.rate == pytest.approx(rate)


REFUSED = [
    ("", "line 1, column 1.*no element"),
    ("Hello", "not XML"),
    ("<speak>\n  <b>x</speak>", "line 2, column 3.*not supported; the elements are speak, p, s"),
    ("<speak>\n</p></speak>", "line 2.*mismatched tag"),
    ("<speak>&nbsp;</speak>", r"line 1, column 8.*undefined entity; only &amp;"),
    ('<!DOCTYPE speak [<!ENTITY a "aaa">]><speak>&a;</speak>', "document type is not allowed"),
    ('<!DOCTYPE speak SYSTEM "http://example.org/x.dtd"><speak/>', "document type is not allowed"),
    (
        '<!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]><speak>&x;</speak>',
        "document type is not allowed",
    ),
    ("<p>x</p>", "outermost element is speak"),
    ("<speak><speak>x</speak></speak>", "outermost element is speak"),
    ("<speak><s>a<p>b</p></s></speak>", "p cannot be within s"),
    ("<speak><s>a<s>b</s></s></speak>", "s cannot be within s"),
    ("<speak><p>a<p>b</p></p></speak>", "p cannot be within p"),
    ('<speak><sub alias="x"><break/></sub></speak>', "sub holds no element"),
    ("<speak><sub>x</sub></speak>", "sub needs the attribute alias"),
    ("<speak><lang>x</lang></speak>", "lang needs the attribute xml:lang"),
    (
        '<speak><lang xml:lang="sv">x</lang></speak>',
        "xml:lang names no language that is spoken; the languages are fr",
    ),
    ('<speak><lang xml:lang="french">x</lang></speak>', "xml:lang"),
    (
        '<speak><prosody pitch="high" rate="fast">x</prosody></speak>',
        "attribute that is not supported; it takes rate",
    ),
    ('<speak><prosody rate="10%">x</prosody></speak>', "from 25% to 400%"),
    ('<speak><prosody rate="quick">x</prosody></speak>', "x-slow, slow"),
    ('<speak><break time="11s"/></speak>', "250ms or 1.5s, at most 10s"),
    ('<speak><break time="1"/></speak>', "250ms or 1.5s"),
    ('<speak><break strength="huge"/></speak>', "none, x-weak"),
    ('<speak><mark name="two words"/></speak>', "no space"),
    (speak('<break time="10s"/>' * 61), "longer than 600s"),
    (speak('<mark name="x"/>' * (MOST_MARKS + 1)), "more than 2000 marks"),
    (speak("<break/>" * MOST_ELEMENTS), "longer than 600s"),
    (speak("<s/>" * MOST_ELEMENTS), "more than 50000 elements"),
    (speak('<lang xml:lang="en">' * DEEPEST), "more than 32 deep"),
    (speak("\x00"), "not XML"),
    (speak("\ud800"), "not XML"),
]


@pytest.mark.parametrize(("source", "why"), REFUSED, ids=[why for _, why in REFUSED])
def test_unsupported_markup_is_refused_with_its_offset(source: str, why: str) -> None:
    with pytest.raises(MalformedSsml, match=r"^line \d+, column \d+ of the SSML: ") as refused:
        read_ssml(source)
    assert refused.match(why)


def test_a_refusal_does_not_tell_the_text() -> None:
    for bad in (
        "<speak>secret &secret;</speak>",
        "<speak><secret/></speak>",
        '<speak><s secret="secret"/></speak>',
    ):
        with pytest.raises(MalformedSsml) as refused:
            read_ssml(bad)
        assert "secret" not in str(refused.value)


ATTRIBUTES = st.sampled_from(
    (
        *(
            "",
            ' xml:lang="en"',
            ' time="1s"',
            ' time="x"',
            ' name="m"',
            ' rate="fast"',
            ' alias="&lt;b>"',
            " a=b",
        ),
        *(' interpret-as="digits"', ' strength="weak"', ' xmlns="x"', ' name="m" name="m"'),
    )
)
ELEMENTS = ("speak", "p", "s", "break", "sub", "say-as", "lang", "prosody", "mark", "voice", "é")
TAGS = st.builds(
    "<{}{}{}{}>".format,
    st.sampled_from(("", "/")),
    st.sampled_from(ELEMENTS),
    ATTRIBUTES,
    st.sampled_from(("", "/")),
)
NOISE = st.sampled_from(
    (
        "&amp;",
        "&#0;",
        "&#65;",
        "&nbsp;",
        "<!--",
        "-->",
        "<![CDATA[",
        "]]>",
        "<?x",
        "?>",
        "<!DOCTYPE s>",
        "<",
        ">",
    )
)
XML = st.lists(TAGS | NOISE | st.text(max_size=8), max_size=30).map("".join)


def read_or_refused(source: str) -> Document:
    try:
        return read_ssml(source)
    except MalformedSsml:
        with pytest.raises(MalformedSsml, match=r"^line \d+, column \d+ of the SSML: "):
            read_ssml(source)
        return Document()


@settings(max_examples=400, deadline=None)
@given(XML | XML.map(speak) | st.text(max_size=100))
def test_whatever_is_sent_is_read_or_refused_clearly(source: str) -> None:
    place = 0
    for piece in pieces(read_or_refused(source)):
        assert place <= piece.start <= piece.end <= len(source)
        place = piece.end


TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\t\n"), max_size=12
)


@st.composite
def documents(draw: st.DrawFn, depth: int = 3) -> tuple[str, str]:
    """Draw the content of a document that is right, and its text."""
    parts: list[tuple[str, str]] = []
    for _ in range(draw(st.integers(0, 4))):
        text = draw(TEXT.filter(lambda text: not {"\ufffe", "\uffff"} & set(text)))
        escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        inner, said = draw(documents(depth=depth - 1)) if depth else ("", "")
        parts.append(
            draw(
                st.sampled_from(
                    [
                        (escaped, text),
                        ('<break time="5ms"/>', ""),
                        ('<mark name="m"/>', ""),
                        (f'<lang xml:lang="de">{inner}</lang>', said),
                        (f'<prosody rate="fast">{inner}</prosody>', said),
                        (f'<say-as interpret-as="x">{escaped}</say-as>', text),
                    ]
                )
            )
        )
    return "".join(source for source, _ in parts), "".join(said for _, said in parts)


@settings(max_examples=200, deadline=None)
@given(documents())
def test_no_text_is_lost(drawn: tuple[str, str]) -> None:
    source, text = drawn
    assert read_ssml(speak(source)).text == text
