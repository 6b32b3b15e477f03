"""`potluck simulate`: the scenarios that come with the program, the same twice, and what is wrong with others."""

import json
import unittest

from support import ROOT, PotluckTest

SCENARIOS = sorted((ROOT / "scenarios").glob("*.toml"))
DEVICE = '[[device]]\nname = "a"\n'


class Simulate(PotluckTest):
    def scenario(self, text):
        path = self.home / "scenario.toml"
        path.write_text(text, encoding="utf-8")
        return path

    def test_every_scenario_takes_the_same_course_twice(self):
        self.assertGreaterEqual(len(SCENARIOS), 4)
        for path in SCENARIOS:
            if path.stem == "large-pool":
                continue  # takes minutes
            with self.subTest(path.name):
                first = self.potluck("simulate", path, "--seed", "3", "--json")
                self.assertEqual(first.returncode, 0, first.stderr)
                second = self.potluck("simulate", path, "--seed", "3", "--json")
                self.assertEqual(first.stdout, second.stdout)
                run = json.loads(first.stdout)["runs"][0]
                self.assertEqual(run["verdict"], "fine")
                self.assertGreater(run["tokens_per_second"], 0)

    def test_without_a_file(self):
        done = self.potluck("simulate", "--seeds", "2")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("seed 2", done.stdout)

    def test_in_plain_words(self):
        done = self.potluck("simulate")
        self.assertEqual(done.returncode, 0, done.stderr)
        for word in ("fault: crash of laptop", "tokens/s", "a token", "lost"):
            self.assertIn(word, done.stdout)
        self.assertNotIn("pool: ", done.stdout)
        self.assertIn("pool: ", self.potluck("simulate", "--log").stdout)

    def test_bad_files_name_the_field(self):
        for text, saying in ((DEVICE + 'ram = "much"\n', "scenario.toml:3: [device] ram: "),
                             (DEVICE + '[[event]]\nkind = "fire"\n', "scenario.toml:4: [event] kind: "),
                             ("", "[[device]]"), ("[[", "scenario.toml:1")):
            done = self.potluck("simulate", self.scenario(text))
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(saying, done.stderr)

    def test_a_pool_that_cannot_be_ready_has_an_exit_code_of_its_own(self):
        # Nothing arrives in time: the first answer is given up.
        text = ('[scenario]\npatience = "5s"\n' + DEVICE +
                '[[event]]\nat = "0s"\nkind = "coordinator-stall"\nfor = "30s"\n')
        done = self.potluck("simulate", self.scenario(text), "--seed", "9")
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn("liveness: ", done.stderr)
        self.assertIn("--seed 9", done.stderr)


if __name__ == "__main__":
    unittest.main()
