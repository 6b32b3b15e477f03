"""Against results that others computed: the float fixture by the transformers library, perplexities of
the trained models by llama.cpp."""

import json
import math
import unittest

from support import FIXTURE, SHARED, TALETELLER, PotluckTest


class Reference(PotluckTest):
    def test_float_fixture(self):
        reference = json.loads((FIXTURE / "reference.json").read_text())
        tokens = self.home / "tokens.json"
        tokens.write_text(json.dumps(reference["prompt"]))
        report = self.report("eval", FIXTURE / "model.gguf", "--tokens", tokens, "--greedy", 24)
        self.assertEqual(report["greedy"], reference["greedy"])
        pairs = list(zip(report["last_logits"], reference["last_logits"], strict=True))
        difference = math.sqrt(sum((a - b) ** 2 for a, b in pairs))
        norm = math.sqrt(sum(b * b for _, b in pairs))
        self.assertLessEqual(difference / norm, 2e-3)

    def check_perplexity(self, model, expected):
        text = SHARED / "fixtures/eval-text.txt"
        if not text.exists() or not model.exists():
            self.skipTest(f"{text} or {model} is not here")
        report = self.report("eval", model, "--text", text)
        self.assertLess(abs(report["perplexity"] / expected - 1), 0.005, report["perplexity"])

    def test_perplexity_4_bit(self):
        self.check_perplexity(TALETELLER, 42.04)

    def test_perplexity_8_bit(self):
        self.check_perplexity(SHARED / "models/storyteller-Q8_0.gguf", 52.77)


if __name__ == "__main__":
    unittest.main()
