"""Every family through the program: alone as the transformers library computed it, and with three
workers the same bits."""

import json
import math
import unittest

from support import FIXTURE, PotluckTest, digest_of

GREEDY = 24
WORKERS = ["--workers", "3", "--slices", "2", "--prefill-chunk", "7"]


class Families(PotluckTest):
    def evaluate(self, folder, *arguments):
        reference = json.loads((folder / "reference.json").read_text())
        tokens = self.home / "tokens.json"
        tokens.write_text(json.dumps(reference["prompt"]))
        report = self.report("eval", folder / "model.gguf", "--tokens", tokens, "--greedy", GREEDY, *arguments)
        return report, reference

    def check(self, folder):
        alone, reference = self.evaluate(folder)
        self.assertEqual(alone["greedy"], reference["greedy"])
        pairs = list(zip(alone["last_logits"], reference["last_logits"], strict=True))
        difference = math.sqrt(sum((a - b) ** 2 for a, b in pairs))
        self.assertLessEqual(difference / math.sqrt(sum(b * b for _, b in pairs)), 2e-3)
        has_experts = self.report("show", folder / "model.gguf")["experts"] is not None
        if not has_experts:
            return
        together, _ = self.evaluate(folder, *WORKERS)
        self.assertEqual(digest_of(together), digest_of(alone))
        self.assertGreater(together["remote_expert_calls"], 0)

    def test_each(self):
        for folder in sorted(FIXTURE.parent.iterdir()):
            with self.subTest(family=folder.name):
                self.check(folder)


if __name__ == "__main__":
    unittest.main()
