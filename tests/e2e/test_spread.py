"""A model is read once, its experts go to the workers, and from then on it is served without its file."""

import json
import os
import shutil
import signal
import socket
import time
import unittest
import urllib.request

from pool_support import PoolTest
from range_server import RangeServer, make_certificates
from support import TALETELLER, wait_for

PROMPT = "Once upon a time"
TOKENS = 48
NAME = "tale"


def free_port():
    """Three ports in a row that are free at present."""
    while True:
        with socket.socket() as first:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                for more in (1, 2):
                    with socket.socket() as other:
                        other.bind(("127.0.0.1", port + more))
                return port
            except OSError:
                continue


class SpreadTest(PoolTest):
    def setUp(self):
        super().setUp()
        self.source = self.home / "stick" / f"{NAME}.gguf"
        self.source.parent.mkdir()
        shutil.copy(TALETELLER, self.source)
        self.port = free_port()
        self.kept = self.home / "coordinator/models" / NAME

    def coordinate(self, model, *arguments, invitations=3, **extra):
        process = self.start("serve", model, "--listen", f"127.0.0.1:{self.port}", "--no-beacon", "--threads", "1",
                             "--invitations", invitations, *arguments, stdin=-1, **extra)
        return process, *self.lines_of(process)

    def kill(self, process):
        process.send_signal(signal.SIGKILL)
        process.wait()

    def join_all(self, out, workers):
        tokens = wait_for(lambda: (found := self.tokens_in(out)) and len(found) >= workers and found,
                          "invitations")
        return [self.join(tokens[i], f"store-{i}", "--disk", "2GiB") for i in range(workers)]

    @staticmethod
    def tokens_in(out):
        return [line.split()[2] for line in out.text.splitlines() if line.startswith("potluck join ")]

    def generate(self, err, timeout=300):
        url = err.wait_for(r"listening on (http://[^/\s]+)")[1]
        body = {"prompt": PROMPT, "max_tokens": TOKENS, "temperature": 0, "ignore_eos": True}
        request = urllib.request.Request(url + "/v1/completions", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return json.load(answer)["choices"][0]["text"]

    def expected(self):
        return self.report("run", TALETELLER, "--raw", "--temp", "0", "--ignore-eos", "-p", PROMPT, "-n",
                           TOKENS)["text"]

    def kept_bytes(self):
        return sum(path.stat().st_blocks * 512 for path in self.kept.rglob("*") if path.is_file())

    def listed(self):
        return self.report("list")["spread"]

    def status(self):
        done = self.potluck("status", "--json")
        return json.loads(done.stdout) if done.returncode == 0 else {}


class FromAPath(SpreadTest):
    def test_spread_then_served_without_the_file(self):
        server, out, err = self.coordinate(self.source, "--spread")
        workers = self.join_all(out, 3)
        text = self.generate(err)
        self.assertEqual(text, self.expected())
        err.wait_for("is not needed any more")
        model, = self.listed()
        self.assertTrue(model["complete"])
        self.assertEqual(model["source"], str(self.source))
        self.assertEqual(model["replicas"], 2)
        # What is kept is the resident part, digests and the manifest.
        self.assertLess(self.kept_bytes(), model["kept_bytes"] + 1024 * 1024)
        self.assertLess(model["kept_bytes"], model["whole_bytes"])
        self.source.unlink()
        # One worker dies: the others have all that it had.
        self.kill(workers[0][0])
        self.assertEqual(self.generate(err), text)
        self.stop(server)
        # By its name, and by the path it had.
        for model_name in (NAME, self.source):
            server, out, err = self.coordinate(model_name, invitations=0)
            self.assertEqual(self.generate(err), text)
            self.stop(server)

    def test_killed_in_the_middle_and_resumed(self):
        server, out, err = self.coordinate(self.source, "--spread", POTLUCK_SPREAD_WINDOW="1MiB")
        self.join_all(out, 3)
        # An invitation ends with the process that gave it.
        wait_for(lambda: len(self.status().get("workers", [])) == 3, "three workers")
        for share in (0.1, 0.4, 0.7):
            wait_for(lambda: (found := self.listed()) and found[0]["read_share"] >= share, "experts")
            self.kill(server)
            server, out, err = self.coordinate(self.source, "--spread", invitations=0,
                                               POTLUCK_SPREAD_WINDOW="1MiB")
        self.assertEqual(self.generate(err), self.expected())


class FromAServer(SpreadTest):
    def setUp(self):
        super().setUp()
        self.authority, certificate, key = make_certificates(self.home / "tls")
        self.hub = RangeServer(self.source, certificate, key)
        self.addCleanup(self.hub.stop)

    def test_redirected_busy_and_cut_off(self):
        self.hub.cut_every = 7
        self.hub.busy_every = 11
        _, out, err = self.coordinate(self.hub.address, "--spread", "--ca-file", self.authority,
                                      POTLUCK_SOURCE_TOKEN="the-token")
        self.join_all(out, 3)
        self.assertEqual(self.generate(err), self.expected())
        hub = [token for path, token in self.hub.headers if path.startswith("/hub/")]
        store = [token for path, token in self.hub.headers if path.startswith("/store/")]
        self.assertEqual(set(hub), {"Bearer the-token"})
        self.assertEqual(set(store), {None})
        sent = sum(last - first + 1 for first, last in self.hub.served)
        # The header is read twice, once to know what there is; nothing else is, but a little behind it.
        self.assertLess(sent, self.source.stat().st_size + 3 * 1024 * 1024)
        for path in self.kept.rglob("*"):
            if path.is_file():
                self.assertNotIn(b"the-token", path.read_bytes())

    def test_a_certificate_of_a_stranger_is_refused(self):
        done = self.potluck("serve", self.hub.address, "--spread", "--listen", "127.0.0.1:0")
        self.assertEqual(done.returncode, 1)
        self.assertIn("certificate", done.stderr)
        self.assertEqual(self.hub.served, [])

    def test_the_server_goes_away_and_comes_back(self):
        self.hub.bytes_per_second = 4 * 1024 * 1024
        _, out, err = self.coordinate(self.hub.address, "--spread", "--ca-file", self.authority,
                                      POTLUCK_SPREAD_WINDOW="4MiB")
        self.join_all(out, 2)
        wait_for(lambda: (found := self.listed()) and found[0]["read_share"] >= 0.2, "experts")
        self.hub.refusing = True
        time.sleep(1)
        self.hub.refusing = False
        self.hub.bytes_per_second = None
        self.assertEqual(self.generate(err), self.expected())

    def test_a_file_that_changed_is_not_mixed(self):
        self.hub.bytes_per_second = 4 * 1024 * 1024
        server, out, err = self.coordinate(self.hub.address, "--spread", "--ca-file", self.authority,
                                           POTLUCK_SPREAD_WINDOW="4MiB")
        self.join_all(out, 2)
        wait_for(lambda: (found := self.listed()) and found[0]["read_share"] >= 0.2, "experts")
        self.hub.tag = '"v2"'
        err.wait_for("the file changed")
        self.assertLess(self.listed()[0]["read_share"], 1)
        self.stop(server)


class LostUnits(SpreadTest):
    @unittest.skipUnless(os.environ.get("POTLUCK_SOAK"), "takes minutes: a device may come back; POTLUCK_SOAK=1 runs it")
    def test_all_copies_lost_are_read_again(self):
        _, out, err = self.coordinate(self.source, "--spread", "--replicas", "1", invitations=3)
        workers = self.join_all(out, 1)
        text = self.generate(err)
        self.kill(workers[0][0])
        err.wait_for("are with no worker")
        wait_for(lambda: self.status().get("spread", {}).get("missing_units", 0) > 0, "missing units in the status")
        self.join(self.tokens_in(out)[1], "store-new", "--disk", "2GiB")
        self.assertEqual(self.generate(err), text)

    def test_without_a_source_steps_wait_for_the_device(self):
        _, out, err = self.coordinate(self.source, "--spread", "--replicas", "1")
        workers = self.join_all(out, 1)
        text = self.generate(err)
        self.source.unlink()
        self.kill(workers[0][0])
        err.wait_for("are with no worker")
        worker, _ = self.join("", "store-0", "--disk", "2GiB")
        self.assertEqual(self.generate(err), text)
        self.stop(worker)


if __name__ == "__main__":
    unittest.main()
