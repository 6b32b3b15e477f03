"""`potluck plan`: predictions for described pools and for the one that runs."""

import json
import re
import unittest

from pool_support import PoolTest
from support import ROOT, TALETELLER, PotluckTest, wait_for


def example():
    """The file of devices in the documents."""
    text = (ROOT / "docs" / "PLANNING.md").read_text(encoding="utf-8")
    return re.search(r"^```toml\n(.*?)^```", text, re.M | re.S).group(1)


class Plan(PotluckTest):
    def nodes(self, text):
        path = self.home / "pool.toml"
        path.write_text(text, encoding="utf-8")
        return path

    def plan(self, text, *arguments):
        done = self.potluck("plan", TALETELLER, "--nodes", self.nodes(text), "--json", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_the_example_of_the_documents(self):
        plan = self.plan(example())
        self.assertEqual([device["name"] for device in plan["devices"]],
                         ["laptop 1", "laptop 2", "laptop 3", "phone 1", "phone 2"])
        self.assertGreater(plan["decode"]["tokens_per_second"], 0)
        self.assertGreater(plan["prefill"]["tokens_per_second"], 0)
        parts = sum(plan["decode"][part + "_seconds"]
                    for part in ("attention", "wire", "products", "disk"))
        self.assertAlmostEqual(parts, plan["decode"]["seconds"])
        self.assertAlmostEqual(sum(device["share"] for device in plan["devices"]), 1, places=5)
        self.assertTrue(plan["bottleneck"])
        changes = " ".join(change["change"] for change in plan["what_if"])
        for word in ("one more device", "memory", "cable"):
            self.assertIn(word, changes)
        self.assertEqual(self.plan(example()), plan, "the same question has the same answer")

    def test_in_plain_words(self):
        done = self.potluck("plan", TALETELLER, "--nodes", self.nodes(example()))
        self.assertEqual(done.returncode, 0, done.stderr)
        for word in ("tokens/s", "what takes longest", "laptop 1", "with one more device"):
            self.assertIn(word, done.stdout)

    def test_slices_that_are_given_are_kept(self):
        self.assertEqual(self.plan(example(), "--slices", "2")["slices"], 2)

    def test_bad_files_are_named_by_line(self):
        for text, saying in (("[a]\nram = \"much\"\n", "pool.toml:2: [a] ram: "),
                             ("[a]\nspeed = 3\n", "expected count, ram, disk"),
                             ("[a]\ncount = 0\n", "1 to 1000"),
                             ("[a]\ncount = 1000\n[b]\n", "1001 devices"),
                             ("[a]\nhealth = 7.5\n", "0.01 to 1"),
                             ("[a]\nram = [\"1\"]\n", "expected one value"),
                             ("[a]\nlocal = \"yes\"\n", "local"),
                             ("ram = 3\n", "pool.toml:1")):
            done = self.potluck("plan", TALETELLER, "--nodes", self.nodes(text))
            self.assertIn(done.returncode, (1, 2), text)
            self.assertIn(saying, done.stderr, text)

    def test_without_a_pool_it_is_this_machine_alone(self):
        done = self.potluck("plan", TALETELLER, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("for this machine alone", done.stderr)
        self.assertEqual([device["name"] for device in json.loads(done.stdout)["devices"]], ["this machine"])

    def test_published_models_need_no_file(self):
        nodes = self.nodes(example())
        plans = {}
        for name in ("qwen3-30b-a3b", "Qwen/Qwen3-30B-A3B:q8_0"):
            done = self.potluck("plan", name, "--nodes", nodes, "--json")
            self.assertEqual(done.returncode, 0, done.stderr)
            plans[name] = json.loads(done.stdout)
        small, large = plans.values()
        self.assertEqual((small["model"], large["model"]), ("Qwen3-30B-A3B Q4_K_M", "Qwen3-30B-A3B Q8_0"))
        self.assertGreater(small["decode"]["tokens_per_second"], large["decode"]["tokens_per_second"])
        shown = json.loads(self.potluck("show", "qwen3-30b-a3b", "--json").stdout)
        self.assertEqual((shown["layers"], shown["hidden"], shown["experts"]["experts_per_layer"]), (48, 2048, 128))
        self.assertTrue(shown["source"].startswith("https://"))
        self.assertEqual(shown["experts"]["total_bytes"], small["expert_bytes"])
        listed = json.loads(self.potluck("list", "--published", "--nodes", nodes, "--json").stdout)["published"]
        self.assertGreaterEqual(len(listed), 20)
        self.assertIn(shown["file_bytes"], [model["bytes"] for model in listed])

    def test_names_that_are_not_known_get_suggestions(self):
        for verb in ("plan", "show"):
            for name, saying in (("qwen3-30b-a3", "did you mean 'qwen3-30b-a3b'?"),
                                 ("nonesuch", "known without a file are olmoe-1b-7b, "),
                                 ("gpt-oss-20b:Q9_K", "quantization 'Q9_K' is not known; known are Q4_K_M, ")):
                done = self.potluck(verb, name)
                self.assertIn(done.returncode, (1, 2), name)
                self.assertIn(saying, done.stderr, name)

    def test_a_pool_of_nobody(self):
        self.assertEqual(self.plan("")["devices"], [])


class SharedOut(PotluckTest):
    def test_replicas_and_own_experts_change_no_text(self):
        call = ["run", TALETELLER, "-p", "Once upon a time", "-n", "24", "--temp", "0", "--json"]
        alone = json.loads(self.potluck(*call).stdout)
        for more in (["--replicas", "2"], ["--own-experts", "1GiB", "--slices", "2"]):
            pool = self.potluck(*call, "--workers", "2", *more)
            self.assertEqual(pool.returncode, 0, pool.stderr)
            pool = json.loads(pool.stdout)
            self.assertEqual(pool["text"], alone["text"], more)
            self.assertEqual(pool["workers"], 2)
            self.assertGreater(pool["remote_expert_calls"], 0)


class PlanOfARunningPool(PoolTest):
    def test_workers_say_how_fast_they_are(self):
        self.serve("--workers", "2")

        def measured():
            status = self.units_ready()
            known = status and all(w["facts"].get("threads") for w in status["workers"])
            return status if known and len(status["workers"]) == 2 else None
        status = wait_for(measured, "two workers that have said how fast they are")
        for worker in status["workers"]:
            self.assertGreater(worker["facts"]["threads"], 0)
            self.assertTrue(worker["facts"]["products"])
            self.assertEqual(worker["left_out"], "")
        plan = json.loads(self.potluck("plan", TALETELLER, "--json").stdout)
        self.assertEqual(len(plan["devices"]), 2)
        self.assertGreater(plan["decode"]["tokens_per_second"], 1)

    def test_slices_and_experts_of_the_coordinator_are_those_of_the_pool(self):
        self.serve("--workers", "1", "--slices", "3", "--own-experts", "16MiB")
        wait_for(self.units_ready, "all units")
        plan = json.loads(self.potluck("plan", TALETELLER, "--json", "--threads", "1").stdout)
        self.assertEqual(plan["slices"], 3)
        own = [device for device in plan["devices"] if device["name"] == "the coordinator"]
        self.assertEqual([device["ram_bytes"] for device in own], [16 << 20])
        other = json.loads(self.potluck("plan", TALETELLER, "--json", "--slices", "2").stdout)
        self.assertEqual(other["slices"], 2)


if __name__ == "__main__":
    unittest.main()
