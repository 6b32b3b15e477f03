"""A kernel that lacks what came after Linux 4.14 (io_uring, memory prepared ahead, and whatever the C library asks for
first) and files that refuse direct reads, as on a phone's FUSE: programs work all the same, with the same text."""

import json
import os
import pathlib
import shutil
import signal
import unittest

from pool_support import Lines, PoolTest
from support import BINARY, ROOT, TALETELLER, wait_for

FILTER = os.environ.get("POTLUCK_CALL_FILTER", str(ROOT / "build/release/tools/call_filter"))
WORKER = os.environ.get("POTLUCK_WORKER_PROGRAM", str(pathlib.Path(BINARY).with_name("potluck-worker")))
STATIC_WORKER = os.environ.get("POTLUCK_STATIC_WORKER", str(ROOT / "build/static/potluck-worker"))
RUN = ("run", TALETELLER, "--raw", "--ignore-eos", "--temp", "0", "-p", "Once upon a time", "-n", "24", "--json")
LITTLE = "8MiB"  # of 15: experts are read from disk again and again


class OldSystems(PoolTest):
    def setUp(self):
        super().setUp()
        if os.uname().machine != "x86_64":
            self.skipTest("the filter is one for x86-64")
        for program in (FILTER, WORKER):
            if not pathlib.Path(program).exists():
                self.skipTest(f"{program} is not there: scripts/build release potluck-worker call_filter")

    def run_old(self, *command):
        process = self.start("--old", *command, binary=FILTER)
        out, err = process.communicate(timeout=600)
        return process.returncode, out.decode(), err.decode()

    def run_alone(self):
        done = self.potluck(*RUN)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)["text"]

    def test_the_filter_refuses(self):
        """Or the tests below would show nothing."""
        code, _, err = self.run_old(BINARY, *RUN, "--ram", LITTLE, "--reader", "io_uring")
        self.assertNotEqual(code, 0)
        self.assertIn("--reader: io_uring: ", err)
        findings = json.loads(self.run_old(BINARY, "doctor", "--json")[1])["findings"]
        self.assertIn("takes no direct reads", next(one["found"] for one in findings if one["subject"] == "file system"))

    def test_experts_are_read_from_the_model_file(self):
        code, out, err = self.run_old(BINARY, *RUN, "--ram", LITTLE)
        self.assertEqual(code, 0, err)
        self.assertEqual(json.loads(out)["text"], self.run_alone())

    def test_workers_join_read_their_stores_and_leave(self):
        alone = self.run_alone()
        for program in (path for path in (WORKER, STATIC_WORKER) if pathlib.Path(path).exists()):
            with self.subTest(program):
                server, out, err = self.serve("--port", "0")
                process = self.start("--old", program, "join", self.next_token(out), "--store", self.home / "store",
                                     "--ram", LITTLE, "--disk", "64MiB", "--threads", "1", "--ignore-health",
                                     binary=FILTER)
                lines = Lines(process.stderr)
                self.addCleanup(lambda ended=process, read=lines: (self.stop(ended), read.thread.join(5)))
                wait_for(self.units_ready, f"the worker; {lines.text}")
                port = int(err.wait_for(r"http://127\.0\.0\.1:(\d+)").group(1))
                self.assertEqual(self.complete(port), alone)
                self.assertGreater(wait_for(lambda: self.units_ready()["counters"]["disk_bytes"], "reads"), 0)
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(60), 0, lines.text)
                self.stop(server)
                shutil.rmtree(self.home / "store")


if __name__ == "__main__":
    unittest.main()
