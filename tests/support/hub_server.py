"""As much of the hub's protocol as fetching files takes, over HTTP on the loopback interface."""

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "a" * 40
TAG = "6c2b0d75eae4b7047358e3b6bd9325f857d43f77"  # named like the commit of the release


@dataclass
class Hub:
    """One repository with one commit on `main`, and what goes wrong with it."""

    files: dict[str, bytes]
    repository: str = "coqui/XTTS-v2"
    large: str = "model.pth"  # stored elsewhere, as large files are; each answer there has at most `part_bytes`
    part_bytes: int = 1 << 40
    parts: int = 1 << 40  # how many such answers there are, before the hub hangs
    told_sha256: str = ""  # other than the file's
    told_bytes: int = 0  # other than the file's
    status: int = 0  # that every question is answered with
    port: int = 0
    # "GET /path", with " from N" where a download was resumed
    asked: list[str] = field(default_factory=list)
    # path -> what came along to let the asker in
    tokens: dict[str, str] = field(default_factory=dict)
    hangs: threading.Event = field(default_factory=threading.Event)  # set when the hub does
    closed: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """The value of HF_ENDPOINT; large files are at another name of the same machine."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def running_hub(hub: Hub) -> Iterator[Hub]:
    """Serve while the block runs."""

    class Handler(_Handler):
        served = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        hub.closed.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: Hub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        """Log nothing."""

    def _answer(self) -> None:
        start = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        offset = int(start[1]) if start else 0
        self.served.tokens[self.path] = self.headers.get("Authorization", "")
        self.served.asked.append(
            f"{self.command} {self.path}" + (f" from {offset}" if start else "")
        )
        asked = re.fullmatch(rf"/{self.served.repository}/resolve/(\w+)/(.+)", self.path)
        if self.served.status:
            self._say(self.served.status)
        elif self.path == f"/elsewhere/{self.served.large}":
            self._part(self.served.files[self.served.large], offset)
        elif not asked:
            self._say(404, {"X-Error-Code": "RepoNotFound"})
        elif asked[1] not in ("main", COMMIT, TAG):
            self._say(404, {"X-Error-Code": "RevisionNotFound"})
        elif asked[2] not in self.served.files:
            self._say(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        else:
            self._file(asked[2], self.served.files[asked[2]])

    def _file(self, name: str, content: bytes) -> None:
        digest = hashlib.sha256(content).hexdigest()
        if name != self.served.large:
            object_id = hashlib.sha1(
                b"blob %d\0" % len(content) + content
            ).hexdigest()  # as git names it
            self._say(200, {"X-Repo-Commit": COMMIT, "ETag": f'"{object_id}"'}, content)
            return
        headers = {
            "X-Repo-Commit": COMMIT,
            "X-Linked-Etag": f'"{self.served.told_sha256 or digest}"',
            "X-Linked-Size": str(self.served.told_bytes or len(content)),
            "Location": f"http://localhost:{self.served.port}/elsewhere/{name}",
        }
        self._say(302, headers)

    def _part(self, content: bytes, offset: int) -> None:
        """Send a part of a file, and break off."""
        if not self.served.parts:
            self.served.hangs.set()
            self.served.closed.wait(30)
            return
        self.served.parts -= 1
        rest = content[offset:]
        headers = {"Content-Length": str(len(rest))}
        if offset:
            headers["Content-Range"] = f"bytes {offset}-{len(content) - 1}/{len(content)}"
        self._say(206 if offset else 200, headers, rest[: self.served.part_bytes])
        self.close_connection = True

    def _say(
        self, status: int, headers: dict[str, str] | None = None, content: bytes = b""
    ) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)
