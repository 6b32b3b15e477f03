"""Same tokens everywhere: the last logits, bit for bit, and 200 greedy tokens do not depend on how many
workers there are, how experts are sliced, on threads, prefill chunks or instruction sets. The digests
are committed: they are the arithmetic contract (docs/ARITHMETIC.md, 10), version 1, and change only
with its number."""

import json
import unittest

from support import FIXTURE, SHARED, TALETELLER, PotluckTest, digest_of

GREEDY = 200
# The beginning of a fairy tale, in the ids of each vocabulary.
PROMPT = [2802, 689, 267, 628, 476, 318, 373, 671, 7153, 505, 366, 1026, 6966, 20, 286, 271, 998]
STORYTELLER_PROMPT = [7876, 607, 261, 586, 310, 261, 696, 1771, 286, 1400, 542, 318, 16, 396, 627, 433, 310]
LAYERS, TOP_K = 6, 4

DIGESTS = {
    "taleteller-Q4_K_M": "c0e7fb468d7b0ff847126881110257baa4597c53fd9045f1a284513366393d25",
    "storyteller-Q8_0": "474cb03fe08327c71f50ef5949771d14ea503700177683b4fe512d63bc75f393",
    "qwen3moe": "4bafbb5451396643724eb452dc203115cbfecb7411ccff2afd0741b6f8a34f62",
}

VARIANTS = [
    ["--threads", "1"],
    ["--threads", "2", "--prefill-chunk", "1"],
    ["--threads", "2", "--prefill-chunk", "7", "--isa", "scalar"],
    ["--ram", "16MiB"],
    ["--workers", "1"],
    ["--workers", "2", "--slices", "2", "--prefill-chunk", "7"],
    ["--workers", "3", "--slices", "4", "--threads", "1"],
    ["--workers", "4", "--slices", "1", "--prefill-chunk", "1"],
    ["--workers", "4", "--slices", "4", "--isa", "scalar"],
]


def setting(arguments, flag, default):
    return int(arguments[arguments.index(flag) + 1]) if flag in arguments else default


class SameBytes(PotluckTest):
    def evaluate(self, model, tokens, arguments, greedy=GREEDY):
        path = self.home / "tokens.json"
        path.write_text(json.dumps(tokens))
        return self.report("eval", model, "--tokens", path, "--greedy", greedy, *arguments)

    def check_model(self, name, model, tokens, layers, top_k, greedy, variants, grains=8):
        for arguments in variants:
            with self.subTest(model=name, arguments=" ".join(arguments)):
                report = self.evaluate(model, tokens, arguments, greedy)
                self.assertEqual(digest_of(report), DIGESTS[name])
                workers = setting(arguments, "--workers", 0)
                self.assertEqual(report["workers"], workers)
                self.assertEqual(report["workers_lost"], 0)
                rows = len(tokens) + greedy - 1
                slices = min(setting(arguments, "--slices", 1), grains)  # the rest is empty
                calls = rows * layers * top_k * slices
                self.assertEqual(report["remote_expert_calls"], calls if workers else 0)

    def test_bundled_taleteller(self):
        self.check_model("taleteller-Q4_K_M", TALETELLER, PROMPT, LAYERS, TOP_K, GREEDY, VARIANTS)

    def test_8_bit_storyteller(self):
        model = SHARED / "models/storyteller-Q8_0.gguf"
        if not model.exists():
            self.skipTest(f"{model} is not here")
        variants = [VARIANTS[1], VARIANTS[2], VARIANTS[5], VARIANTS[8]]
        self.check_model("storyteller-Q8_0", model, STORYTELLER_PROMPT, LAYERS, TOP_K, GREEDY, variants)

    def test_float_fixture(self):
        prompt = json.loads((FIXTURE / "reference.json").read_text())["prompt"]
        variants = [v for v in VARIANTS if "--ram" not in v]
        self.check_model("qwen3moe", FIXTURE / "model.gguf", prompt, 3, 2, 24, variants, grains=2)

    def test_store_is_filled_once(self):
        arguments = ["--workers", "2", "--store", self.home / "store"]
        first = self.evaluate(TALETELLER, PROMPT, arguments, 4)
        grains = sorted(p.name for p in (self.home / "store").rglob("*") if p.is_file())
        again = self.evaluate(TALETELLER, PROMPT, arguments, 4)
        self.assertEqual(digest_of(first), digest_of(again))
        after = sorted(p.name for p in (self.home / "store").rglob("*") if p.is_file())
        self.assertEqual(grains, after)


if __name__ == "__main__":
    unittest.main()
