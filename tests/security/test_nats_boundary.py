"""NATS is a boundary: all that a tenant may do, tried against everything that is not its own, on a real server.

A watcher listens in the services' account, in another tenant's and in the system's, and may hear all that is there. The
table of what was tried is in docs/deploy.md; `./task nats:boundary` writes it.
"""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import nats.errors
import nats.js.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.common.bus import topology
from services.common.bus.memory import matches
from services.common.bus.nats.accounts import SERVICE, shares, tenant_account
from services.common.bus.topology import stream_names
from services.common.wire import subjects
from tests.support.guarded import Guarded, guarded_nats

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "deploy.md"
BEGIN: Final = "<!-- what a tenant tried: written by `./task nats:boundary` -->"
END: Final = "<!-- end of what a tenant tried -->"

OWN, OTHER = "acme", "globex"
SECRET = b"what globex said"
VICTIM = "0123456789abcdef"  # a request of globex, whose id acme knows
GRANTS = [share for share in shares(OWN) if share.kind == "service"]
HEARD = [share for share in shares(OWN) if share.kind == "stream"]

# What an attacker might reach for: what it is -> subjects. `<ack>` and `<reply>` stand for real ones of the moment.
TARGETS: Final[dict[str, list[str]]] = {
    "another tenant's audio and events": [
        f"tts.v1.audio.{OTHER}.{VICTIM}.0.0",
        f"tts.v1.audio.{OTHER}.{VICTIM}.0.end",
        f"tts.v1.audio.{OTHER}.{VICTIM}.split",
        f"tts.v1.audio.{OTHER}.{VICTIM}.failed",
    ],
    "another tenant's requests, jobs, cancels, clips": [
        *(f"tts.v1.request.{OTHER}", f"tts.v1.door.request.{OTHER}", f"tts.v1.job.{OTHER}"),
        *(f"tts.v1.cancel.{OTHER}.{VICTIM}", f"tts.v1.normalize.{OTHER}", f"tts.v1.clip.{OTHER}"),
    ],
    "its own events, queue and jobs": [
        *(f"tts.v1.audio.{OWN}.{VICTIM}.0.0", f"tts.v1.door.request.{OWN}", f"tts.v1.job.{OWN}"),
    ],
    "sentences, dead letters, heartbeats": [
        *(f"tts.v1.sentence.tone.express.{OTHER}.{VICTIM}.0", f"tts.v1.sentence.tone.standard.{OTHER}.x.notanumber"),
        *(f"tts.v1.dead.tts.v1.request.{OTHER}", "tts.v1.worker.tone.forged", "tts.v1.splitter.forged"),
    ],
    "key-value buckets": [
        *("$KV.TTS_VOICES.tone.1.aaaa", f"$KV.TTS_KEPT.request.{OTHER}.{VICTIM}"),
        *(f"$KV.TTS_PROGRESS.job.{OTHER}.{VICTIM}", f"$KV.TTS_PROGRESS.clip.{OTHER}.aaaa.1"),
    ],
    "object stores": ["$O.TTS_CLIPS.C.aaaa", "$O.TTS_CLIPS.M.aaaa", "$O.TTS_RESULTS.C.aaaa", "$O.TTS_RESULTS.M.aaaa"],
    "JetStream's API: streams": [
        *(f"$JS.API.STREAM.{what}" for what in ("NAMES", "LIST", "CREATE.FORGED")),
        *(
            f"$JS.API.STREAM.{what}.{stream}"
            for what in ("INFO", "PURGE", "DELETE", "UPDATE", "MSG.GET", "MSG.DELETE", "SNAPSHOT", "RESTORE")
            for stream in ("TTS_AUDIO", "OBJ_TTS_CLIPS")
        ),
        *("$JS.API.STREAM.PEER.REMOVE.TTS_AUDIO", "$JS.API.STREAM.LEADER.STEPDOWN.TTS_AUDIO"),
    ],
    "JetStream's API: messages of others": [
        *("$JS.API.DIRECT.GET.TTS_AUDIO", f"$JS.API.DIRECT.GET.TTS_AUDIO.tts.v1.audio.{OTHER}.{VICTIM}.0.0"),
        f"$JS.API.DIRECT.GET.KV_TTS_KEPT.$KV.TTS_KEPT.request.{OTHER}.{VICTIM}",
    ],
    "JetStream's API: consumers": [
        "$JS.API.CONSUMER.CREATE.TTS_AUDIO",
        "$JS.API.CONSUMER.CREATE.TTS_REQUESTS.forged.tts.v1.request.>",
        *(f"$JS.API.CONSUMER.{what}.TTS_REQUESTS.splitter" for what in ("DURABLE.CREATE", "DELETE", "PAUSE", "INFO")),
        "$JS.API.CONSUMER.MSG.NEXT.TTS_REQUESTS.splitter",
    ],
    "JetStream's API: the account": ["$JS.API.INFO", "$JS.API.ACCOUNT.PURGE.TTS", "$JS.API.META.LEADER.STEPDOWN"],
    "flow control": ["$JS.FC.OBJ_TTS_CLIPS.aaaa.bbbb"],
    "the system": [
        *("$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING.CONNZ", "$SYS.REQ.ACCOUNT.TTS.CONNZ", "$SYS.REQ.USER.INFO"),
        *("$SYS.REQ.ACCOUNT.PING.STATZ", f"$SYS.ACCOUNT.{SERVICE}.CONNECT", "$SYS.REQ.SERVER.RELOAD"),
    ],
    "inboxes": [
        *(f"_INBOX_{role}.aaaa.bbbb" for role in ("edge", "splitter", "worker", "operator", f"tenant-{OTHER}")),
        "_INBOX.aaaa.bbbb",
    ],
    "acknowledgements, answers of the server's making": ["<ack>", "<reply>", "_R_.aaaa.bbbb", "_GR_.aaaa.bbbb.cccc"],
}
WILDCARDS: Final = [
    *(">", "*", "*.>", "tts.>", "tts.v1.>", "tts.v1.*.*", "tts.v1.audio.>", "tts.v1.audio.*.>", f"*.v1.audio.{OWN}.>"),
    *(f"tts.v1.audio.{OTHER}.>", f"tts.v1.request.{OTHER}", "tts.v1.request.*", "tts.v1.door.>", "tts.v1.cancel.*.*"),
    *("tts.v1.clip.*", "tts.v1.normalize.*", "tts.v1.splitter.*", "tts.v1.sentence.>", "tts.v1.job.*", "tts.v1.dead.>"),
    *("$KV.>", "$O.>", "$JS.>", "$JS.API.>", "$JS.ACK.>", "$JS.EVENT.>", "$SYS.>", "_R_.>", "_INBOX.>"),
    *(f"_INBOX_{role}.>" for role in ("edge", "splitter", "worker", "operator", f"tenant-{OTHER}")),
]
RESERVED: Final = ("$JS.ACK.", "_R_.", "_GR_.")  # the server takes no message whose reply subject begins so
HEADERS: Final[list[dict[str, str]]] = [
    {},
    {"Nats-Rollup": "all"},
    {"Nats-Rollup": "sub", "KV-Operation": "PURGE"},
    {"KV-Operation": "DEL", "Nats-TTL": "1s", "Nats-Marker-Reason": "Purge"},
    {"Nats-Msg-Id": VICTIM, "Nats-Expected-Stream": "TTS_REQUESTS"},
    {"Nats-Schedule": "@at 2020-01-01T00:00:00Z", "Nats-Schedule-Target": f"tts.v1.audio.{OTHER}.{VICTIM}.0.0"},
]
PAYLOADS: Final = [
    b"",
    b"forged",
    json.dumps({"last_by_subj": f"tts.v1.audio.{OTHER}.{VICTIM}.0.0"}).encode(),
    json.dumps({"multi_last": [f"tts.v1.audio.{OTHER}.>"], "batch": 100}).encode(),
    json.dumps({"seq": 1, "next_by_subj": ">"}).encode(),
]


@dataclass
class Watched:
    """What came to a client that hears everything in an account."""

    client: Client
    seen: list[Msg] = field(default_factory=list)

    async def watch(self) -> None:
        """Listen from now on."""

        async def note(message: Msg) -> None:
            self.seen.append(message)

        await self.client.subscribe(">", cb=note)
        await self.client.flush()


@dataclass
class Scene:
    """A server with tenants, services that answer, and those who watch."""

    guarded: Guarded
    attacker: Client
    service: Watched
    other: Watched
    system: Watched
    real: dict[str, str]  # what stands in a target -> a subject of the moment

    def targets(self) -> Iterator[tuple[str, str]]:
        """Yield what each target is, and its subject."""
        for what, listed in TARGETS.items():
            for subject in listed:
                yield what, self.real.get(subject, subject)

    async def settle(self) -> None:
        """Wait until all that was sent has arrived wherever it goes."""
        for _ in range(3):
            for client in (self.attacker, self.service.client, self.other.client, self.system.client):
                await client.flush()
            await asyncio.sleep(0.1)

    def strays(self) -> list[str]:
        """Return what came to where a tenant has no business."""
        own = [share.subject for share in GRANTS]
        allowed = [*own, "_R_.>", "_INBOX.>"]
        strays = [
            f"{SERVICE}: {message.subject}"
            for message in self.service.seen
            if not any(matches(pattern, message.subject) for pattern in allowed) and not _asked_by_the_test(message)
        ]
        strays += [f"{OTHER}: {message.subject}" for message in self.other.seen]
        targets = {subject for _, subject in self.targets()}
        return strays + [
            f"system: {message.subject}"
            for message in self.system.seen
            if message.subject in targets and not _asked_by_the_test(message)
        ]

    async def state(self) -> dict[str, object]:
        """Return what every stream and consumer holds."""
        stream = self.service.client.jetstream()
        found: dict[str, object] = {}
        for name in stream_names(topology.topology()):
            info = await stream.stream_info(name)
            kept = info.state
            found[name] = (kept.messages, kept.bytes, kept.first_seq, kept.last_seq, kept.consumer_count, info.config)
        taken = await stream.consumer_info(topology.REQUESTS, "splitter")
        found["splitter"] = (taken.num_ack_pending, taken.num_pending, taken.delivered, taken.ack_floor, taken.config)
        return found


def _asked_by_the_test(message: Msg) -> bool:
    """Return whether a message is a question of `Scene.state`, or JetStream's advisory of one."""
    subject, payload = message.subject, message.data
    if subject == "$JS.EVENT.ADVISORY.API":
        told = json.loads(payload)
        subject, payload = told["subject"], told.get("request", "").encode()
    asked = ("$JS.API.STREAM.INFO.*", "$JS.API.CONSUMER.INFO.*.*")
    return any(matches(pattern, subject) for pattern in asked) and payload in (b"", b"{}")


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    async with guarded_nats(folder, watched=True) as guarded:
        clients = [
            await guarded.client(f"tenant-{OWN}"),
            *[await guarded.watcher(account) for account in (SERVICE, tenant_account(OTHER), "SYS")],
            await guarded.watcher(SERVICE),
        ]
        attacker, service, other, system, answering = clients
        try:
            real = await populated(answering, other)
            made = Scene(guarded, attacker, Watched(service), Watched(other), Watched(system), real)
            for watched in (made.service, made.other, made.system):
                await watched.watch()
            yield made
        finally:
            for client in clients:
                await client.close()


async def populated(service: Client, other: Client) -> dict[str, str]:
    """Fill every stream with something of globex, answer as the services do, and return real subjects of the moment."""
    stream = service.jetstream()
    await stream.publish(f"tts.v1.audio.{OTHER}.{VICTIM}.0.0", SECRET)
    await stream.publish(f"tts.v1.audio.{OWN}.{VICTIM}.0.0", b"what acme said")
    await stream.publish(f"tts.v1.request.{OTHER}", SECRET)
    await stream.publish(f"tts.v1.request.{OTHER}", SECRET)
    await stream.publish(f"tts.v1.sentence.tone.express.{OTHER}.{VICTIM}.0", SECRET)
    await stream.publish(f"tts.v1.job.{OTHER}", SECRET)
    await stream.publish(f"tts.v1.dead.tts.v1.request.{OTHER}", SECRET)
    for place in (f"TTS_KEPT.request.{OTHER}.{VICTIM}", f"TTS_PROGRESS.job.{OTHER}.{VICTIM}", "TTS_VOICES.tone.1.aaaa"):
        await stream.publish(f"$KV.{place}", SECRET)
    await (await stream.object_store("TTS_CLIPS")).put(f"{OTHER}/clip", SECRET)
    [taken] = await (await stream.pull_subscribe("tts.v1.request.*", "splitter", stream="TTS_REQUESTS")).fetch(1)
    awaited: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def answer(message: Msg) -> None:
        if message.data == b"wait":
            if not awaited.done():
                awaited.set_result(message.reply)
        elif message.reply:
            await message.respond(b"an answer of the services")

    for subject in (subjects.INGRESS_REQUESTS, subjects.STORE_CLIPS, subjects.NORMALIZE):
        await service.subscribe(subject, queue="services", cb=answer)
    await service.flush()
    # A question of globex that is not answered yet: where its answer goes is a subject of the services' account.
    async with asyncio.timeout(20):
        while not awaited.done():  # core NATS: what is lost is asked again
            await other.publish(f"tts.v1.normalize.{OTHER}", b"wait", reply="_INBOX.waiting")
            await asyncio.sleep(0.2)
    return {"<ack>": taken.reply, "<reply>": awaited.result()}


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(tmp_path) as made:
        yield made


def local(share_subject: str) -> str:
    """Return a subject that a grant's filter allows."""
    return share_subject.replace("*", VICTIM).replace(">", f"{VICTIM}.0.0")


async def test_a_reply_subject_reaches_nobody_but_its_sender(stage: Scene) -> None:
    before = await stage.state()
    for grant in GRANTS:
        for _, target in stage.targets():
            for headers in HEADERS:
                payload = b"" if "DIRECT.GET" in grant.local else b"forged"
                await stage.attacker.publish(local(grant.local), payload, reply=target, headers=headers)
        await stage.settle()
    reserved = {target.lower() for _, target in stage.targets() if target.startswith(RESERVED)}
    assert {said.partition(' with reply of "')[2].rstrip('"') for said in stage.guarded.refused} == reserved
    assert stage.strays() == []
    assert len(stage.service.seen) > len(GRANTS) * len(list(stage.targets()))  # it did get as far as the services
    assert await stage.state() == before


async def test_a_trace_goes_nowhere_that_its_sender_may_not_publish(stage: Scene) -> None:
    before = await stage.state()
    for grant in GRANTS:
        for _, target in stage.targets():
            for headers in ({"Nats-Trace-Dest": target}, {"Nats-Trace-Dest": target, "Nats-Trace-Only": "true"}):
                await stage.attacker.publish(local(grant.local), b"", headers=headers)
    await stage.settle()
    assert stage.strays() == []
    assert await stage.state() == before


async def test_nothing_but_its_own_is_published(stage: Scene) -> None:
    before = await stage.state()
    for _, target in stage.targets():
        for headers in HEADERS:
            stage.guarded.refused.clear()
            await stage.attacker.publish(target, b"forged", headers=headers)
            await stage.attacker.flush()
            expected = f'nats: permissions violation for publish to "{target.lower()}"'
            await until(lambda expected=expected: expected in stage.guarded.refused)  # type: ignore[misc]
    await stage.settle()
    assert stage.strays() == []
    assert all(message.data != b"forged" for message in stage.service.seen)
    assert await stage.state() == before


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.002)


async def test_nothing_but_its_own_is_heard(stage: Scene) -> None:
    wanted = [*WILDCARDS, *(target for _, target in stage.targets())]
    heard: list[Msg] = []

    async def note(message: Msg) -> None:
        heard.append(message)

    for subject in wanted:
        for queue in ("", "edges", "splitters", "services"):
            stage.guarded.refused.clear()
            try:
                await stage.attacker.subscribe(subject, queue=queue, cb=note)
            except nats.errors.BadSubjectError:
                continue
            await stage.attacker.flush()
            if not any(matches(grant.local, subject) for grant in HEARD):
                await until(lambda: any("violation for subscription" in said for said in stage.guarded.refused))
    await speak_to_everybody(stage)
    assert [message.subject for message in heard if not message.subject.startswith(("tts.v1.worker.",))] == []


async def test_what_it_may_hear_is_its_own_and_taken_from_nobody(stage: Scene) -> None:
    heard: list[Msg] = []

    async def note(message: Msg) -> None:
        heard.append(message)

    for grant in HEARD:
        for queue in ("", "edges", "splitters"):
            await stage.attacker.subscribe(grant.local, queue=queue, cb=note)
    await stage.attacker.flush()
    stage.service.seen.clear()
    sent = await speak_to_everybody(stage)
    assert {message.subject for message in heard} == {f"tts.v1.audio.{OWN}.{VICTIM}.0.1", "tts.v1.worker.tone.w1"}
    assert [message.subject for message in stage.service.seen if message.subject in sent] == sent
    assert all(SECRET not in message.data for message in heard)


async def speak_to_everybody(stage: Scene) -> list[str]:
    """Publish, in the services' account, something of everything, and return where."""
    sent = [
        *(f"tts.v1.audio.{OTHER}.{VICTIM}.0.1", f"tts.v1.audio.{OWN}.{VICTIM}.0.1", f"tts.v1.cancel.{OTHER}.{VICTIM}"),
        *("tts.v1.worker.tone.w1", "tts.v1.splitter.s1", "_INBOX_edge.aaaa.bbbb", f"_INBOX_tenant-{OWN}.aaaa.bbbb"),
        *(f"tts.v1.request.{OWN}", f"$KV.TTS_VOICES.tone.1.{OWN}", "$O.TTS_CLIPS.C.cccc"),
    ]
    publisher = await stage.guarded.watcher(SERVICE)
    for subject in sent:
        await publisher.publish(subject, b"said" if OWN in subject else SECRET if OTHER in subject else b"state")
    await publisher.close()
    await stage.settle()
    return sent


async def test_stored_audio_of_others_is_not_read_whatever_is_asked(stage: Scene) -> None:
    answers: list[Msg] = []

    async def note(message: Msg) -> None:
        answers.append(message)

    inbox = f"_INBOX_tenant-{OWN}.aaaa.bbbb"
    await stage.attacker.subscribe(inbox, cb=note)
    get = f"$JS.API.DIRECT.GET.TTS_AUDIO.tts.v1.audio.{OWN}"
    for rest in (f"{VICTIM}.0.0", f"{VICTIM}.0.9", "*.0.0", "x.>", f"..{OTHER}.{VICTIM}.0.0", f"{VICTIM}.*.*"):
        for payload in PAYLOADS:
            await stage.attacker.publish(f"{get}.{rest}", payload, reply=inbox)
    await stage.settle()
    assert {message.data for message in answers if message.data} == {b"what acme said"}
    assert len(answers) > len(PAYLOADS)


async def test_the_table_of_what_was_tried_is_in_the_documentation() -> None:
    written = table()
    if os.environ.get("WRITE_TABLE"):
        before, _, rest = DOCUMENT.read_text().partition(BEGIN)
        DOCUMENT.write_text(f"{before}{BEGIN}\n{written}\n{END}{rest.partition(END)[2]}")
    content = DOCUMENT.read_text()
    assert BEGIN in content
    documented = content.partition(BEGIN)[2].partition(END)[0].strip()
    assert documented == written, "run ./task nats:boundary"


def table() -> str:
    """Return what the tests above try, in Markdown: they fail where anything else comes of it."""
    rows = ["| reached for | tried | published | as a reply subject | subscribed |", "|---|---|---|---|---|"]
    for what, listed in TARGETS.items():
        tried = " ".join(f"`{shown(subject)}`" for subject in listed)
        reply = "refused" if what.startswith("acknowledgements") else "stays with the sender"
        rows.append(f"| {what} | {tried} | refused | {reply} | refused |")
    wild = " ".join(f"`{subject}`" for subject in WILDCARDS)
    rows.append(f"| everything at once | {wild} | | | refused |")
    grants = ", ".join(f"`{grant.local}`" for grant in GRANTS)
    headers = ", ".join(sorted({f"`{name}`" for chosen in HEADERS for name in chosen} | {"`Nats-Trace-Dest`"}))
    return "\n".join(
        [
            f"Each as the user `tenant-{OWN}`, by each of its grants ({grants}), with and without {headers}; "
            "subscriptions with and without a queue group of the services. No stream, consumer, bucket or store "
            f"changed; the services, `{OTHER}` and the system account heard none of it.",
            "",
            *rows,
        ]
    )


def shown(subject: str) -> str:
    known = {"<ack>": "$JS.ACK.… (a real one)", "<reply>": "_R_.… (where another's answer goes)"}
    return known.get(subject, re.sub(VICTIM, "<request>", subject))
