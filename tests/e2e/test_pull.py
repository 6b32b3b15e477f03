"""`potluck pull` against a hub that cuts, refuses, lies and goes away: what was fetched is kept, nothing wrong becomes
visible, and the token goes nowhere else."""

import os
import pathlib
import signal
import time
import unittest

from hub_server import COMMIT, HubServer, digest_of_file
from model_caches import CacheTest
from range_server import make_certificates
from support import wait_for

MIB = 1024 * 1024
REPO = "someone/tales-GGUF"


class PullTest(CacheTest):
    def setUp(self):
        super().setUp()
        self.authority, certificate, key = make_certificates(self.home / "tls")
        disk = self.home / "hub"
        disk.mkdir()
        self.files = {}
        for inside, size in (("tales-Q4_K_M.gguf", 24 * MIB + 77), ("tales-Q8_0-00001-of-00002.gguf", 3 * MIB + 5),
                             ("tales-Q8_0-00002-of-00002.gguf", 1), ("README.md", 100)):
            path = disk / inside
            path.write_bytes(os.urandom(size))
            self.files[inside] = path
        self.big = self.files["tales-Q4_K_M.gguf"]
        self.hub = HubServer({REPO: self.files}, certificate, key)
        self.addCleanup(self.hub.stop)
        self.target = self.models / REPO / self.big.name

    def environment(self, **extra):
        return super().environment(HF_ENDPOINT=self.hub.address, POTLUCK_CA_FILE=str(self.authority), **extra)

    def pull(self, *arguments, code=0, saying=(), **extra):
        done = self.potluck("pull", *arguments, **extra)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        for part in saying:
            self.assertIn(part, done.stderr)
        self.assertNotIn("the-token", done.stdout + done.stderr)
        self.assertNotIn("signature=secret", done.stdout + done.stderr)
        return done

    def sent_bytes(self):
        return sum(last - first + 1 for first, last in self.hub.served)

    def visible(self):
        """GGUF files where commands find models."""
        return [path for path in self.models.rglob("*.gguf") if ".potluck" not in path.parts]

    def partial(self):
        return next((self.models / ".potluck").glob("*/0.blocks"))

    def blocks_there(self):
        found = list((self.models / ".potluck").glob("*/0.blocks"))
        return found[0].read_bytes().count(1) if found else 0


class Whole(PullTest):
    def test_pull_list_and_remove(self):
        done = self.pull(f"{REPO}:Q4_K_M")
        self.assertEqual(done.stdout, f"{self.target}\n")
        self.assertEqual(self.target.read_bytes(), self.big.read_bytes())
        self.assertLess(self.sent_bytes(), self.big.stat().st_size + 16)
        listed, = self.report("list")["models"]
        self.assertEqual((listed["name"], listed["from"], listed["bytes"]),
                         (f"{REPO}:Q4_K_M", "Potluck", self.big.stat().st_size))
        before = len(self.hub.headers)
        self.assertEqual(self.pull(REPO).stdout, done.stdout)
        self.assertEqual(len(self.hub.headers), before, "it is there already")
        self.pull(REPO, "--again")
        self.assertLess(self.sent_bytes(), self.big.stat().st_size + 16)
        removed = self.report("rm", REPO, "--yes")
        self.assertGreaterEqual(removed["freed_bytes"], self.big.stat().st_size)
        self.assertEqual(self.visible(), [])
        self.assertEqual(self.report("list")["models"], [])
        self.assertEqual([path for path in self.models.rglob("*") if path.is_file()], [])

    def test_a_split_model_is_fetched_whole(self):
        self.pull(f"{REPO}:Q8_0")
        for part in ("tales-Q8_0-00001-of-00002.gguf", "tales-Q8_0-00002-of-00002.gguf"):
            self.assertEqual((self.models / REPO / part).read_bytes(), self.files[part].read_bytes())
        self.assertEqual(len(self.report("rm", f"{REPO}:Q8_0", "--yes")["files"]), 2)

    def test_addresses(self):
        self.pull(f"{self.hub.address}/{REPO}/resolve/main/{self.big.name}")
        self.assertTrue(self.target.exists(), "an address of the hub is the model of that name")
        # Another server says nothing of digests; this one is another server by its name.
        address = f"https://localhost:{self.hub.port}/store/{REPO}/{self.big.name}"
        done = self.pull(address, saying=["no SHA-256"])
        self.assertEqual(pathlib.Path(done.stdout.strip()).read_bytes(), self.big.read_bytes())
        self.report("rm", address, "--yes")
        self.pull(address, "--digest", "0" * 64, code=1, saying=["expected SHA-256 000", digest_of_file(self.big)])
        self.assertEqual(self.visible(), [self.target])

    def test_what_another_program_has_is_not_fetched(self):
        shown = self.in_hub_cache(self.big, *REPO.split("/"), self.big.name)
        self.assertEqual(self.pull(f"{REPO}:Q4_K_M", saying=["on this machine already", "Hugging Face"]).stdout,
                         f"{shown}\n")
        self.assertEqual(self.hub.headers, [])


class Interrupted(PullTest):
    def test_cut_off_and_busy(self):
        self.hub.cut_every = 5
        self.hub.busy_every = 7
        self.hub.busy_answers = 2
        self.pull(f"{REPO}:Q4_K_M")
        self.assertEqual(self.target.read_bytes(), self.big.read_bytes())
        self.assertLess(self.sent_bytes(), self.big.stat().st_size + MIB)

    def test_killed_and_gone_on(self):
        self.hub.bytes_per_second = 3 * MIB
        for share in (4, 10):
            process = self.start("pull", f"{REPO}:Q4_K_M", "--connections", "2")
            wait_for(lambda: self.blocks_there() >= share, "blocks")
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.assertEqual(self.visible(), [])
        partial, = self.report("list")["models"]
        self.assertFalse(partial["usable"])
        self.assertIn("goes on", partial["problem"])
        there = self.blocks_there()
        self.hub.bytes_per_second = None
        self.hub.served.clear()
        done = self.report("pull", f"{REPO}:Q4_K_M")
        self.assertEqual(done["fetched_bytes"], self.big.stat().st_size - there * MIB)
        self.assertLess(self.sent_bytes(), self.big.stat().st_size - there * MIB + 1000)
        self.assertEqual(self.target.read_bytes(), self.big.read_bytes())

    def test_a_signal_ends_it_at_once(self):
        self.hub.bytes_per_second = MIB
        process = self.start("pull", f"{REPO}:Q4_K_M")
        wait_for(lambda: self.blocks_there() >= 1, "blocks")
        begin = time.monotonic()
        process.terminate()
        self.assertEqual(process.wait(60), 143)
        self.assertLess(time.monotonic() - begin, 20)
        self.assertEqual(self.visible(), [])

    def test_two_at_once(self):
        self.hub.bytes_per_second = 2 * MIB
        process = self.start("pull", f"{REPO}:Q4_K_M")
        wait_for(lambda: self.blocks_there() >= 1, "blocks")
        self.pull(f"{REPO}:Q4_K_M", code=1, saying=["another pull", "process"])
        self.hub.bytes_per_second = None
        self.assertEqual(process.wait(120), 0, process.stderr.read())
        self.assertEqual(self.target.read_bytes(), self.big.read_bytes())

    def test_a_file_that_changed_between_two_pulls(self):
        self.hub.bytes_per_second = 3 * MIB
        process = self.start("pull", f"{REPO}:Q4_K_M")
        wait_for(lambda: self.blocks_there() >= 2, "blocks")
        process.kill()
        process.wait()
        self.big.write_bytes(os.urandom(20 * MIB))
        self.hub.bytes_per_second = None
        self.pull(f"{REPO}:Q4_K_M")
        self.assertEqual(self.target.read_bytes(), self.big.read_bytes())

    def test_a_wrong_digest(self):
        self.hub.digests[self.big.name] = "ab" * 32
        done = self.pull(f"{REPO}:Q4_K_M", code=1, saying=["expected SHA-256 abab", digest_of_file(self.big),
                                                          f"{self.hub.address}/{REPO}/resolve/{COMMIT}"])
        kept = done.stderr.split("kept in ")[1].split()[0]
        self.assertEqual(pathlib.Path(kept).read_bytes(), self.big.read_bytes())
        self.assertEqual(self.visible(), [])
        del self.hub.digests[self.big.name]
        self.pull(f"{REPO}:Q4_K_M")
        self.assertEqual(self.target.read_bytes(), self.big.read_bytes())
        self.assertFalse(os.path.exists(kept))

    def test_damage_on_the_disk_is_found(self):
        self.hub.bytes_per_second = 3 * MIB
        process = self.start("pull", f"{REPO}:Q4_K_M")
        wait_for(lambda: self.blocks_there() >= 2, "blocks")
        process.kill()
        process.wait()
        first = self.partial().read_bytes().index(1)
        with (self.partial().parent / "0.part").open("r+b") as part:
            part.seek(first * MIB)
            byte = part.read(1)
            part.seek(first * MIB)
            part.write(bytes([byte[0] ^ 1]))
        self.hub.bytes_per_second = None
        self.pull(f"{REPO}:Q4_K_M", code=1, saying=["expected SHA-256"])
        self.assertEqual(self.visible(), [])
        self.pull(f"{REPO}:Q4_K_M")
        self.assertEqual(self.target.read_bytes(), self.big.read_bytes())

    def test_a_full_disk(self):
        disk = self.small_disk(300)
        models = str(disk / "models")
        # 256 MiB stay free.
        self.big.write_bytes(os.urandom(60 * MIB))
        self.pull(f"{REPO}:Q4_K_M", code=1, saying=["more are needed", "POTLUCK_MODELS"], POTLUCK_MODELS=models)
        self.assertEqual(self.hub.store_paths(), [], "nothing is fetched in vain")
        self.big.write_bytes(os.urandom(24 * MIB))
        self.pull(f"{REPO}:Q4_K_M", POTLUCK_MODELS=models)


class Refused(PullTest):
    def test_tokens(self):
        self.hub.token = "the-token"
        self.pull(REPO, code=1, saying=["HF_TOKEN", "401"])
        self.pull(REPO, code=1, saying=["expired"], HF_TOKEN="old-token")
        self.pull(f"{REPO}:Q8_0", HF_TOKEN="the-token")
        file = self.user / ".cache/huggingface/token"
        file.parent.mkdir(parents=True)
        file.write_text("the-token\n")
        self.pull(f"{REPO}:Q4_K_M")
        self.pull(REPO, "--again", code=2, saying=["HF_TOKEN", "printable"], HF_TOKEN="a\r\nHost: b")
        for path, token in self.hub.headers:
            if path.startswith("/store/"):
                self.assertIsNone(token, "the redirection leads to another host")
        for path in self.home.rglob("*"):
            if path.is_file() and path != file and "hub" not in path.parts:
                self.assertNotIn(b"the-token", path.read_bytes(), path)

    def test_a_token_that_expires_meanwhile(self):
        self.hub.token = "the-token"
        self.hub.bytes_per_second = 3 * MIB
        process = self.start("pull", f"{REPO}:Q4_K_M", HF_TOKEN="the-token")
        wait_for(lambda: self.blocks_there() >= 2, "blocks")
        self.hub.token = "another-token"
        self.assertEqual(process.wait(120), 1)
        self.assertIn(b"401", process.stderr.read())
        there = self.blocks_there()
        self.hub.bytes_per_second = None
        done = self.potluck("pull", f"{REPO}:Q4_K_M", HF_TOKEN="another-token")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreaterEqual(there, 2)
        self.assertEqual(self.target.read_bytes(), self.big.read_bytes())

    def test_gated_and_unknown(self):
        self.hub.gated.add("someone/gated")
        self.pull("someone/gated", code=1, saying=["accept the conditions", f"{self.hub.address}/someone/gated"])
        self.pull("someone/Tales", code=1, saying=["no such repository", "-GGUF", "404"])
        self.pull(f"{REPO}:Q2_K", code=1, saying=["Q4_K_M", "Q8_0"])
        self.pull("no-repository", code=2, saying=["user/repo"])

    def test_redirect_loops_and_broken_servers(self):
        self.hub.loops = True
        self.pull(f"{REPO}:Q4_K_M", code=1, saying=["redirects"])
        self.hub.loops = False
        self.hub.refuse_files = 410
        self.pull(f"{REPO}:Q4_K_M", code=1, saying=["410"])
        self.assertEqual(self.visible(), [])

    def test_names_that_lead_elsewhere(self):
        self.hub.extra_siblings = [{"rfilename": name, "size": 5} for name in (
            "../../../evil-Q2_K.gguf", "/tmp/evil-Q2_K.gguf", "a/../../evil-Q2_K.gguf", ".ssh/evil-Q2_K.gguf")]
        self.pull(f"{REPO}:Q2_K", code=1, saying=["Q4_K_M"])
        self.assertFalse(list(self.home.rglob("evil*")))

    def test_in_use(self):
        self.pull(f"{REPO}:Q4_K_M")
        with self.target.open("rb"):
            done = self.potluck("rm", REPO, "--yes")
            self.assertEqual(done.returncode, 1)
            self.assertIn(str(os.getpid()), done.stderr)
        self.assertTrue(self.target.exists())


if __name__ == "__main__":
    unittest.main()
