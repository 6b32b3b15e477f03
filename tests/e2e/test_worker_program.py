"""The program potluck-worker, which has what a device needs that only computes."""

import json
import os
import pathlib
import subprocess
import unittest

from pool_support import Lines, PoolTest
from support import BINARY, wait_for

WORKER = os.environ.get("POTLUCK_WORKER_PROGRAM", str(pathlib.Path(BINARY).with_name("potluck-worker")))


class WorkerProgram(PoolTest):
    def setUp(self):
        super().setUp()
        if not pathlib.Path(WORKER).exists():
            self.skipTest(f"{WORKER} is not there: scripts/build release potluck-worker")

    def worker(self, *arguments):
        return subprocess.run([WORKER, *map(str, arguments)], env=self.environment(), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)

    def test_it_is_admitted_by_its_code_and_leaves(self):
        """Nothing is typed on the device."""
        self.serve("--port", "0", "--invitations", "0")[2].wait_for("run `potluck join`")
        store = self.home / "device"
        process = self.start("join", "--store", store, "--ram", "64MiB", "--threads", "1", "--ignore-health",
                             "--name", "phone", binary=WORKER)
        lines = Lines(process.stderr)
        self.addCleanup(lambda: (self.stop(process), lines.thread.join(5)))
        code = lines.wait_for(r"the code is (\d{4}-\d{4}): ").group(1)
        admitted = self.potluck("admit", code)
        self.assertEqual(admitted.returncode, 0, admitted.stderr)
        wait_for(self.units_ready, f"the worker; {lines.text}")
        left = self.worker("leave", "--store", store)
        self.assertEqual(left.returncode, 0, left.stderr)
        self.assertEqual(process.wait(60), 0, lines.text)

    def test_it_names_itself_and_knows_no_other_command(self):
        self.assertTrue(self.worker("version").stdout.startswith("potluck-worker "))
        refused = self.worker("serve", "m")
        self.assertEqual(refused.returncode, 2)
        self.assertIn("potluck-worker: unknown command 'serve'", refused.stderr)
        self.assertIn("complete -F _potluck-worker potluck-worker", self.worker("completion", "bash").stdout)
        self.assertIn(".TH POTLUCK-WORKER-JOIN 1", self.worker("man", "join").stdout)
        self.assertIn("potluck-worker.toml", self.worker("--help").stdout)

    def test_its_doctor_looks_at_no_ports_of_a_coordinator(self):
        report = json.loads(self.worker("doctor", "--json").stdout)
        subjects = {finding["subject"] for finding in report["findings"]}
        self.assertNotIn("port", subjects)
        self.assertLessEqual({"disk", "memory", "clock"}, subjects)


if __name__ == "__main__":
    unittest.main()
