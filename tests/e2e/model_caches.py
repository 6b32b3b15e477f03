"""The caches of other programs as their tests need them: a home directory of the user's own, and files where each program
would put them."""

import json
import os

from hub_server import COMMIT, digest_of_file
from support import PotluckTest

# What leads programs to other folders than those in the home directory.
VARIABLES = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN", "HF_TOKEN_PATH", "HF_ENDPOINT",
             "HUGGING_FACE_HUB_TOKEN", "LLAMA_CACHE", "OLLAMA_MODELS", "XDG_CACHE_HOME")


class CacheTest(PotluckTest):
    def setUp(self):
        super().setUp()
        self.user = self.home / "user"
        self.user.mkdir()
        self.models = self.home / "models"

    def environment(self, **extra):
        environment = super().environment(HOME=str(self.user), **extra)
        for name in VARIABLES:
            if name not in extra:
                environment.pop(name, None)
        return environment

    def link(self, source, target):
        """A file at `target` with the content of `source`, without a copy."""
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, target)
        return target

    def in_hub_cache(self, source, user, repo, name):
        root = self.user / ".cache/huggingface/hub" / f"models--{user}--{repo}"
        blob = root / "blobs" / digest_of_file(source)
        if not blob.exists():
            self.link(source, blob)
        shown = root / "snapshots" / COMMIT / name
        shown.parent.mkdir(parents=True, exist_ok=True)
        shown.symlink_to(os.path.relpath(blob, shown.parent))
        (root / "refs").mkdir(exist_ok=True)
        (root / "refs/main").write_text(COMMIT)
        return shown

    def in_ollama(self, source, name, tag):
        root = self.user / ".ollama/models"
        digest = digest_of_file(source)
        if not (root / "blobs" / f"sha256-{digest}").exists():
            self.link(source, root / "blobs" / f"sha256-{digest}")
        manifest = root / "manifests/registry.ollama.ai/library" / name / tag
        manifest.parent.mkdir(parents=True, exist_ok=True)
        manifest.write_text(json.dumps({"schemaVersion": 2, "layers": [
            {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}",
             "size": source.stat().st_size}]}))
        return root / "blobs" / f"sha256-{digest}"
