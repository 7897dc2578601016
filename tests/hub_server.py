"""The part of the Hugging Face Hub's HTTP API that ``huggingface_hub`` asks for, over one folder.

Repositories are dictionaries of files; each commit is a revision, and tags point to commits. Small
text files are sent inside a commit, others by Git LFS's batch API, as the Hub does it.
"""

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_right"


class Hub:
    """What is stored, and what was asked for."""

    def __init__(self):
        self.repos = {}  # "datasets/owner/name": {"commits": [{path: bytes}], "tags": {}}
        self.objects = {}  # by SHA-256, of LFS
        self.requests = []  # (method, path)
        self.listed = {}  # path: another path that is listed in its place
        self.changed = {}  # path: other bytes that are sent

    def files(self, repo):
        return self.repos[repo]["commits"][-1]


def sha(number):
    return f"{number:040x}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self):
        return self.server.hub

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.route("GET")

    def do_HEAD(self):
        self.route("HEAD")

    def do_POST(self):
        self.route("POST")

    def do_PUT(self):
        self.route("PUT")

    def do_DELETE(self):
        self.route("DELETE")

    def route(self, method):
        url = urlsplit(self.path)
        path = unquote(url.path).strip("/")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(self.chunks())
        self.hub.requests.append((method, path))
        writes = method in ("POST", "PUT", "DELETE") and not path.startswith("lfs/")
        if writes and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer({"error": "Invalid username or password."}, 401)
        parts = path.split("/")
        if path == "api/whoami-v2":
            return self.answer({"name": "lab", "type": "user", "orgs": []})
        if path == "api/repos/create":
            return self.create(json.loads(body))
        if path == "api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        if parts[0] == "lfs":
            self.hub.objects[parts[1]] = body
            return self.answer({})
        if path.endswith(".git/info/lfs/objects/batch"):
            return self.batch(json.loads(body))
        if parts[0] == "api":
            kind = "datasets/" if parts[1] == "datasets" else ""
            return self.api(method, f"{kind}{parts[2]}/{parts[3]}", parts[4:], body, url)
        return self.resolve(method, path)

    def chunks(self):
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def create(self, asked):
        kind = "datasets/" if asked.get("type") == "dataset" else ""
        name = f"{kind}{asked['organization']}/{asked['name']}"
        url = f"{self.server.endpoint}/{name}"
        if asked["organization"] == "other":
            return self.answer({"error": "You don't have the rights"}, 403)
        if name in self.hub.repos:
            return self.answer({"error": "exists", "url": url}, 409)
        private = bool(asked.get("private")) or asked.get("visibility") == "private"
        self.hub.repos[name] = {"commits": [{}], "tags": {}, "private": private}
        return self.answer({"url": url, "name": name})

    def batch(self, asked):
        missing = [each for each in asked["objects"] if each["oid"] not in self.hub.objects]
        there = [each for each in asked["objects"] if each["oid"] in self.hub.objects]
        objects = [
            {**each, "actions": {"upload": {"href": f"{self.server.endpoint}/lfs/{each['oid']}"}}}
            for each in missing
        ]
        return self.answer({"transfer": "basic", "objects": [*objects, *there]})

    def api(self, method, name, rest, body, url):
        repo = self.hub.repos.get(name)
        if repo is None:
            return self.answer({"error": "Repository not found"}, 404, "RepoNotFound")
        verb, revision = (*rest, "main", "main")[:2] if rest else ("revision", "main")
        if verb == "tag":
            if method == "DELETE":
                known = repo["tags"].pop(revision, None)
                return self.answer({}) if known is not None else self.no_revision()
            repo["tags"][json.loads(body)["tag"]] = len(repo["commits"]) - 1
            return self.answer({})
        number = self.number(repo, revision)
        if number is None:
            return self.no_revision()
        if verb == "preupload":
            files = json.loads(body)["files"]
            modes = [self.mode(each) for each in files]
            return self.answer({"files": modes})
        if verb == "commit":
            return self.commit(name, repo, body)
        if verb == "tree":
            return self.answer(self.tree(repo["commits"][number], "/".join(rest[2:])))
        info = {"id": name.removeprefix("datasets/"), "sha": sha(number), "siblings": []}
        return self.answer({**info, "private": False, "downloads": 0, "likes": 0, "tags": []})

    def number(self, repo, revision):
        last = len(repo["commits"]) - 1
        names = {"main": last, **repo["tags"], **{sha(n): n for n in range(last + 1)}}
        return names.get(revision)

    def no_revision(self):
        return self.answer({"error": "Revision not found"}, 404, "RevisionNotFound")

    def mode(self, file):
        text = file["path"].endswith((".json", ".jsonl", ".md", ".yaml"))
        mode = "regular" if text else "lfs"
        return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": None}

    def commit(self, name, repo, body):
        files = dict(repo["commits"][-1])
        for line in body.decode().splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
            elif entry["key"] == "deletedFile":
                del files[value["path"]]
        repo["commits"].append(files)
        number = len(repo["commits"]) - 1
        url = f"{self.server.endpoint}/{name}/commit/{sha(number)}"
        return self.answer({"success": True, "commitUrl": url, "commitOid": sha(number)})

    def tree(self, files, folder):
        entries = []
        for path, content in files.items():
            if folder and not path.startswith(f"{folder}/"):
                continue
            listed = self.hub.listed.get(path, path)
            entry = {"type": "file", "oid": sha(1), "size": len(content), "path": listed}
            if self.mode({"path": path})["uploadMode"] == "lfs":
                oid = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"oid": oid, "size": len(content), "pointerSize": 130}
            entries.append(entry)
        return entries

    def resolve(self, method, path):
        name, _, rest = path.partition("/resolve/")
        revision, _, file = rest.partition("/")
        repo = self.hub.repos.get(name)
        if repo is None:
            return self.answer({"error": "Repository not found"}, 404, "RepoNotFound")
        number = self.number(repo, revision)
        if number is None:
            return self.no_revision()
        content = repo["commits"][number].get(file)
        if content is None:
            return self.answer({"error": "Entry not found"}, 404, "EntryNotFound")
        content = self.hub.changed.get(file, content)
        headers = {
            "X-Repo-Commit": sha(number),
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
        }
        return self.send(content, 200, headers, method)

    def answer(self, value, status=200, code=None):
        headers = {"Content-Type": "application/json"}
        if code:
            headers |= {"X-Error-Code": code, "X-Error-Message": value["error"]}
        return self.send(json.dumps(value).encode(), status, headers, self.command)

    def send(self, content, status, headers, method):
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if method != "HEAD":
            self.wfile.write(content)


@contextmanager
def serve(monkeypatch, cache):
    """Yields a Hub that ``huggingface_hub`` of this process takes for the real one."""
    import huggingface_hub.constants as constants

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.hub, server.endpoint = Hub(), f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
