"""A local stand-in for the Hugging Face hub: the requests of the real libraries, and its faults.

Repositories are folders under `root`: models/openai-community/gpt2, datasets/wikimedia/wikipedia.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

RENAMED = {"gpt2": "openai-community/gpt2"}
"""The hub answers the old short names with a redirect."""

API = re.compile(
    r"/api/(?P<kind>models|datasets)/(?P<name>[^/]+(?:/(?!revision/|tree/|paths-info/)[^/]+)?)"
    r"(?:/(?P<what>revision|tree|paths-info)/(?P<revision>[^/]+)(?:/(?P<path>.*))?)?"
)
RESOLVE = re.compile(
    r"/(?:(?P<kind>datasets)/)?(?P<name>[^/]+(?:/(?!resolve/)[^/]+)?)"
    r"/resolve/(?P<revision>[^/]+)/(?P<path>.+)"
)
FaultKind = Literal["drop", "hang"] | int
HANG_SECONDS = 120.0


@dataclass
class Fault:
    """What goes wrong: an HTTP status, a connection cut in the middle of a body, or silence.

    It hits requests whose path contains `path`, once `skip` of them were served, `times` times.
    """

    kind: FaultKind
    path: str = ""
    skip: int = 0
    times: int | None = None

    def hits(self, path: str) -> bool:
        if self.path not in path or self.times == 0:
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


class Hub:
    """The server; use it as a context manager."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.requests: list[str] = []
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self.healed = threading.Event()
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.heal()
        self._server.shutdown()
        self._server.server_close()

    def fail(
        self, kind: FaultKind, *, path: str = "", skip: int = 0, times: int | None = None
    ) -> None:
        """Answer with `kind` from now on; see Fault."""
        self.healed.clear()
        with self._lock:
            self._faults.append(Fault(kind, path, skip, times))

    def heal(self) -> None:
        """Work again, and let go of the requests that hang; the log of requests is emptied."""
        with self._lock:
            self._faults.clear()
            self.requests.clear()
        self.healed.set()

    def fault(self, request: str, path: str) -> FaultKind | None:
        with self._lock:
            self.requests.append(request)
            return next((fault.kind for fault in self._faults if fault.hits(path)), None)

    def environment(self, home: Path) -> dict[str, str]:
        """Variables that point the real libraries here, with a cache of their own."""
        return {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "NO_PROXY": "*"}

    def folder(self, kind: str, name: str) -> Path:
        return self.root / kind / name

    def commit(self, kind: str, name: str) -> str:
        """The commit hash of a repository as it lies on the disk."""
        digest = hashlib.sha1(name.encode(), usedforsecurity=False)
        for path in _files(self.folder(kind, name)):
            digest.update(f"{path} {_oid(self.folder(kind, name) / path)}".encode())
        return digest.hexdigest()


def _files(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def _oid(path: Path) -> str:
    # Size and time stand for the content, so that a request does not read whole files.
    stat = path.stat()
    key = f"{path.name} {stat.st_size} {stat.st_mtime_ns}"
    return hashlib.sha1(key.encode(), usedforsecurity=False).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        fault = self.hub.fault(f"{self.command} {unquote(self.path)}", path)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if fault == "hang":
                self.hub.healed.wait(HANG_SECONDS)
                self.close_connection = True
            elif isinstance(fault, int):
                self._error(fault, "")
            else:
                self._answer(path, body, drop=fault == "drop")

    def _answer(self, path: str, body: bytes, *, drop: bool) -> None:
        if match := API.fullmatch(path):
            kind = match["kind"]
        elif match := RESOLVE.fullmatch(path):
            kind = match["kind"] or "models"
        else:
            return self._error(404, "")
        name = match["name"]
        if name in RENAMED:
            return self._redirect(self.path.replace(f"/{name}", f"/{RENAMED[name]}", 1))
        folder = self.hub.folder(kind, name)
        if not folder.is_dir():
            return self._error(401, "RepoNotFound")
        revision, commit = match["revision"], self.hub.commit(kind, name)
        if revision not in {None, "main", commit}:
            return self._error(404, "RevisionNotFound")
        if match.re is RESOLVE:
            return self._file(folder / match["path"], commit, drop=drop)
        return self._api(match, folder, commit, body, drop=drop)

    def _api(
        self, match: re.Match[str], folder: Path, commit: str, body: bytes, *, drop: bool
    ) -> None:
        if match["what"] == "tree":
            return self._tree(folder, match["path"] or "", drop=drop)
        if match["what"] == "paths-info":
            return self._json(_paths_info(folder, body, self.headers["Content-Type"]), drop=drop)
        info = {
            "_id": commit[:24],
            "id": match["name"],
            "modelId": match["name"],
            "sha": commit,
            "private": False,
            "gated": False,
            "disabled": False,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "siblings": [{"rfilename": path} for path in _files(folder)],
        }
        return self._json(info, drop=drop)

    def _tree(self, folder: Path, path: str, *, drop: bool) -> None:
        if not (folder / path).is_dir():
            return self._error(404, "EntryNotFound")
        recursive = parse_qs(urlsplit(self.path).query).get("recursive", [""])[0].lower() == "true"
        below = (folder / path).rglob("*") if recursive else (folder / path).iterdir()
        return self._json([_entry(folder, entry) for entry in sorted(below)], drop=drop)

    def _file(self, path: Path, commit: str, *, drop: bool) -> None:
        if not path.is_file():
            return self._error(404, "EntryNotFound", commit)
        size = path.stat().st_size
        first, last, status = 0, size - 1, 200
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            first, status = int(wanted[1]), 206
            last = min(int(wanted[2] or last), last)
        if first >= size > 0:
            return self._error(416, "", commit)
        self.send_response(status)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{_oid(path)}"')
        self.send_header("Accept-Ranges", "bytes")
        if status == 206:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        return self._body(path, first, last - first + 1, drop=drop)

    def _body(self, path: Path, first: int, length: int, *, drop: bool) -> None:
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command == "HEAD":
            return
        with path.open("rb") as file:
            file.seek(first)
            data = file.read(length)
        self.wfile.write(data[: len(data) // 2] if drop else data)
        self.close_connection = self.close_connection or drop

    def _json(self, value: Any, *, drop: bool) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if drop else data)
        self.close_connection = self.close_connection or drop

    def _redirect(self, location: str) -> None:
        self.send_response(307)
        self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _error(self, status: int, code: str, commit: str | None = None) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", code)
        if commit:
            self.send_header("X-Repo-Commit", commit)
        if status == 429:
            self.send_header("Retry-After", "60")
        self.send_header("Content-Length", "0")
        self.end_headers()


def _entry(folder: Path, path: Path) -> dict[str, Any]:
    name = path.relative_to(folder).as_posix()
    if path.is_dir():
        oid = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
        return {"type": "directory", "oid": oid, "size": 0, "path": name}
    return {"type": "file", "oid": _oid(path), "size": path.stat().st_size, "path": name}


def _paths_info(folder: Path, body: bytes, content_type: str) -> list[dict[str, Any]]:
    if "json" in (content_type or ""):
        paths = json.loads(body)["paths"]
    else:
        paths = parse_qs(body.decode()).get("paths", [])
    return [_entry(folder, folder / path) for path in paths if (folder / path).exists()]
