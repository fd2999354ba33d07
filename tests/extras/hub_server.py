"""A hub on this machine: the few addresses that huggingface_hub asks for to push and to fetch.

It keeps repositories in memory. Large files come as in Git LFS, small ones inside of the commit.
`stop_after` cuts the next download of a file short, as a network does.
"""

import base64
import hashlib
import http.server
import json
import re
import threading
import urllib.parse

TOKEN = "hf_the_right_one"  # noqa: S105
SMALL = 2000  # bytes of a file that is no large one


class Hub:
    """The repositories: name -> {commit -> {path -> content}}, the last commit at the end."""

    def __init__(self):
        self.repositories, self.large, self.asked = {}, {}, []
        self.stop_after, self.broken = None, False
        handler = type("Handler", (Handler,), {"hub": self})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def files(self, repository, revision="main"):
        """(commit, its files) of a repository, (None, None) where there is none."""
        commits = self.repositories.get(repository)
        if not commits:
            return None, None
        commit = list(commits)[-1] if revision == "main" else revision
        return commit, commits.get(commit)

    def commit(self, repository, files):
        name = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.repositories[repository].pop(name, None)
        self.repositories[repository][name] = files
        return name


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as the hub does."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def answer(self, code, content=b"", **headers):
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def fail(self, code, kind, words):
        headers = {"X_Error_Code": kind} if kind else {}
        self.answer(code, {"error": words}, X_Error_Message=words, **headers)

    def handle_one(self):
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        self.hub.asked.append((self.command, path))
        size = int(self.headers.get("Content-Length") or 0)
        self.content = self.rfile.read(size)
        given = self.headers.get("Authorization", "")
        if given and given != f"Bearer {TOKEN}":
            return self.fail(401, None, "Invalid credentials in Authorization header")
        if self.hub.broken:
            return self.fail(500, None, "The hub is being repaired")
        writes = self.command in ("POST", "PUT")
        if writes and not given and "/objects/" not in path:
            return self.fail(401, None, "Invalid username or password.")
        for pattern, method in ADDRESSES.items():
            if found := re.fullmatch(pattern, f"{self.command} {path}"):
                return method(self, *found.groups())
        return self.fail(404, None, f"no address {self.command} {path}")

    do_GET = do_HEAD = do_POST = do_PUT = handle_one

    def create(self):
        asked = json.loads(self.content)
        name = "/".join(filter(None, [asked.get("organization"), asked["name"]]))
        url = {"url": f"{self.hub.address}/{name}", "id": name, "name": name}
        if name in self.hub.repositories:
            return self.answer(409, url)
        self.hub.repositories[name] = {}
        self.hub.commit(name, {".gitattributes": b""})
        return self.answer(200, url)

    def validate(self):
        wrong = [] if self.content and b"library_name" in self.content else [{"message": "no name"}]
        self.answer(400 if wrong else 200, {"errors": wrong, "warnings": []})

    def preupload(self, repository):
        files = [
            {"path": f["path"], "shouldIgnore": False, "oid": None,
             "uploadMode": "lfs" if f["size"] > SMALL else "regular"}
            for f in json.loads(self.content)["files"]
        ]  # fmt: skip
        self.answer(200, {"files": files})

    def batch(self, repository):
        objects = [
            {"oid": o["oid"], "size": o["size"], "actions": {"upload": {
                "href": f"{self.hub.address}/objects/{o['oid']}"}}}
            for o in json.loads(self.content)["objects"]
        ]  # fmt: skip
        self.answer(200, {"transfer": "basic", "objects": objects})

    def upload(self, oid):
        if hashlib.sha256(self.content).hexdigest() != oid:
            return self.fail(400, None, "the content is not what its name says")
        self.hub.large[oid] = self.content
        return self.answer(200)

    def write(self, repository):
        files = dict(self.hub.files(repository)[1])
        for line in map(json.loads, self.content.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        name = self.hub.commit(repository, files)
        url = f"{self.hub.address}/{repository}/commit/{name}"
        self.answer(200, {"success": True, "commitOid": name, "commitUrl": url})

    def found(self, repository, revision="main"):
        commit, files = self.hub.files(repository, revision)
        if commit is None:
            self.fail(404, "RepoNotFound", "Repository not found")
        elif files is None:
            self.fail(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit, files

    def info(self, repository, revision="main"):
        commit, files = self.found(repository, revision)
        if files is not None:
            siblings = [{"rfilename": name} for name in files]
            self.answer(200, {"id": repository, "modelId": repository, "sha": commit,
                              "private": False, "siblings": siblings})  # fmt: skip

    def tree(self, repository, revision):
        _, files = self.found(repository, revision)
        if files is not None:
            rows = [
                {
                    "type": "file",
                    "path": name,
                    "size": len(content),
                    "oid": hashlib.sha1(content).hexdigest(),
                }
                for name, content in files.items()
            ]
            self.answer(200, rows)  # fmt: skip

    def resolve(self, repository, revision, name):
        commit, files = self.found(repository, revision)
        if files is None:
            return
        if name not in files:
            self.fail(404, "EntryNotFound", "Entry not found")
            return
        content = files[name]
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X_Repo_Commit": commit}
        code, begin = 200, 0
        if asked := re.match(r"bytes=(\d+)-", self.headers.get("Range", "")):
            code, begin = 206, int(asked[1])
            headers["Content_Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        headers["Content_Length"] = str(len(content) - begin)
        limit = self.hub.stop_after
        if self.command == "GET" and limit is not None and len(content) - begin > limit:
            self.answer(code, content[begin : begin + limit], **headers)
            self.wfile.flush()
            self.close_connection = True
            return
        self.answer(code, content[begin:], **headers)


REPOSITORY = r"([\w.-]+/[\w.-]+)"
ADDRESSES = {
    "POST /api/repos/create": Handler.create,
    "POST /api/validate-yaml": Handler.validate,
    f"POST /api/models/{REPOSITORY}/preupload/main": Handler.preupload,
    rf"POST /{REPOSITORY}\.git/info/lfs/objects/batch": Handler.batch,
    r"PUT /objects/(\w+)": Handler.upload,
    f"POST /api/models/{REPOSITORY}/commit/main": Handler.write,
    f"GET /api/models/{REPOSITORY}": Handler.info,
    rf"GET /api/models/{REPOSITORY}/revision/([\w.-]+)": Handler.info,
    rf"GET /api/models/{REPOSITORY}/tree/([\w.-]+)": Handler.tree,
    rf"(?:GET|HEAD) /{REPOSITORY}/resolve/([\w.-]+)/(.+)": Handler.resolve,
}
