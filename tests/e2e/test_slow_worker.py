"""Workers with slow processors: they stay members, and the text is that of a solo run."""

import json
import unittest

from support import STORYTELLER, PotluckTest


class SlowWorker(PotluckTest):
    def run_json(self, *arguments):
        done = self.potluck("run", STORYTELLER, "--raw", "--temp", "0", "--json", "-n", "3",
                            "-p", "Once upon a time there was a little girl who " * 6, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout), done.stderr

    def test_a_long_prefill_costs_no_membership(self):
        solo, _ = self.run_json()
        slow, err = self.run_json("--workers", "2", "--sim-compute", "200")
        self.assertEqual(slow["tokens"], solo["tokens"])
        self.assertEqual(slow["workers_lost"], 0)
        self.assertNotIn("did not answer", err)
        self.assertGreater(slow["remote_expert_calls"], 0)


if __name__ == "__main__":
    unittest.main()
