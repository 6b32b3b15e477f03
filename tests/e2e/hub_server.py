"""A model hub as the e2e tests need it: the API that tells a repository's files, and files that are redirected to another
host name, with the digest beside the redirection. Faults of the transfers are those of RangeServer."""

import hashlib
import json
import urllib.parse

from range_server import RangeServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def digest_of_file(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class HubServer(RangeServer):
    """Repositories by name: {"user/repo": {"path/in/repo.gguf": file on disk}}."""

    def __init__(self, repositories, certificate, key):
        self.repositories = repositories
        self.token = None  # needed for everything
        self.gated = set()  # names of repositories
        self.digests = {}  # path in the repository: what the hub says instead of the truth
        self.extra_siblings = []  # entries of the answer that no file stands behind
        self.loops = False  # files are redirected to themselves
        self.refuse_files = None  # status of every request for a file
        self.busy_answers = 0  # so many requests are answered 429
        super().__init__(None, certificate, key)

    @property
    def address(self):
        return f"https://127.0.0.1:{self.port}"

    def store_paths(self):
        return [path for path, _ in self.headers if path.startswith("/store/")]

    def answer(self, handler):
        self.count += 1
        token = handler.headers.get("Authorization")
        self.headers.append((handler.path, token))
        if self.refusing:
            return self.plain(handler, 503, Retry_After="0")
        if self.busy_answers > 0:
            self.busy_answers -= 1
            return self.plain(handler, 429, Retry_After="0")
        if self.busy_every and self.count % self.busy_every == 0:
            return self.plain(handler, 429, Retry_After="0")
        path = urllib.parse.unquote(urllib.parse.urlsplit(handler.path).path)
        if path.startswith("/store/"):
            user, repo, inside = path[len("/store/"):].split("/", 2)
            return self.send_range(handler, self.repositories[f"{user}/{repo}"][inside])
        if self.token and token != f"Bearer {self.token}":
            return self.plain(handler, 401, X_Error_Message="Invalid credentials in Authorization header")
        if path.startswith("/api/models/"):
            return self.tell(handler, "/".join(path.split("/")[3:5]))
        return self.redirect(handler, path)

    def tell(self, handler, name):
        if name in self.gated:
            return self.plain(handler, 403, X_Error_Code="GatedRepo", X_Error_Message="Access is restricted")
        if name not in self.repositories:
            return self.plain(handler, 404, X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")
        siblings = list(self.extra_siblings)
        for inside, file in self.repositories[name].items():
            size = file.stat().st_size
            digest = self.digests.get(inside) or digest_of_file(file)
            siblings.append({"rfilename": inside, "size": size,
                             "lfs": {"sha256": digest, "size": size, "pointerSize": 134}})
        body = json.dumps({"id": name, "sha": COMMIT, "siblings": siblings}).encode()
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
        return None

    def redirect(self, handler, path):
        _, user, repo, verb, revision, inside = path.split("/", 5)
        file = self.repositories.get(f"{user}/{repo}", {}).get(inside)
        if verb != "resolve" or revision not in (COMMIT, "main") or file is None:
            return self.plain(handler, 404, X_Error_Code="EntryNotFound")
        if self.refuse_files:
            return self.plain(handler, self.refuse_files)
        if self.loops:
            return self.plain(handler, 302, Location=handler.path)
        target = f"https://localhost:{self.port}/store/{user}/{repo}/{urllib.parse.quote(inside)}?signature=secret"
        digest = self.digests.get(inside) or digest_of_file(file)
        return self.plain(handler, 302, Location=target, X_Linked_ETag=f'"{digest}"')
