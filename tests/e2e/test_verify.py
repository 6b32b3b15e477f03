"""Answers of workers are compared: the text is the same in every mode, and who is in quarantine gets no work."""

import json
import re
import unittest

from pool_support import PoolTest
from support import TALETELLER, wait_for


class Verify(PoolTest):
    def test_every_mode_gives_the_same_text(self):
        arguments = ["run", TALETELLER, "--raw", "-p", "Once upon a time", "-n", "40", "--seed", "11", "--ignore-eos"]
        solo = self.report(*arguments)
        for mode in ("all", "sample", "off"):
            pool = self.report(*arguments, "--workers", "2", "--verify", mode)
            self.assertEqual(pool["tokens"], solo["tokens"], mode)
            self.assertEqual(pool["workers_lost"], 0)

    def test_bench_counts_comparisons(self):
        arguments = ["bench", TALETELLER, "--threads", "1", "--generate", "24", "--workers", "2"]
        counted = {mode: self.report(*arguments, "--verify", mode) for mode in ("all", "sample", "off")}
        text = {mode: json.dumps(found) for mode, found in counted.items()}
        checks = {mode: int(re.search(r'"own_checks": ?(\d+)', found).group(1)) for mode, found in text.items()}
        self.assertEqual(checks["off"], 0)
        self.assertGreater(checks["sample"], 0)
        self.assertGreater(checks["all"], checks["sample"])

    def test_trust_is_shown_and_quarantine_holds_until_release(self):
        server, out, err = self.serve()
        token = self.next_token(out)
        worker, _ = self.join(token, "a", "--ram", "64MiB")
        status = wait_for(self.units_ready, "all units")
        shown = status["workers"][0]
        self.assertEqual(shown["breaker"], "closed")
        self.assertIsNone(shown["quarantine"])
        self.assertEqual(shown["trust"]["compared_share"], 1)
        key = shown["key"]
        self.stop(server)
        self.stop(worker)
        # As a liar would have left it.
        path = self.home / "coordinator" / "quarantine"
        path.write_text(f"{key} 1 4000000000 a wrong answer in layer 3\n")
        server, out, err = self.serve("--verify", "all")
        token = self.next_token(out)
        self.join(token, "a", "--ram", "64MiB")

        def member():
            status = json.loads(self.potluck("status", "--json").stdout)
            return status if status["running"] and status["workers"] else None
        status = wait_for(member, "the worker")
        self.assertEqual(status["workers"][0]["quarantine"]["reason"], "a wrong answer in layer 3")
        self.assertEqual(status["workers"][0]["units_assigned"], 0)
        self.assertIn("in quarantine, gets no work: a wrong answer in layer 3", self.potluck("status").stdout)
        server.stdin.write(b"release\n")
        server.stdin.flush()
        err.wait_for("out of quarantine")
        status = wait_for(self.units_ready, "all units")
        self.assertIsNone(status["workers"][0]["quarantine"])
        self.assertIn(f"{key} 1 0 ", path.read_text())

        before = self.ask(server, out, "Once upon a time")
        wait_for(lambda: len(out.text) > before + 20, "an answer")

        def compared():
            status = self.units_ready()
            return status if status and status["workers"][0]["trust"]["compared"] > 0 else None
        trust = wait_for(compared, "comparisons")["workers"][0]["trust"]
        self.assertEqual(trust["wrong"], 0)
        self.assertIn("right in a row", self.potluck("status").stdout)


if __name__ == "__main__":
    unittest.main()
