"""`potluck keys`: makes, lists and removes the keys of the HTTP API, which a running `serve` follows."""

import hashlib
import json
import os
import re
import stat
import subprocess
import threading
import unittest

from support import BINARY, TALETELLER, PotluckTest, wait_for
from test_api import ApiTest, chat


class Keys(PotluckTest):
    def setUp(self):
        super().setUp()
        self.file = self.home / "coordinator/api-keys"

    def add(self, name, *arguments):
        done = self.potluck("keys", "add", name, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"\Ask-potluck-[0-9a-f]{64}\n\Z")
        return done.stdout.strip()

    def names(self, *arguments):
        return [key["name"] for key in self.report("keys", "list", *arguments)["api_keys"]]

    def test_add_list_remove(self):
        self.assertEqual(self.report("keys"), {"file": str(self.file), "required": False, "api_keys": []})
        ann, bob = self.add("ann"), self.add("bob's laptop")
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)
        text = self.file.read_text()
        self.assertIn(hashlib.sha256(ann.encode()).hexdigest(), text)
        listed = self.potluck("keys", "list")
        self.assertRegex(listed.stdout, r"\A(20\d\d-\S+Z  ann\n)(20\d\d-\S+Z  bob's laptop\n)\Z")
        self.assertEqual(self.potluck("keys").stdout, listed.stdout)
        report = self.report("keys", "list")
        self.assertEqual([key["name"] for key in report["api_keys"]], ["ann", "bob's laptop"])
        for said in (text, listed.stdout, json.dumps(report)):
            for key in (ann, bob):
                self.assertNotIn(key, said)
                self.assertNotIn(key.removeprefix("sk-potluck-"), said)
        done = self.potluck("keys", "remove", "ann")
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        self.assertEqual(self.names(), ["bob's laptop"])
        done = self.potluck("keys", "remove", "bob's laptop")
        self.assertIn("no key is left", done.stderr)
        self.assertEqual(self.report("keys"), {"file": str(self.file), "required": True, "api_keys": []})

    def test_wrong_use(self):
        self.add("ann")
        for arguments, said in ((("add",), "expected a name"), (("remove",), "expected a name"),
                                (("list", "ann"), "'ann'"), (("renew", "ann"), "list, add, remove"),
                                (("add", "ann"), "already"), (("add", ""), "expected a name"),
                                (("add", "n" * 65), "64 bytes"), (("add", "a\nb"), "control"),
                                (("add", " ann"), "blank"), (("add", b"\xff"), "UTF-8")):
            done = subprocess.run([BINARY, "keys", *arguments], env=self.environment(),
                                  capture_output=True, timeout=60, check=False)
            self.assertEqual((done.returncode, done.stdout), (2, b""), arguments)
            self.assertIn(said, done.stderr.decode())
        done = self.potluck("keys", "remove", "eve")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no key 'eve'", done.stderr)
        self.assertEqual(self.names(), ["ann"])

    def test_files_that_cannot_be_used(self):
        self.add("ann")
        for damage in (b"secret\n", os.urandom(1000), b"0" * (2 << 20)):
            self.file.write_bytes(damage)
            for arguments in (("list",), ("add", "bob"), ("remove", "ann")):
                done = self.potluck("keys", *arguments)
                self.assertNotEqual(done.returncode, 0)
                self.assertEqual(done.stdout, "")
                self.assertIn("api-keys", done.stderr)
                self.assertNotIn("secret", done.stderr)
            self.assertEqual(self.file.read_bytes(), damage)
            done = self.potluck("serve", TALETELLER, "--listen", "127.0.0.1:0")
            self.assertNotEqual(done.returncode, 0)  # it does not begin without keys
            self.assertIn("api-keys", done.stderr)
        self.file.write_text("# none left\n")
        done = self.potluck("serve", TALETELLER, "--listen", "127.0.0.1:0")
        self.assertEqual(done.returncode, 2)
        self.assertIn("potluck keys add", done.stderr)
        self.file.unlink()
        self.file.mkdir()
        for arguments in (("keys", "list"), ("keys", "add", "bob"),
                          ("serve", TALETELLER, "--listen", "127.0.0.1:0")):
            self.assertNotEqual(self.potluck(*arguments).returncode, 0)

    def test_places_that_cannot_be_written(self):
        missing = self.home / "no/such/keys"
        done = self.potluck("keys", "add", "ann", "--api-key-file", missing)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("no/such/keys", done.stderr)
        disk = self.small_disk(1)
        file = disk / "keys"
        ann = self.add("ann", "--api-key-file", file)
        self.add("eve", "--api-key-file", file)  # so that something is left to write
        before = file.read_bytes()
        with open(disk / "ballast", "wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(4096))
            except OSError:
                pass
        for arguments in (("add", "bob"), ("remove", "ann")):
            done = self.potluck("keys", *arguments, "--api-key-file", file)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn(str(file), done.stderr)
        self.assertEqual(file.read_bytes(), before)
        self.assertEqual([entry.name for entry in disk.iterdir() if ".tmp." in entry.name], [])
        self.assertIn(hashlib.sha256(ann.encode()).hexdigest(), before.decode())

    def test_several_at_once(self):
        threads = [threading.Thread(target=self.add, args=(f"name {number}",)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(self.names()), [f"name {number}" for number in range(8)])

    def test_a_key_that_cannot_be_shown_is_an_error(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([BINARY, "keys", "add", "ann"], env=self.environment(), stdout=full,
                                  stderr=subprocess.PIPE, timeout=60, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"standard output", done.stderr)


class Served(ApiTest):
    def status(self, key=None):
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return self.request("POST", "/v1/completions", {"prompt": "The sea", "max_tokens": 1}, headers)[0]

    def make(self, name, *arguments):
        done = self.potluck("keys", "add", name, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def counts(self, key):
        connection = self.connect()
        connection.request("GET", "/metrics", headers={"X-Api-Key": key})
        text = connection.getresponse().read().decode()
        return dict(re.findall(r'^potluck_requests_total\{key="(.*)"\} (\d+)$', text, re.M)), text

    def test_serve_follows_the_keys(self):
        self.start_api(workers=0)
        self.assertEqual(self.status(), 200)
        self.assertEqual(self.status("any"), 200)
        ann = self.make("ann")
        wait_for(lambda: self.status() == 401, "an API that asks for a key")
        self.assertEqual([self.status("any"), self.status(ann)], [401, 200])
        self.assertEqual(self.request("GET", "/v1/models")[0], 200)
        bob = self.make('bob "the \\ builder"')
        wait_for(lambda: self.status(bob) == 200, "the second key")

        # What is under way is answered, also if its key goes meanwhile.
        connection = self.connect()
        connection.request("POST", "/v1/chat/completions",
                           json.dumps(chat("Tell me a story.", max_tokens=300, ignore_eos=True, stream=True)),
                           {"Authorization": f"Bearer {ann}"})
        answer = connection.getresponse()
        answer.readline()
        counts, text = self.counts(bob)
        self.assertEqual(counts["ann"], "2")
        self.assertGreaterEqual(int(counts['bob \\"the \\\\ builder\\"']), 2)
        self.assertNotIn(bob, text)
        self.potluck("keys", "remove", "ann")
        wait_for(lambda: self.status(ann) == 401, "a key that is gone")
        self.assertEqual(self.status(bob), 200)
        self.assertIn(b"data: [DONE]", answer.read())

        # Whatever happens to the file, nothing is opened.
        file = self.home / "coordinator/api-keys"
        good = file.read_bytes()
        for number, damage in enumerate((lambda: file.write_bytes(b"garbage\n"), file.unlink), 1):
            damage()
            wait_for(lambda: self.status(bob) and self.err.text.count("stay in force") == number,
                     "a line about the file")
            self.assertEqual([self.status(), self.status(ann), self.status(bob)], [401, 401, 200])
            file.write_bytes(good)
        self.potluck("keys", "remove", 'bob "the \\ builder"')
        wait_for(lambda: self.status(bob) == 401, "an API without keys")
        self.assertEqual(self.status(), 401)
        self.err.wait_for("no key in it any more")

    def test_serve_begins_with_them(self):
        ann = self.make("ann")
        self.start_api(workers=0)
        self.assertEqual([self.status(), self.status(ann)], [401, 200])

    def test_a_file_that_is_named_is_followed_too(self):
        file = self.home / "keys.txt"
        file.write_text(hashlib.sha256(b"secret").hexdigest() + " eve\n")
        self.make("ann")  # into the file that is not used here
        self.start_api("--api-key-file", file, workers=0)
        self.assertEqual([self.status(), self.status("secret")], [401, 200])
        bob = self.make("bob", "--api-key-file", file)
        wait_for(lambda: self.status(bob) == 200, "a key that was added")
        self.assertEqual(self.status("secret"), 200)
        self.potluck("keys", "remove", "eve", "--api-key-file", file)
        wait_for(lambda: self.status("secret") == 401, "a key that is gone")


if __name__ == "__main__":
    unittest.main()
