"""Where two runs part: eval writes hashes of the residuals, a script names the first that differs."""

import json
import subprocess
import unittest

from support import FIXTURE, ROOT, PotluckTest

TOKENS = [3, 1, 4, 1, 5, 9, 2, 6]
GREEDY = 4


class CompareActivations(PotluckTest):
    def dump(self, name, *arguments):
        tokens = self.home / "tokens.json"
        tokens.write_text(json.dumps(TOKENS))
        path = self.home / name
        report = self.report("eval", FIXTURE / "model.gguf", "--tokens", tokens, "--greedy", GREEDY,
                             "--dump-activations", path, *arguments)
        return path, report

    def compare(self, *paths):
        return subprocess.run([ROOT / "scripts/compare-activations", *paths], capture_output=True,
                              text=True, check=False)

    def test_equal_runs_are_equal_in_every_layer(self):
        one, report = self.dump("one")
        two, other = self.dump("two", "--workers", 2, "--prefill-chunk", 3, "--threads", 1)
        self.assertEqual(report["last_logits"], other["last_logits"])
        done = self.compare(one, two)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        lines = [json.loads(line) for line in one.read_text().splitlines()]
        positions = {line["position"] for line in lines}
        self.assertEqual(positions, set(range(len(TOKENS) + GREEDY - 1)))
        self.assertIn(f"equal: {len(lines)} residuals", done.stdout)

    def test_names_the_layer_where_runs_part(self):
        one, _ = self.dump("one")
        lossy, _ = self.dump("lossy", "--kv", "q8_0")
        done = self.compare(one, lossy)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("layer 0, after attention", done.stdout)
        lines = one.read_text().splitlines()
        place = next(i for i, line in enumerate(lines)
                     if '"layer":1,' in line and '"point":"layer"' in line
                     and '"position":5' in line)
        entry = json.loads(lines[place])
        lines[place] = json.dumps(entry | {"hash": "0" * 16})
        changed = self.home / "changed"
        changed.write_text("\n".join(lines) + "\n")
        done = self.compare(one, changed)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("position 5, layer 1, after the feed-forward part or the experts", done.stdout)
        self.assertIn(f"1 of {len(lines)} residuals differ", done.stdout)

    def test_says_what_it_cannot_compare(self):
        one, _ = self.dump("one")
        other = self.home / "other"
        other.write_text("no json\n")
        for arguments, words in (((one,), "required: B"), ((one, other), "other:1: not a line"),
                                 ((one, self.home / "none"), "No such file")):
            done = self.compare(*arguments)
            self.assertEqual(done.returncode, 2)
            self.assertIn(words, done.stderr)

    def test_a_file_that_cannot_be_written_is_an_error(self):
        tokens = self.home / "tokens.json"
        tokens.write_text(json.dumps(TOKENS))
        done = self.potluck("eval", FIXTURE / "model.gguf", "--tokens", tokens,
                            "--dump-activations", self.home / "no/such/folder")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no/such/folder", done.stderr)
        self.assertEqual(done.stdout, "")


if __name__ == "__main__":
    unittest.main()
