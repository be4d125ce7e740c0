"""Finding and fetching the weights, with the real huggingface_hub and a real server on the loopback interface.

Each case is a separate process, because huggingface_hub reads its environment when it is imported.
"""

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import pytest

from services.synth_worker.engines.xtts.weights.location import RELEASE
from tests.support.hub_server import COMMIT, Hub, running_hub

CONFIG, VOCABULARY = b'{"model": "xtts"}', b'{"version": "1.0"}'
PART_BYTES = 10 << 20  # huggingface_hub writes to the disk in parts of that size
MODEL = bytes(range(251)) * (5 * PART_BYTES // 502)  # two and a half of them
SHA256 = hashlib.sha256(MODEL).hexdigest()
PROGRAM = """
import json, sys
from pathlib import Path
from services.common.wire.failures import EngineUnavailable
from services.synth_worker.engines.xtts.weights.location import WeightSettings, find_weights
asked = json.loads(sys.argv[1])
for name in ("model_dir", "records"):
    asked[name] = Path(asked[name]) if asked[name] else None
told = []
try:
    answer = {"folder": str(find_weights(WeightSettings(**asked), told.append))}
except EngineUnavailable as failure:
    answer = {"refusal": str(failure)}
print(json.dumps(answer | {"told": told}))
"""


class Answer(TypedDict, total=False):
    folder: str
    refusal: str
    told: list[str]


@dataclass(frozen=True)
class Machine:
    """A worker's machine: its hub cache and its own records."""

    home: Path
    hub: Hub

    @property
    def cache(self) -> Path:
        return self.home / "hub" / "models--coqui--XTTS-v2"

    @property
    def partial(self) -> Path:
        return self.cache / "blobs" / f"{SHA256}.partial"

    def start(
        self,
        *,
        model_dir: str = "",
        agreed: bool = True,
        environment: dict[str, str] | None = None,
        **settings: str,
    ) -> "subprocess.Popen[str]":
        asked = {
            "model_dir": model_dir,
            "agreed": agreed,
            "records": str(self.home / "records"),
            **settings,
        }
        surroundings = {
            "HF_ENDPOINT": self.hub.url,
            "HF_HOME": str(self.home),
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PROGRAM, json.dumps(asked)],
            env={**os.environ, **surroundings, **(environment or {})},
            stdout=subprocess.PIPE,
            text=True,
        )

    def find(self, **settings: Any) -> Answer:
        process = self.start(**settings)
        said, _ = process.communicate(timeout=60)
        answer: Answer = json.loads(said.splitlines()[-1])  # after log lines
        return answer

    def folder(self, **settings: Any) -> Path:
        return Path(self.find(**settings)["folder"])

    def refusal(self, **settings: Any) -> str:
        return self.find(**settings)["refusal"]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    files = {
        "config.json": CONFIG,
        "vocab.json": VOCABULARY,
        "model.pth": MODEL,
        "README.md": b"not needed",
    }
    with running_hub(Hub(files)) as hub:
        yield Machine(tmp_path / "home", hub)


def test_nothing_is_downloaded_before_the_licence_is_accepted(
    machine: Machine, tmp_path: Path
) -> None:
    for model_dir in ("", str(tmp_path)):
        refusal = machine.refusal(agreed=False, model_dir=model_dir)
        assert "Coqui Public Model License" in refusal
        assert "non-commercial" in refusal
        assert "https://coqui.ai/cpml" in refusal
        assert "COQUI_TOS_AGREED=1" in refusal
    assert machine.hub.asked == []


def test_the_weights_are_fetched_and_the_progress_reported(machine: Machine) -> None:
    answer = machine.find()
    folder = Path(answer["folder"])
    assert folder == machine.cache / "snapshots" / COMMIT
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "config.json": CONFIG,
        "vocab.json": VOCABULARY,
        "model.pth": MODEL,
    }
    told = answer["told"]
    assert told[0] == "asking the hub for the weights"
    assert "fetching the weights: 40 % of 0.03 GB" in told
    assert "fetching the weights: 100 % of 0.03 GB" in told
    assert told[-1] == "checking the weights"


def test_the_studio_speakers_are_fetched_with_the_weights_where_the_hub_has_them(
    machine: Machine,
) -> None:
    machine.hub.files["speakers_xtts.pth"] = b"speakers"
    folder = machine.folder()
    assert (folder / "speakers_xtts.pth").read_bytes() == b"speakers"
    machine.hub.asked.clear()
    assert machine.folder() == folder
    assert machine.hub.asked == []


def test_damaged_studio_speakers_are_refused(machine: Machine) -> None:
    machine.hub.files["speakers_xtts.pth"] = b"speakers"
    damaged = (machine.folder() / "speakers_xtts.pth").resolve()
    damaged.write_bytes(b"Speakers")
    assert f"{damaged} is damaged" in machine.refusal()


def test_files_that_are_there_need_no_network(machine: Machine) -> None:
    folder = machine.folder()
    machine.hub.asked.clear()
    assert machine.folder() == folder
    assert machine.folder(environment={"HF_HUB_OFFLINE": "1"}) == folder
    assert machine.hub.asked == []


def test_a_commit_can_be_requested(machine: Machine) -> None:
    assert machine.folder(revision=COMMIT).name == COMMIT


def test_other_weights_than_those_of_the_pinned_release_are_refused(machine: Machine) -> None:
    assert "another SHA-256 of model.pth" in machine.refusal(revision=RELEASE)


def test_a_token_is_sent_to_the_hub_only(machine: Machine) -> None:
    machine.folder(environment={"HF_TOKEN": "hf_secret"})
    assert (
        machine.hub.tokens[f"/{machine.hub.repository}/resolve/main/model.pth"]
        == "Bearer hf_secret"
    )
    assert machine.hub.tokens["/elsewhere/model.pth"] == ""


def test_a_folder_of_the_operator_is_used_as_it_is(machine: Machine, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("config.json", "vocab.json", "model.pth"):
        (folder / name).touch()
    folder.chmod(0o555)
    assert machine.folder(model_dir=str(folder)) == folder
    assert machine.hub.asked == []


def test_a_folder_of_the_operator_is_checked_against_the_sums_that_lie_in_it(
    machine: Machine, tmp_path: Path
) -> None:
    contents = {"config.json": CONFIG, "vocab.json": VOCABULARY, "model.pth": MODEL}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    lines = [
        f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in contents.items()
    ]
    (tmp_path / "SHA256SUMS").write_text("".join(lines))
    assert machine.folder(model_dir=str(tmp_path)) == tmp_path
    (tmp_path / "vocab.json").write_bytes(VOCABULARY.replace(b"1.0", b"1.1"))
    refusal = machine.refusal(model_dir=str(tmp_path))
    assert f"{tmp_path / 'vocab.json'} is damaged" in refusal
    assert "SHA256SUMS" in refusal


def test_a_folder_of_the_operator_that_lacks_files_is_refused(
    machine: Machine, tmp_path: Path
) -> None:
    (tmp_path / "config.json").touch()
    refusal = machine.refusal(model_dir=str(tmp_path))
    assert "lacks vocab.json, model.pth" in refusal
    assert "XTTS_MODEL_DIR" in refusal


def test_a_broken_connection_is_resumed_where_it_broke(machine: Machine) -> None:
    machine.hub.part_bytes = PART_BYTES * 3 // 2
    assert (machine.folder() / "model.pth").read_bytes() == MODEL
    resumed = [line for line in machine.hub.asked if " from " in line]
    assert resumed == [f"GET /elsewhere/model.pth from {PART_BYTES}"]


def test_a_process_that_is_killed_leaves_a_part_that_the_next_one_resumes(machine: Machine) -> None:
    machine.hub.part_bytes, machine.hub.parts = PART_BYTES * 3 // 2, 1
    process = machine.start()
    assert machine.hub.hangs.wait(30)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert machine.partial.stat().st_size == PART_BYTES
    machine.hub.part_bytes, machine.hub.parts = len(MODEL), 1
    machine.hub.asked.clear()
    assert (machine.folder() / "model.pth").read_bytes() == MODEL
    assert f"GET /elsewhere/model.pth from {PART_BYTES}" in machine.hub.asked


def test_two_workers_that_start_at_once_fetch_once(machine: Machine) -> None:
    processes = [machine.start() for _ in range(2)]
    answers = [json.loads(process.communicate(timeout=60)[0]) for process in processes]
    assert {answer["folder"] for answer in answers} == {str(machine.cache / "snapshots" / COMMIT)}
    assert machine.hub.asked.count("GET /elsewhere/model.pth") == 1


def test_a_worker_waits_for_another_that_fetches(machine: Machine) -> None:
    machine.partial.parent.mkdir(parents=True)
    with machine.partial.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        process = machine.start()
        while not machine.hub.asked:
            time.sleep(0.01)
        time.sleep(0.5)  # the hub has answered, and the worker stands before the lock
        file.write(MODEL)
        file.flush()
        machine.partial.rename(machine.partial.with_name(SHA256))
    answer: Answer = json.loads(process.communicate(timeout=60)[0])
    assert "waiting for another worker that fetches the weights" in answer["told"]
    assert (Path(answer["folder"]) / "model.pth").read_bytes() == MODEL
    assert "GET /elsewhere/model.pth" not in machine.hub.asked


def test_weights_that_arrive_damaged_never_get_into_the_cache(machine: Machine) -> None:
    machine.hub.told_sha256 = "b" * 64
    refusal = machine.refusal()
    assert "damaged" in refusal
    assert "SHA-256" in refusal
    assert [path.stat().st_size for path in (machine.cache / "blobs").iterdir()] == [0]
    machine.hub.told_sha256 = ""
    assert (machine.folder() / "model.pth").read_bytes() == MODEL


def test_weights_that_rot_in_the_cache_are_noticed(machine: Machine) -> None:
    blob = (machine.folder() / "model.pth").resolve()
    blob.write_bytes(MODEL[:-1])
    refusal = machine.refusal()
    assert str(blob) in refusal
    assert "damaged" in refusal
    (machine.cache / "snapshots" / COMMIT / "config.json").unlink()
    assert machine.refusal() == refusal  # also where another file has to be fetched


@pytest.mark.parametrize("name", ["config.json", "vocab.json"])
def test_small_files_that_rot_in_the_cache_are_noticed(machine: Machine, name: str) -> None:
    blob = (machine.folder() / name).resolve()
    blob.write_bytes(blob.read_bytes().replace(b"x", b"y").replace(b"1.0", b"1.1"))
    refusal = machine.refusal()
    assert str(blob) in refusal
    assert "damaged" in refusal


def test_weights_of_the_cache_are_checked_once(machine: Machine) -> None:
    machine.folder()
    (machine.home / "records" / f"{SHA256}.json").unlink()  # as if another program had fetched them
    assert "checking the weights" in machine.find()["told"]
    assert machine.find()["told"] == []


def test_too_small_a_disk_is_noticed_before_anything_is_fetched(machine: Machine) -> None:
    machine.hub.told_bytes = 1 << 60
    refusal = machine.refusal()
    assert "the weights need 11529215" in refusal
    assert "HF_HOME" in refusal
    assert "GET /elsewhere/model.pth" not in machine.hub.asked


def test_a_disk_that_fills_up_is_named(machine: Machine) -> None:
    machine.partial.parent.mkdir(parents=True)
    machine.partial.symlink_to("/dev/full")
    refusal = machine.refusal()
    assert "is full" in refusal
    assert "HF_HOME" in refusal


def test_a_cache_that_cannot_be_written_is_named(machine: Machine) -> None:
    machine.home.mkdir()
    (machine.home / "hub").touch()  # a file where the folder should be
    assert "set HF_HOME to another folder" in machine.refusal()


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"repository": "coqui/other"}, "has no coqui/other"),
        ({"repository": "not a name"}, "'not a name' cannot be the name"),
        ({"revision": "v9"}, "has no revision 'v9'; set XTTS_REVISION"),
        ({"environment": {"HF_HUB_OFFLINE": "1"}}, "HF_HUB_OFFLINE is set"),
        (
            {"environment": {"HF_ENDPOINT": "http://127.0.0.1:9"}},
            "cannot be fetched from http://127.0.0.1:9",
        ),
    ],
)
def test_a_hub_that_does_not_have_them_is_refused_with_advice(
    machine: Machine, settings: dict[str, Any], advice: str
) -> None:
    assert advice in machine.refusal(**settings)


def test_a_repository_without_the_files_is_refused(machine: Machine) -> None:
    del machine.hub.files["vocab.json"]
    assert "lacks one of the files" in machine.refusal()


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_hub_that_refuses_is_named_with_its_answer(machine: Machine, status: int) -> None:
    machine.hub.status = status
    refusal = machine.refusal()
    assert f"answered {status}" in refusal or "HF_TOKEN" in refusal
