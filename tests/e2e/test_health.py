"""A device whose battery runs low, that is hot or unplugged, or whose owner allows little: it says so before it
pauses, others take over, and the text stays the same."""

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
        _, worker_err = self.join(self.next_token(self.out), "a", "--health-file", said, "--battery-floor", "40%")
        healthy = wait_for(self.worker_health, "the worker's health")
        self.assertEqual(healthy["share_percent"], 100)
        self.assertEqual(healthy["pause_in_seconds"], 0)
        said.write_text(json.dumps({"percentage": 32, "plugged": "UNPLUGGED", "temperature": 30.0}))
        worker_err.wait_for(r"will pause in \d+ s: its battery is at 32 %")
        self.err.wait_for(r"will pause in \d+ s: its battery is at 32 %")
        soon = wait_for(lambda: (seen := self.worker_health()) and seen["pause_in_seconds"] and seen,
                        "the pause that comes in the status")
        self.assertEqual(soon["share_percent"], 100)
        self.assertRegex(self.potluck("status").stdout, r"pauses in \d+ s: its battery is at 32 %")
        worker_err.wait_for("lends 0 % of its speed: its battery is at 32 %")
        self.err.wait_for("lends 0 % of its speed: its battery is at 32 %")
        tired = wait_for(lambda: (seen := self.worker_health()) and seen["share_percent"] == 0 and seen,
                         "the low battery in the status")
        self.assertEqual((tired["battery_percent"], tired["on_battery"]), (32, True))
        self.assertIn("its battery is at 32 %", self.potluck("status").stdout)
        self.assertEqual(self.told(STORY), self.run_text("-p", STORY))

    def test_charger_heat_and_battery_drive_drains_and_returns(self):
        """Three of four devices have to pause, each for another reason: the fourth has everything before they do, and
        they get their parts back."""
        charged = {"percentage": 80, "plugged": "PLUGGED_AC", "temperature": 30.0}
        tired = {"charger": {**charged, "plugged": "UNPLUGGED"},
                 "heat": {**charged, "temperature": 44.0},
                 "battery": {**charged, "plugged": "UNPLUGGED", "percentage": 20}}
        reasons = {"charger": "it is not being charged", "heat": "its battery has 44 C",
                   "battery": "its battery is at 20 %"}
        allowed = {"charger": ["--only-when-charging"], "heat": ["--pause-above", "42C"],
                   "battery": ["--battery-floor", "40%"]}
        self.start_api(workers=0)
        known = set()
        for name in (*tired, "healthy"):
            token = self.next_token(self.out, known)
            known.add(token)
            if name == "healthy":
                self.join(token, name, "--name", name)
                continue
            (self.home / f"{name}.json").write_text(json.dumps(charged))
            self.join(token, name, "--name", name, "--health-file", self.home / f"{name}.json", *allowed[name])
        # On a busy machine some of them may be too slow to be of use: not all get units.
        def some(units):
            return len(units) == 4 and any(units[name] for name in tired)
        self.wait_for_units(some, "units on some of them")
        text = self.run_text("-p", STORY)
        self.assertEqual(self.told(STORY), text)
        for name, condition in tired.items():
            (self.home / f"{name}.json").write_text(json.dumps(condition))
        for name, reason in reasons.items():
            self.err.wait_for(rf"{name}, .*will pause in \d+ s: {reason}")
        self.assertEqual(self.told(STORY), text)
        self.wait_for_units(lambda units: not any(units[name] for name in tired), "units on the healthy one alone")
        for name, reason in reasons.items():
            self.err.wait_for(rf"{name}, .*lends 0 % of its speed: {reason}")
        self.assertEqual(self.told(STORY), text)
        for name in tired:
            (self.home / f"{name}.json").write_text(json.dumps(charged))
        for name in tired:
            self.err.wait_for(rf"{name}, .*lends 100 % of its speed")
        self.wait_for_units(some, "units on some of them again")
        self.assertEqual(self.told(STORY), text)
        status = wait_for(lambda: (seen := self.units_ready()) and
                          {w["health"]["share_percent"] for w in seen["workers"]} == {100} and seen,
                          "devices that all lend their whole speed")
        self.assertEqual(status["workers_lost"], 0)

    def wait_for_units(self, condition, what):
        """By the name of each worker, the units that it holds, once all are ready."""
        def units():
            status = self.units_ready()
            return {w["name"]: w["units_assigned"] for w in status["workers"]} if status else None
        return wait_for(lambda: (seen := units()) and condition(seen), what)

    def test_flags_that_cannot_be_met(self):
        for flag, value, expected in (("--max-cpu", "0", "1 to 100"), ("--max-cpu", "101", "1 to 100"),
                                      ("--battery-floor", "x", "whole number"), ("--pause-above", "42F", "42"),
                                      ("--quiet-hours", "25:00-07:00", "times of day")):
            done = self.potluck("join", "potluck1.x", "--store", self.home / "s", flag, value)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(flag, done.stderr)
            self.assertIn(expected, done.stderr)


if __name__ == "__main__":
    unittest.main()
