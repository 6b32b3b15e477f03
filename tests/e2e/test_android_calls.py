"""The one-file worker under the list of system calls that Android lets apps make, where any other one ends a process
by a signal."""

import os
import pathlib
import signal
import subprocess
import unittest

from pool_support import Lines, PoolTest
from support import ROOT, wait_for

FILTER = os.environ.get("POTLUCK_CALL_FILTER", str(ROOT / "build/release/tools/call_filter"))
WORKER = os.environ.get("POTLUCK_STATIC_WORKER", str(ROOT / "build/static/potluck-worker"))
CALLS = ROOT / "tests/data/android/app_calls_x86_64.txt"
ROOM = "4MiB"


class AndroidCalls(PoolTest):
    def setUp(self):
        super().setUp()
        if os.uname().machine != "x86_64":
            self.skipTest("the list is that of x86-64")
        for program, target in ((WORKER, "scripts/build static potluck-worker"),
                                (FILTER, "scripts/build release call_filter")):
            if not pathlib.Path(program).exists():
                self.skipTest(f"{program} is not there: {target}")

    def join_as_app(self, token, name):
        process = self.start(CALLS, WORKER, "join", token, "--store", self.home / name, "--threads", "1",
                             "--ignore-health", "--ram", "64MiB", "--disk", ROOM, "--name", name,
                             binary=FILTER)
        lines = Lines(process.stderr)
        self.addCleanup(lambda: (self.stop(process), lines.thread.join(5)))
        return process, lines

    def test_the_filter_ends_what_calls_others(self):
        """Or the tests below would show nothing: the dynamic program's C library makes other calls."""
        done = subprocess.run([FILTER, CALLS, "/bin/true"], check=False)
        self.assertEqual(done.returncode, -signal.SIGSYS)

    def test_workers_compute_and_hand_over(self):
        alone = self.alone()
        _, out, err = self.serve("--port", "0", "--slices", "4", "--verify", "all")
        tokens = [self.next_token(out)]
        workers = {"one": self.join_as_app(tokens[0], "one")}
        tokens.append(self.next_token(out, tokens))
        workers["two"] = self.join_as_app(tokens[1], "two")

        def both():
            status = self.units_ready()
            return status if status and len(status["workers"]) == 2 else None
        wait_for(both, f"two workers; {[lines.text for _, lines in workers.values()]}")
        port = int(err.wait_for(r"http://127\.0\.0\.1:(\d+)").group(1))
        self.assertEqual(self.complete(port), alone)
        # Frozen, as Android does with apps, and thawed.
        process = workers["one"][0]
        process.send_signal(signal.SIGSTOP)
        self.assertEqual(self.complete(port), alone)
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(60), 0, workers["one"][1].text)
        # The coordinator may have given it up meanwhile: it comes back to hand over.
        self.assertNotIn("without handing over", workers["one"][1].text)
        self.assertEqual(self.complete(port), alone)
        self.assertIsNone(workers["two"][0].poll(), workers["two"][1].text)


if __name__ == "__main__":
    unittest.main()
