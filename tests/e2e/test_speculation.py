"""Tokens that are computed before they are chosen change no answer: alone, from disk, and in a pool."""

import unittest

from support import TALETELLER, PotluckTest

REPEATING = "The cat sat on the mat. The dog sat on the log. " * 5 + "The cat sat on"


class Speculation(PotluckTest):
    def answer(self, *more):
        return self.report("run", TALETELLER, "-p", REPEATING, "--raw", "-n", "60", "--ignore-eos", "--ctx", "512", *more)

    def test_every_rule_gives_the_same_text(self):
        for sampling in (["--temp", "0"], ["--seed", "7", "--temp", "0.6", "--repeat-penalty", "1.1"]):
            expected = self.answer(*sampling, "--speculate", "off")
            self.assertEqual(len(expected["tokens"]), 60)
            for where in ([], ["--ram", "8MiB"], ["--workers", "2", "--slices", "2"]):
                for rule in ("auto", "lookup"):
                    found = self.answer(*sampling, "--speculate", rule, *where)
                    self.assertEqual(found["tokens"], expected["tokens"], (rule, where))
                    self.assertEqual(found["finish_reason"], expected["finish_reason"])

    def test_bench_says_what_it_brings(self):
        plain = self.report("bench", TALETELLER, "--prompt", "8", "--generate", "16")
        self.assertNotIn("speculation", plain)
        measured = self.report("bench", TALETELLER, "--prompt", "8", "--generate", "48", "--speculate", "lookup")
        repeating = measured["speculation"]["repeating"]
        self.assertGreater(repeating["drafted_tokens"], repeating["accepted_tokens"])
        self.assertGreater(repeating["accepted_tokens"], 0)
        self.assertGreater(repeating["ratio_most"], repeating["ratio_least"])
        self.assertIn("other", measured["speculation"])


if __name__ == "__main__":
    unittest.main()
