"""A server that answers like the Hugging Face Hub, as far as models of this package need it.

It keeps repositories in memory. Large files go through Git LFS, as in the hub without Xet: the
client asks where to upload, and downloads are redirected. Statuses and headers are those of the
hub's documentation and of what huggingface_hub expects.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import yaml

TOKEN, OWNER = "hf_standin", "ann"
LICENCES = {"apache-2.0", "mit", "cc-by-nc-4.0", "other", "unknown"}
LARGE = (".safetensors", ".png")


class Repository:
    """A model: its commits from the first to the last, as files by path."""

    def __init__(self, private: bool = False, gated: bool = False):
        self.private, self.gated = private, gated
        self.commits: dict[str, dict[str, bytes]] = {}

    def commit(self, files: dict[str, bytes]) -> str:
        """Adds files to those of the last commit and returns the new commit's hash."""
        whole = {**next(reversed(self.commits.values()), {}), **files}
        listed = repr(sorted((path, hashlib.sha256(data).digest()) for path, data in whole.items()))
        sha = hashlib.sha1(f"{len(self.commits)} {listed}".encode()).hexdigest()
        self.commits[sha] = whole
        return sha

    def resolved(self, revision: str) -> str | None:
        """Returns the commit of a branch or of a hash."""
        if revision == "main":
            return next(reversed(self.commits), None)
        return revision if revision in self.commits else None


class Hub(ThreadingHTTPServer):
    """The server, with its repositories by OWNER/NAME and the requests that it was sent."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, Repository] = {}
        self.large_files: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.address = f"http://127.0.0.1:{self.server_port}"


@contextlib.contextmanager
def running_hub():
    """Runs a hub and yields it."""
    with Hub() as hub:
        threading.Thread(target=hub.serve_forever, args=[0.02], daemon=True).start()
        yield hub
        hub.shutdown()


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._route("GET")

    def do_HEAD(self):
        self._route("HEAD")

    def do_POST(self):
        self._route("POST")

    def do_PUT(self):
        self._route("PUT")

    def log_message(self, *_):
        pass

    def _route(self, method):
        path = unquote(urlsplit(self.path).path)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append(f"{method} {path}")
        for pattern, answer in ROUTES:
            match = re.fullmatch(pattern, f"{method} {path}")
            if match:
                return answer(self, **match.groupdict())
        return self._send(404, {"error": f"the stand-in has no {method} {path}"})

    def _send(self, status, content=b"", **headers):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": len(data), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _refuse(self, status, code, message):
        self._send(status, {"error": message}, X_Error_Code=code, X_Error_Message=message)

    def _authorized(self):
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _found(self, name, revision="main"):
        """Returns (repository, commit); (None, None) after answering that there is none."""
        repository = self.server.repositories.get(name)
        sent = self.headers.get("Authorization")
        if sent is not None and not self._authorized():
            self._refuse(401, "", "Invalid credentials in Authorization header")
        elif repository is None or (repository.private and not self._authorized()):
            status = 404 if self._authorized() else 401
            self._refuse(status, "RepoNotFound", "Repository not found")
        elif repository.gated:
            self._refuse(403, "GatedRepo", f"Access to model {name} is restricted.")
        elif (commit := repository.resolved(revision)) is None and repository.commits:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        else:
            return repository, commit
        return None, None

    def info(self, name, revision="main"):
        repository, commit = self._found(name, revision)
        if repository:
            files = [{"rfilename": path} for path in repository.commits.get(commit, {})]
            about = {"id": name, "modelId": name, "sha": commit, "siblings": files, "tags": []}
            self._send(200, {**about, "private": repository.private, "downloads": 0, "likes": 0})

    def tree(self, name, revision):
        repository, commit = self._found(name, revision)
        if repository:
            entries = []
            for path, data in repository.commits[commit].items():
                entry = {"type": "file", "path": path, "size": len(data), "oid": _git_id(data)}
                if path.endswith(LARGE):
                    entry["lfs"] = {"oid": _sha256(data), "size": len(data), "pointerSize": 134}
                entries.append(entry)
            self._send(200, entries)

    def file(self, name, revision, path):
        repository, commit = self._found(name, revision)
        if repository is None:
            return
        data = repository.commits[commit].get(path)
        if data is None:
            self._refuse(404, "EntryNotFound", "Entry not found")
        elif path.endswith(LARGE):
            self.server.large_files[_sha256(data)] = data
            self._send(
                302,
                # Another host, as the hub's storage is.
                Location=f"http://localhost:{self.server.server_port}/storage/{_sha256(data)}",
                X_Repo_Commit=commit,
                X_Linked_ETag=f'"{_sha256(data)}"',
                X_Linked_Size=len(data),
            )
        else:
            self._send(200, data, ETag=f'"{_git_id(data)}"', X_Repo_Commit=commit)

    def stored(self, oid):
        self._send(200, self.server.large_files[oid], ETag=f'"{oid}"')

    def create(self):
        wanted = json.loads(self.body)
        name = f"{wanted['organization']}/{wanted['name']}"
        if not self._authorized():
            self._refuse(401, "", "Invalid username or password.")
        elif wanted["organization"] != OWNER:
            self._refuse(403, "", f"You don't have the rights to create a model under {name}")
        elif name in self.server.repositories:
            about = {"error": "You already created this model repo"}
            self._send(409, about | {"url": f"{self.server.address}/{name}"})
        else:
            private = wanted.get("private") or wanted.get("visibility") == "private"
            self.server.repositories[name] = Repository(bool(private))
            self._send(200, {"url": f"{self.server.address}/{name}"})

    def validate(self):
        content = json.loads(self.body)["content"]
        _, metadata, _ = content.split("---\n", 2)
        wrong = {yaml.safe_load(metadata).get("license")} - LICENCES
        told = [{"message": f'"license" must be one of a list; found {one}'} for one in wrong]
        self._send(400 if told else 200, {"errors": told, "warnings": []})

    def preupload(self, name, revision):
        repository, _ = self._found(name, revision)
        if repository:
            modes = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular",
                    "shouldIgnore": False,
                }
                for file in json.loads(self.body)["files"]
            ]
            self._send(200, {"files": modes})

    def large(self, name):
        repository, _ = self._found(name)
        if repository:
            objects = json.loads(self.body)["objects"]
            for one in objects:
                if one["oid"] not in self.server.large_files:
                    href = f"{self.server.address}/storage/{one['oid']}"
                    one["actions"] = {"upload": {"href": href}}
            self._send(200, {"transfer": "basic", "objects": objects})

    def store(self, oid):
        if _sha256(self.body) != oid:
            return self._send(400)
        self.server.large_files[oid] = self.body
        return self._send(200)

    def commit(self, name, revision):
        repository, _ = self._found(name, revision)
        if repository is None:
            return
        files = {}
        for line in self.body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.server.large_files[value["oid"]]
        oid = repository.commit(files)
        url = f"{self.server.address}/{name}/commit/{oid}"
        self._send(200, {"success": True, "commitOid": oid, "commitUrl": url})


NAME, REVISION = r"(?P<name>[^/]+/[^/]+)", r"(?P<revision>[^/]+)"
ROUTES = (
    (rf"GET /api/models/{NAME}", Handler.info),
    (rf"GET /api/models/{NAME}/revision/{REVISION}", Handler.info),
    (rf"GET /api/models/{NAME}/tree/{REVISION}", Handler.tree),
    (rf"(GET|HEAD) /{NAME}/resolve/{REVISION}/(?P<path>.+)", Handler.file),
    (r"(GET|HEAD) /storage/(?P<oid>\w+)", Handler.stored),
    (r"POST /api/repos/create", Handler.create),
    (r"POST /api/validate-yaml", Handler.validate),
    (rf"POST /api/models/{NAME}/preupload/{REVISION}", Handler.preupload),
    (rf"POST /{NAME}\.git/info/lfs/objects/batch", Handler.large),
    (r"PUT /storage/(?P<oid>\w+)", Handler.store),
    (rf"POST /api/models/{NAME}/commit/{REVISION}", Handler.commit),
)


def _sha256(data):
    return hashlib.sha256(data).hexdigest()


def _git_id(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
