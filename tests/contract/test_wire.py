"""The bytes of the public contract: a change here is one for all on the bus, and version 1 only allows additions."""

import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import msgpack
import msgspec
import pytest

from services.common.wire import codec, failures, messages
from services.common.wire.failures import MalformedMessage, PipelineError
from services.common.wire.messages import (
    AudioChunk,
    JobProgress,
    Message,
    NormalizeText,
    SentenceJob,
    SpeechRequest,
    TextSplit,
    WorkerState,
)
from services.common.wire.options import AS_USUAL, Parameters, TextOptions
from services.common.wire.parameters import RANGES
from services.common.wire.parts import (
    Chapter,
    EngineBacklog,
    LeftOut,
    Portion,
    Span,
    Speaker,
    SpokenWord,
    WordTime,
)
from tests.support.messages import EXAMPLES, REQUEST

GOLDEN = Path(__file__).parent / "golden"
WIRE_DOC = Path(__file__).parents[2] / "docs" / "wire.md"

PLAIN: dict[str, dict[str, object]] = {  # fields that came with SSML, as they are without them
    "SpeechRequest": {"text_type": "text", "passages": ()},
    "SentenceJob": {"pause_before_ms": 0},
    "TextSplit": {"languages": (), "marks": ()},
}


def name(message: Message) -> str:
    return type(message).__name__


def fields(message: Message) -> dict[str, object]:
    content = msgpack.unpackb(codec.encode(message))
    assert isinstance(content, dict)
    return content


@pytest.mark.parametrize("message", EXAMPLES, ids=name)
def test_a_message_has_the_bytes_of_version_1(message: Message) -> None:
    assert codec.encode(message).hex() == (GOLDEN / f"{name(message)}.hex").read_text().strip()


@pytest.mark.parametrize("message", EXAMPLES, ids=name)
def test_the_bytes_of_version_1_are_read(message: Message) -> None:
    golden = bytes.fromhex((GOLDEN / f"{name(message)}.hex").read_text())
    assert codec.decode(golden, type(message)) == message


@pytest.mark.parametrize(
    "earlier", sorted((GOLDEN / "before_parameters").glob("*.hex")), ids=lambda path: path.stem
)
def test_bytes_from_before_there_were_parameters_are_read_as_if_none_was_set(earlier: Path) -> None:
    [now] = [message for message in EXAMPLES if name(message) == earlier.stem]
    none = {} if earlier.stem == "WorkerState" else AS_USUAL
    decoded = codec.decode(bytes.fromhex(earlier.read_text()), type(now))
    whole = {"first_sentence": 0} if earlier.stem == "SpeechRequest" else {}
    assert decoded == msgspec.structs.replace(
        now, parameters=none, **whole, **PLAIN.get(earlier.stem, {})
    )


def test_bytes_from_before_resuming_are_read_as_of_a_whole_text() -> None:
    earlier = bytes.fromhex((GOLDEN / "before_first_sentence" / "SpeechRequest.hex").read_text())
    assert codec.decode(earlier, SpeechRequest) == msgspec.structs.replace(
        EXAMPLES[0], first_sentence=0, **PLAIN["SpeechRequest"]
    )


def test_a_splitter_from_before_admission_by_audio_is_understood() -> None:
    earlier = bytes.fromhex((GOLDEN / "before_admission" / "SplitterState.hex").read_text())
    [now] = [message for message in EXAMPLES if name(message) == "SplitterState"]
    decoded = codec.decode(earlier, type(now))
    assert decoded == msgspec.structs.replace(now, due_audio_s={}, taken=())


@pytest.mark.parametrize("message", [SpeechRequest, NormalizeText])
def test_messages_with_a_text_have_every_text_option(message: type[msgspec.Struct]) -> None:
    fields = {field.name: field for field in msgspec.structs.fields(message)}
    for option in msgspec.structs.fields(TextOptions):
        assert fields[option.name] == option


def test_a_request_from_before_normalization_is_verbalized() -> None:
    earlier = bytes.fromhex((GOLDEN / "before_spoken_forms" / "SpeechRequest.hex").read_text())
    assert codec.decode(earlier, SpeechRequest).spoken_forms
    assert codec.decode(earlier, SpeechRequest).pronunciations == {}


def test_a_letter_from_before_there_were_traces_is_read_as_of_none() -> None:
    earlier = bytes.fromhex((GOLDEN / "before_traces" / "DeadLetter.hex").read_text())
    [now] = [message for message in EXAMPLES if name(message) == "DeadLetter"]
    assert codec.decode(earlier, type(now)) == msgspec.structs.replace(now, trace="")


@pytest.mark.parametrize(
    "earlier", sorted((GOLDEN / "before_ssml").glob("*.hex")), ids=lambda path: path.stem
)
def test_bytes_from_before_there_was_ssml_are_read_as_of_a_plain_text_in_one_language(
    earlier: Path,
) -> None:
    [now] = [message for message in EXAMPLES if name(message) == earlier.stem]
    decoded = codec.decode(bytes.fromhex(earlier.read_text()), type(now))
    assert decoded == msgspec.structs.replace(now, **PLAIN[earlier.stem])


def test_a_voice_is_sent_only_instead_of_clips() -> None:
    [job] = [message for message in EXAMPLES if isinstance(message, SentenceJob)]
    [split] = [message for message in EXAMPLES if isinstance(message, TextSplit)]
    [progress] = [message for message in EXAMPLES if isinstance(message, JobProgress)]
    [worker] = [message for message in EXAMPLES if isinstance(message, WorkerState)]
    for message in (EXAMPLES[0], job, split, progress):
        assert "voice" not in fields(message)
        named = msgspec.structs.replace(message, voice="builtin:af_heart")
        assert fields(named) == fields(message) | {"voice": "builtin:af_heart"}
        assert codec.decode(codec.encode(named), type(message)) == named
    assert not {"voices", "default_voices"} & fields(worker).keys()
    assert "parameters" not in fields(split)
    filled = msgspec.structs.replace(split, parameters=Parameters(speed=1.5))
    assert fields(filled) == fields(split) | {"parameters": {"speed": 1.5}}
    assert codec.decode(codec.encode(filled), TextSplit) == filled


HEART = Speaker(name="Anna", voice="builtin:af_heart")


@pytest.mark.parametrize("kind", [SpeechRequest, NormalizeText, TextSplit])
def test_voices_that_a_text_names_are_sent_only_where_there_are_some(
    kind: type[SpeechRequest] | type[NormalizeText] | type[TextSplit],
) -> None:
    [message] = [message for message in EXAMPLES if isinstance(message, kind)]
    assert not {"voices", "speakers"} & fields(message).keys()
    named = msgspec.structs.replace(message, voices=(HEART,))
    voices = [{"name": "Anna", "voice": "builtin:af_heart"}]
    assert fields(named) == fields(message) | {"voices": voices}
    assert codec.decode(codec.encode(named), kind) == named
    if isinstance(named, TextSplit):
        spoken = msgspec.structs.replace(named, speakers=(1, 0))
        assert fields(spoken) == fields(named) | {"speakers": [1, 0]}
        assert codec.decode(codec.encode(spoken), kind) == spoken


@pytest.mark.parametrize(
    "voices",
    [
        [],
        [{"name": "Anna"}],
        [{"name": "", "voice": "Anna"}],
        [{"name": "A\nb", "voice": "Anna"}],
        [{"name": str(number), "voice": "Anna"} for number in range(33)],
    ],
)
def test_voices_without_a_name_or_too_many_are_refused(voices: object) -> None:
    with pytest.raises(MalformedMessage, match="voices"):
        codec.decode(msgpack.packb(fields(EXAMPLES[0]) | {"voices": voices}), SpeechRequest)


WITH_WORDS = {
    "SentenceJob": {"words": (SpokenWord(3, 7, 0, 20), SpokenWord(8, 12, 21, 25))},
    "SentenceSpoken": {
        "words": (WordTime(3, 7, 1_200, 24_000), WordTime(8, 12, 25_200, 31_000)),
        "word_times": "measured",
    },
}


@pytest.mark.parametrize("kind", WITH_WORDS)
def test_words_have_the_bytes_of_version_1_and_are_sent_only_where_there_are_some(
    kind: str,
) -> None:
    [message] = [example for example in EXAMPLES if name(example) == kind]
    assert not WITH_WORDS[kind].keys() & fields(message).keys()
    filled = msgspec.structs.replace(message, **WITH_WORDS[kind])
    golden = (GOLDEN / "with_words" / f"{kind}.hex").read_text().strip()
    assert codec.encode(filled).hex() == golden
    assert codec.decode(bytes.fromhex(golden), type(message)) == filled


WITH_TITLES = {
    "SpeechRequest": {
        "title": "Alice in Wonderland",
        "chapters": (Chapter("I. Down the Rabbit-Hole", 0), Chapter("II. The Pool of Tears", 11)),
    },
    "JobProgress": {
        "title": "Alice in Wonderland",
        "language": "en",
        "characters": 144_000,
        "begun_unix_ms": 1_790_000_000_000,
        "ended_unix_ms": 1_790_000_900_000,
        "revision": 2,
        "chapters": 12,
    },
}


@pytest.mark.parametrize("kind", WITH_TITLES)
def test_what_a_list_of_jobs_shows_has_the_bytes_of_version_1_and_is_optional(kind: str) -> None:
    [message] = [example for example in EXAMPLES if name(example) == kind]
    assert not WITH_TITLES[kind].keys() & fields(message).keys()
    filled = msgspec.structs.replace(message, **WITH_TITLES[kind])
    golden = (GOLDEN / "with_titles" / f"{kind}.hex").read_text().strip()
    assert codec.encode(filled).hex() == golden
    assert codec.decode(bytes.fromhex(golden), type(message)) == filled


def test_the_origin_of_a_job_has_the_bytes_of_version_1_and_is_optional() -> None:
    [message] = [example for example in EXAMPLES if isinstance(example, JobProgress)]
    assert not {"origin", "label"} & fields(message).keys()
    filled = msgspec.structs.replace(message, origin="request", label="my-drafts_1")
    golden = (GOLDEN / "with_origin" / "JobProgress.hex").read_text().strip()
    assert codec.encode(filled).hex() == golden
    assert codec.decode(bytes.fromhex(golden), JobProgress) == filled


def test_the_backlog_by_engine_has_the_bytes_of_version_1_and_is_not_sent_by_earlier_releases() -> (
    None
):
    [message] = [example for example in EXAMPLES if name(example) == "SplitterState"]
    assert "by_engine" not in fields(message)
    by_engine = {
        "embedded": EngineBacklog(8.0, {"public": 5.0}),
        "xtts": EngineBacklog(4.5, {"public": 4.5}),
    }
    filled = msgspec.structs.replace(message, by_engine=by_engine)
    golden = (GOLDEN / "with_engines" / "SplitterState.hex").read_text().strip()
    assert codec.encode(filled).hex() == golden
    assert codec.decode(bytes.fromhex(golden), type(message)) == filled


def test_the_engine_of_a_job_has_the_bytes_of_version_1_and_is_not_sent_by_earlier_releases() -> (
    None
):
    [message] = [example for example in EXAMPLES if name(example) == "JobProgress"]
    assert "engine" not in fields(message)
    filled = msgspec.structs.replace(message, engine="embedded")
    golden = (GOLDEN / "with_engines" / "JobProgress.hex").read_text().strip()
    assert codec.encode(filled).hex() == golden
    assert codec.decode(bytes.fromhex(golden), type(message)) == filled


def test_a_fault_has_the_bytes_of_version_1_and_is_optional() -> None:
    [message] = [example for example in EXAMPLES if name(example) == "SentenceSpoken"]
    assert "fault" not in fields(message)
    filled = msgspec.structs.replace(message, fault="loop")
    golden = (GOLDEN / "with_fault" / "SentenceSpoken.hex").read_text().strip()
    assert codec.encode(filled).hex() == golden
    assert codec.decode(bytes.fromhex(golden), type(message)) == filled


@pytest.mark.parametrize("title", ["", "x" * 201, "two\nlines", "a\u2028b", 7])
def test_a_title_is_one_line_of_at_most_200_characters(title: object) -> None:
    content = {**fields(EXAMPLES[0]), "title": title}
    with pytest.raises(MalformedMessage, match="title"):
        codec.decode(msgpack.packb(content), SpeechRequest)


def test_letters_that_are_left_out_are_sent_only_where_there_are_some() -> None:
    [whole] = [message for message in EXAMPLES if isinstance(message, TextSplit)]
    assert "left_out" not in fields(whole)
    some = msgspec.structs.replace(whole, left_out=LeftOut(5, (Span(2, 4), Span(9, 12))))
    spans = [{"start": 2, "end": 4}, {"start": 9, "end": 12}]
    assert fields(some) == {**fields(whole), "left_out": {"characters": 5, "spans": spans}}
    assert codec.decode(codec.encode(some), TextSplit) == some


def test_limits_and_estimates_of_audio_are_sent_only_where_there_are_some() -> None:
    [split] = [message for message in EXAMPLES if isinstance(message, TextSplit)]
    assert "max_audio_s" not in fields(EXAMPLES[0])
    assert "audio_s" not in fields(split)
    limited = msgspec.structs.replace(EXAMPLES[0], max_audio_s=60.0)
    assert fields(limited) == {**fields(EXAMPLES[0]), "max_audio_s": 60.0}
    assert codec.decode(codec.encode(limited), SpeechRequest) == limited
    estimated = msgspec.structs.replace(split, audio_s=12.5)
    assert codec.decode(codec.encode(estimated), TextSplit) == estimated


@pytest.mark.parametrize("tag", ["fr", "zh-cn", "zh_Hans", "pt-BR", "en_US", "fra", "fr_FR.UTF-8"])
def test_a_language_is_taken_as_people_write_it(tag: str) -> None:
    content = {
        **fields(EXAMPLES[0]),
        "language": tag,
        "passages": [{"start": 0, "end": 1, "language": tag}],
    }
    decoded = codec.decode(msgpack.packb(content), SpeechRequest)
    assert (decoded.language, decoded.passages[0].language) == (tag, tag)


def test_what_is_not_set_is_not_sent() -> None:
    request = msgspec.structs.replace(EXAMPLES[0], parameters=Parameters(speed=2.0))
    assert fields(request)["parameters"] == {"speed": 2.0}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", 0),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("temperature", "0.7"),
        ("top_k", 0),
        ("top_k", 10.5),
        ("top_p", 1.01),
        ("repetition_penalty", 0.9),
        ("length_penalty", -11),
        ("speed", 0.2),
        ("speed", True),
        ("gpt_cond_len", 2),
        ("gpt_cond_len", 31),
        ("loudness_lufs", -31),
        ("loudness_lufs", -11),
        ("loudness_lufs", "on"),
        ("temprature", 0.7),
    ],
)
def test_a_wrong_or_unknown_parameter_is_refused_by_its_name(field: str, value: object) -> None:
    content = {**fields(EXAMPLES[0]), "parameters": {field: value}}
    with pytest.raises(MalformedMessage, match=field):
        codec.decode(msgpack.packb(content), SpeechRequest)


def test_every_message_has_golden_bytes() -> None:
    kinds = {kind.__name__ for kind in Message.__subclasses__()}
    assert (
        kinds
        == {name(message) for message in EXAMPLES}
        == {path.stem for path in GOLDEN.glob("*.hex")}
    )


@pytest.mark.parametrize("message", EXAMPLES, ids=name)
def test_unknown_fields_are_tolerated(message: Message) -> None:
    newer = msgpack.packb({**fields(message), "added_in_a_later_release": [1, 2]})
    assert codec.decode(newer, type(message)) == message


@pytest.mark.parametrize("message", EXAMPLES, ids=name)
def test_a_missing_required_field_is_refused_by_name(message: Message) -> None:
    required = next(field.name for field in msgspec.structs.fields(type(message)) if field.required)
    content = fields(message)
    del content[required]
    with pytest.raises(MalformedMessage, match=required):
        codec.decode(msgpack.packb(content), type(message))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", "42"),
        ("seed", -1),
        ("seed", 2**63),
        ("seed", 1.5),
        ("text", b"bytes"),
        ("text", ""),
        ("clips", ["not a digest"]),
        ("clips", ["ab" * 32 + "\n"]),
        ("tenant", "a.b"),
        ("tenant", "*"),
        ("request", "short"),
        ("request", "with.a.dot.inside"),
        ("language", "french!"),
        ("language", "f"),
        ("deadline_unix_ms", None),
        ("type", "AudioChunk"),
        ("type", 7),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_field(field: str, value: object) -> None:
    content = {**fields(EXAMPLES[0]), field: value}
    with pytest.raises(MalformedMessage, match=field):
        codec.decode(msgpack.packb(content), SpeechRequest)


def test_a_refusal_never_quotes_the_text() -> None:
    content = {**fields(EXAMPLES[0]), "text": ["a very private text"]}
    with pytest.raises(MalformedMessage) as refused:
        codec.decode(msgpack.packb(content), SpeechRequest)
    assert "private" not in str(refused.value)


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xc1", b"\x81", b"{}", b"\x80\x80", b"\x92\x01\x02", b"\xff" * 10, b"\xd9\xff"],
)
def test_bytes_that_are_no_message_are_refused(payload: bytes) -> None:
    with pytest.raises(MalformedMessage):
        codec.decode(payload, SpeechRequest)


def test_a_union_is_read_by_its_type_field() -> None:
    for message in EXAMPLES:
        if isinstance(message, messages.RequestEvent):
            assert codec.decode(codec.encode(message), messages.RequestEvent) == message  # type: ignore[arg-type]


def test_audio_travels_as_bytes_not_as_numbers() -> None:
    chunk = next(message for message in EXAMPLES if isinstance(message, AudioChunk))
    assert chunk.pcm in codec.encode(chunk)


def test_a_malformed_request_still_names_its_owner() -> None:
    payload = msgpack.packb({"type": "SpeechRequest", "request": REQUEST, "text": 7})
    assert codec.peek_request(payload) == REQUEST
    assert codec.peek_request(msgpack.packb({"request": "tts.>"})) is None
    assert codec.peek_request(b"\xc1") is None
    assert codec.peek_request(msgpack.packb([1])) is None
    assert codec.peek_request(msgpack.packb({"request": 7})) is None
    assert codec.peek_request(msgpack.packb({"request": REQUEST, "nested": [{"a": 1}]})) == REQUEST


def many_fields() -> bytes:
    fields = (b"\xa6" + b"%06d" % number + b"\x80" for number in range(1_000_000))
    return b"\xdf" + (1_000_000).to_bytes(4) + b"".join(fields)


@pytest.mark.parametrize(
    "make",
    [
        many_fields,
        lambda: b"\x81\xa1a\xdd" + (8_000_000).to_bytes(4) + b"\x80" * 8_000_000,
        lambda: b"\x81\xa7request\xdd" + (8_000_000).to_bytes(4) + b"\x80" * 8_000_000,
        lambda: b"\x81\xa7request" + b"\x91" * 8_000_000,
    ],
    ids=["many fields", "many values", "many values as its id", "nesting"],
)
def test_nothing_is_built_of_a_message_to_find_its_owner(make: Callable[[], bytes]) -> None:
    payload = make()
    tracemalloc.start()
    try:
        assert codec.peek_request(payload) is None
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 100_000


def test_the_documentation_names_every_failure_code_with_its_status() -> None:
    expected = {
        (kind.code, kind.http_status)
        for kind in PipelineError.__subclasses__()
        if kind.__module__ == failures.__name__
    }
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", WIRE_DOC.read_text(), re.MULTILINE)
    assert len(expected) > 12
    assert expected - {(code, int(status)) for code, status in rows} == set()


def rows_of(section_title: str) -> dict[str, str]:
    """Return a section's table: what is in its first column, and the rest of the row."""
    _, _, after = WIRE_DOC.read_text().partition(f"### {section_title}\n")
    section = after.partition("\n### ")[0].partition("\n## ")[0]
    return {line.split("`")[1]: line for line in section.splitlines() if line.startswith("| `")}


@pytest.mark.parametrize("kind", Message.__subclasses__(), ids=lambda kind: kind.__name__)
def test_the_documentation_names_every_field_of_every_message(kind: type[Message]) -> None:
    assert set(rows_of(kind.__name__)) == {field.name for field in msgspec.structs.fields(kind)}


def test_the_documentation_gives_every_parameter_its_range() -> None:
    documented = rows_of("Parameters")
    assert set(documented) == set(RANGES)
    for parameter, allowed in RANGES.items():
        kind = "integer" if allowed.whole else "float"
        assert f"| {kind}, {allowed.lowest:g} to {allowed.highest:g} |" in documented[parameter]


def test_a_request_for_a_portion_adds_fields_that_others_do_not_send() -> None:
    [request] = [message for message in EXAMPLES if isinstance(message, SpeechRequest)]
    assert not {"portion_s", "first_lane"} & fields(request).keys()
    asked = msgspec.structs.replace(request, portion_s=60.0, first_lane="standard")
    assert fields(asked) == fields(request) | {"portion_s": 60.0, "first_lane": "standard"}
    assert codec.decode(codec.encode(asked), SpeechRequest) == asked
    [split] = [message for message in EXAMPLES if isinstance(message, TextSplit)]
    told = msgspec.structs.replace(split, portion=Portion(0, 1))
    assert fields(told) == fields(split) | {"portion": {"first": 0, "until": 1}}


@pytest.mark.parametrize("kind", [SpeechRequest, SentenceJob])
def test_the_watermark_of_a_request_is_a_field_that_earlier_releases_do_not_send(
    kind: type[SpeechRequest] | type[SentenceJob],
) -> None:
    [message] = [message for message in EXAMPLES if isinstance(message, kind)]
    assert "watermark" not in fields(message)
    marked = msgspec.structs.replace(message, watermark="voice-cloning-1")
    assert fields(marked) == fields(message) | {"watermark": "voice-cloning-1"}
    assert codec.decode(codec.encode(marked), kind) == marked


@pytest.mark.parametrize("portion_s", [0, -1, 1e9, float("nan"), float("inf"), "60"])
def test_a_portion_of_no_or_endless_audio_is_refused(portion_s: object) -> None:
    content = fields(EXAMPLES[0]) | {"portion_s": portion_s}
    with pytest.raises(MalformedMessage):
        codec.decode(msgpack.packb(content), SpeechRequest)
