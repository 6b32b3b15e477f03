"""A device whose battery runs low or whose owner allows little: it says so, lends less, and answers all the
same."""

import json
import unittest

from support import wait_for
from test_api import STORY, ApiTest


class Health(ApiTest):
    def worker_health(self):
        status = self.units_ready()
        return status["workers"][0]["health"] if status and status["workers"] else None

    def test_a_low_battery_is_told_and_the_text_stays(self):
        said = self.home / "health.json"
        said.write_text(json.dumps({"percentage": 80, "plugged": "UNPLUGGED", "temperature": 30.0}))
        self.start_api(workers=0)
        _, worker_err = self.join(self.next_token(self.out), "a", "--health-file", said)
        healthy = wait_for(self.worker_health, "the worker's health")
        self.assertEqual(healthy["share_percent"], 100)
        said.write_text(json.dumps({"percentage": 12, "plugged": "UNPLUGGED", "temperature": 30.0}))
        worker_err.wait_for("lends 0 % of its speed: its battery is at 12 %")
        self.err.wait_for("lends 0 % of its speed: its battery is at 12 %")
        tired = wait_for(lambda: (seen := self.worker_health()) and seen["share_percent"] == 0 and seen,
                         "the low battery in the status")
        self.assertEqual((tired["battery_percent"], tired["on_battery"]), (12, True))
        self.assertIn("its battery is at 12 %", self.potluck("status").stdout)
        self.assertEqual(self.told(STORY), self.run_text("-p", STORY))

    def test_flags_that_cannot_be_met(self):
        for flag, value, expected in (("--max-cpu", "0", "1 to 100"), ("--max-cpu", "101", "1 to 100"),
                                      ("--min-battery", "x", "whole number"),
                                      ("--quiet-hours", "25:00-07:00", "times of day")):
            done = self.potluck("join", "potluck1.x", "--store", self.home / "s", flag, value)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(flag, done.stderr)
            self.assertIn(expected, done.stderr)


if __name__ == "__main__":
    unittest.main()
