"""docs/schemas: current, complete, and right about the golden bytes."""

import base64
import json
from pathlib import Path
from typing import Any, get_args

import msgpack
import pytest
from jsonschema import Draft202012Validator

from services.common.wire import codec, subjects
from services.common.wire.messages import Message
from tests.support.messages import EXAMPLES
from tools.schemas.__main__ import FOLDER
from tools.schemas.channels import CHANNELS
from tools.schemas.documents import asyncapi, documents
from tools.schemas.messages import kinds, schemas

GOLDEN = Path(__file__).parent / "golden"
SUBJECTS = {kind for each in get_args(subjects.Parsed) for kind in get_args(each) or (each,)}
PLACEHOLDERS = {
    "tenant": "acme",
    "request": "0123456789",
    "sentence": "3",
    "chunk": "7",
    "engine": "tone",
    "lane": "express",
    "worker": "worker-1",
    "splitter": "splitter-1",
    "subject": "tts.v1.request.acme",
    "job": "0123456789",
    "voice": "v_0pqv3fjo00abcdefghij",
}


def as_json(value: object) -> object:
    """Return a MessagePack value as the schemas describe it: bytes in base64."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list):
        return [as_json(inner) for inner in value]
    if isinstance(value, dict):
        return {name: as_json(inner) for name, inner in value.items()}
    return value


def schema_of(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return schema


def test_the_files_are_those_of_the_types() -> None:
    committed = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.json")}
    assert committed == documents(), "run ./task schemas"


@pytest.mark.parametrize("path", sorted(GOLDEN.rglob("*.hex")), ids=lambda path: path.stem)
def test_golden_bytes_have_their_schema(path: Path) -> None:
    content = msgpack.unpackb(bytes.fromhex(path.read_text()))
    schema = schema_of(path.stem)
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(as_json(content))


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_a_schema_refuses_what_the_codec_refuses(message: Message) -> None:
    validator = Draft202012Validator(schema_of(type(message).__name__))
    content = as_json(msgpack.unpackb(codec.encode(message)))
    assert isinstance(content, dict)
    assert validator.is_valid({**content, "added_in_a_later_release": 1})
    for field in validator.schema["required"]:
        assert not validator.is_valid({**content, field: {"not": "this"}}), field
        del (without := dict(content))[field]
        assert not validator.is_valid(without), field


def test_every_subject_is_a_channel_with_the_messages_that_are_sent_there() -> None:
    parsed = {each: subjects.parse(each.address.format_map(PLACEHOLDERS)) for each in CHANNELS}
    found = {type(subject) for subject in parsed.values() if subject is not None}
    assert found == SUBJECTS

    buckets = [each.address for each, subject in parsed.items() if subject is None]
    assert buckets == [
        "$KV.TTS_PROGRESS.job.{tenant}.{job}",
        "$KV.TTS_LIBRARY.voice.{tenant}.{voice}",
    ]


def test_every_message_is_on_a_channel() -> None:
    on_channels = {name for each in CHANNELS for name in (*each.messages, *each.replies)}
    assert on_channels == {kind.__name__ for kind in kinds()}


def test_every_reference_leads_somewhere() -> None:
    document = asyncapi()

    def follow(value: object) -> None:
        if isinstance(value, list):
            for inner in value:
                follow(inner)
        if isinstance(value, dict):
            if isinstance(target := value.get("$ref"), str):
                found = document
                for name in target.removeprefix("#/").split("/"):
                    found = found[name]
            for inner in value.values():
                follow(inner)

    follow(document)


def test_every_field_of_a_message_is_described_as_in_the_documentation() -> None:
    made = schemas("{name}")
    seeds = made["SpeechRequest"]["properties"]["seed"]
    assert seeds["description"] == "equal requests with equal seeds produce equal audio"
    assert "\\\\Z" not in json.dumps(made), "a pattern is of ECMA 262"
