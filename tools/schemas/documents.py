"""The files of docs/schemas, by name."""

import json
import re
from typing import Any, Final

from tools.schemas.channels import CHANNELS, PARAMETERS, Channel
from tools.schemas.messages import Schema, kinds, references, schemas

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_ENCODING: Final = (
    "A message is one MessagePack map. The schemas describe it as JSON: a MessagePack `bin` value, such as `pcm`, is a "
    "base64 string here (`contentEncoding`). Unknown fields are allowed, except inside `parameters` and `consent`."
)
_TRACE: Final = {
    "type": "object",
    "properties": {
        "traceparent": {"type": "string", "description": "W3C Trace Context"},
        "tracestate": {"type": "string", "description": "W3C Trace Context"},
        "Nats-Msg-Id": {
            "type": "string",
            "description": "of a JetStream publish: request.<tenant>.<request> or job.<tenant>.<job>",
        },
    },
}


def documents() -> dict[str, str]:
    """Return the content of each file."""
    files = {f"{name}.json": schema for name, schema in _message_schemas().items()}
    files["asyncapi.json"] = asyncapi()
    return {name: json.dumps(content, indent=2) + "\n" for name, content in files.items()}


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document of all subjects and messages."""
    names = [kind.__name__ for kind in kinds()]
    commands = {name for each in CHANNELS if each.action == "receive" for name in each.messages}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Speech synthesis over NATS",
            "version": "1",
            "description": f"{_ENCODING} See docs/wire.md for the order of messages and the limits.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/vnd.msgpack",
        "servers": {"nats": {"host": "localhost:4222", "protocol": "nats"}},
        "channels": _channels(),
        "operations": {each.name: _operation(each) for each in CHANNELS},
        "components": {
            "messages": {name: _message(name, command=name in commands) for name in names},
            "schemas": schemas("#/components/schemas/{name}"),
        },
    }


def _message_schemas() -> dict[str, Schema]:
    """Return a self-contained schema for each message."""
    made = schemas("#/$defs/{name}")
    return {kind.__name__: _self_contained(kind.__name__, made) for kind in kinds()}


def _self_contained(name: str, made: dict[str, Schema]) -> Schema:
    needed: set[str] = set()
    found = references(made[name])
    while found - needed:
        needed |= found
        found = references([made[each] for each in needed])

    head = {
        "$schema": _DIALECT,
        "$id": f"urn:voice-cloning-pipeline:wire:v1:{name}",
        "$comment": _ENCODING,
    }
    definitions = {each: made[each] for each in sorted(needed)}
    return head | made[name] | ({"$defs": definitions} if definitions else {})


def _channels() -> dict[str, Any]:
    made = {each.name: _channel(each) for each in CHANNELS}
    replying = [each for each in CHANNELS if each.replies]
    inboxes = {f"{each.name}Reply": _inbox(each) for each in replying}
    return made | inboxes


def _channel(channel: Channel) -> dict[str, Any]:
    names = re.findall(r"{(\w+)}", channel.address)
    return {
        "address": channel.address,
        "summary": channel.summary,
        "parameters": {name: PARAMETERS[name] for name in names},
        "messages": _messages(channel.messages),
    }


def _inbox(channel: Channel) -> dict[str, Any]:
    """Return the channel of the replies: the inbox of each request."""
    summary = f"Replies to {' and '.join(channel.messages)}, on the reply subject of the request."
    return {"address": None, "summary": summary, "messages": _messages(channel.replies)}


def _messages(names: tuple[str, ...]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in names}


def _operation(channel: Channel) -> dict[str, Any]:
    made: dict[str, Any] = {
        "action": channel.action,
        "channel": {"$ref": f"#/channels/{channel.name}"},
        "summary": channel.summary,
    }
    if channel.queue:
        made["bindings"] = {"nats": {"queue": channel.queue}}
    if channel.replies:
        made["reply"] = {"channel": {"$ref": f"#/channels/{channel.name}Reply"}}
    return made


def _message(name: str, *, command: bool) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, "payload": {"$ref": f"#/components/schemas/{name}"}}
    return made | ({"headers": _TRACE} if command else {})
