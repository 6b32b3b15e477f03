"""Models are found where people have them, under the names that they know; `list` and `rm` know whose they are."""

import json
import os
import shutil
import unittest
import urllib.request

from model_caches import CacheTest
from pool_support import PoolTest
from support import TALETELLER


class ModelTest(CacheTest):
    def setUp(self):
        super().setUp()
        self.model = self.home / "source.gguf"
        shutil.copy(TALETELLER, self.model)

    def shown_files(self, name):
        report = self.report("show", name)
        self.assertEqual(report["name"], self.report("show", TALETELLER)["name"])
        return report["files"]

    def refused(self, *arguments, code=1, saying=()):
        done = self.potluck(*arguments)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        for part in saying:
            self.assertIn(part, done.stderr)
        return done.stderr


class Finding(ModelTest):
    def test_every_cache(self):
        self.in_hub_cache(self.model, "someone", "tales-GGUF", "tales-Q4_K_M.gguf")
        self.link(self.model, self.user / ".cache/llama.cpp/other_tales_tales-Q4_0.gguf")
        self.link(self.model, self.user / ".lmstudio/models/studio/tales/tales-Q8_0.gguf")
        self.link(self.model, self.models / "own/tales/tales-Q6_K.gguf")
        self.in_ollama(self.model, "taleteller", "small")
        for name in ("someone/tales-GGUF", "someone/tales-GGUF:q4_k_m", "other/tales", "studio/tales:Q8_0", "own/tales",
                     "taleteller:small", "tales-Q6_K"):
            self.assertEqual(self.shown_files(name), 1, name)
        listed = {model["name"]: model for model in self.report("list")["models"]}
        self.assertEqual({model["from"] for model in listed.values()},
                         {"Potluck", "Hugging Face", "llama.cpp", "LM Studio", "Ollama"})
        self.assertTrue(all(model["usable"] for model in listed.values()), listed)
        self.assertEqual(listed["taleteller:small"]["bytes"], self.model.stat().st_size)

    def test_generation_is_the_same_under_every_name(self):
        self.in_ollama(self.model, "taleteller", "latest")
        arguments = ("--raw", "--temp", "0", "-p", "Once", "-n", "8")
        expected = self.report("run", TALETELLER, *arguments)["text"]
        self.assertEqual(self.report("run", "taleteller", *arguments)["text"], expected)
        # Streaming writes nothing, least of all into the other program's folder.
        self.assertEqual(self.report("run", "taleteller", *arguments, "--ram", "4MiB")["text"], expected)
        blobs = list((self.user / ".ollama/models/blobs").iterdir())
        self.assertEqual(len(blobs), 1, blobs)
        self.assertFalse((self.home / "stores").exists())

    def test_variables_lead_to_the_caches(self):
        shown = self.in_hub_cache(self.model, "someone", "tales", "tales-Q4_K_M.gguf")
        hub = shown.parents[3]
        moved = self.home / "elsewhere"
        hub.rename(moved)
        self.refused("show", "someone/tales", saying=["potluck pull someone/tales", ".ollama"])
        for variable, value in (("HF_HUB_CACHE", moved), ("LLAMA_CACHE", moved)):
            self.assertEqual(self.potluck("show", "someone/tales", **{variable: str(value)}).returncode, 0, variable)
        (self.home / "hf").mkdir()
        moved.rename(self.home / "hf/hub")
        self.assertEqual(self.potluck("show", "someone/tales", HF_HOME=str(self.home / "hf")).returncode, 0)

    def test_a_folder(self):
        folder = self.home / "folder"
        self.link(self.model, folder / "a.gguf")
        self.assertEqual(self.shown_files(folder), 1)
        self.link(self.model, folder / "b.gguf")
        self.refused("show", folder, code=2, saying=["a.gguf", "b.gguf"])

    def test_what_is_broken_is_named(self):
        shown = self.in_hub_cache(self.model, "someone", "tales", "tales-Q4_K_M.gguf")
        shown.resolve().unlink()
        (shown.parents[2] / "blobs/0123.incomplete").write_bytes(b"x")
        self.link(self.model, self.models / "u/r/m-Q8_0-00002-of-00003.gguf")
        (self.models / "u/junk").mkdir()
        (self.models / "u/junk/junk.gguf").write_bytes(b"no model")
        os.mkfifo(self.models / "u/junk/pipe.gguf")
        problems = [model["problem"] for model in self.report("list")["models"]]
        self.assertEqual(len(problems), 5, problems)
        for part in ("not there", "not finished", "part 1 of 3 is missing", "GGUF", "expected a file"):
            self.assertTrue(any(part in problem for problem in problems), (part, problems))
        self.refused("show", "someone/tales:Q4_K_M", saying=["not there"])

    def test_speeds_of_a_described_pool(self):
        self.link(self.model, self.models / "u/r/m-Q4_K_M.gguf")
        nodes = self.home / "nodes.toml"
        nodes.write_text('[laptop]\ncount = 2\nram = "4GiB"\n')
        planned = self.report("plan", "u/r", "--nodes", nodes)
        listed, = self.report("list", "--nodes", nodes)["models"]
        rate = listed["forecast"]["decode_tokens_per_second"]
        self.assertGreater(rate, 0)
        # The coordinator is measured each time.
        self.assertLess(abs(rate / planned["decode"]["tokens_per_second"] - 1), 0.8)


class Removing(ModelTest):
    def test_only_what_potluck_fetched(self):
        shown = self.in_hub_cache(self.model, "someone", "tales", "tales-Q4_K_M.gguf")
        blob = shown.resolve()
        self.refused("rm", "someone/tales", "--yes", saying=["Hugging Face", "--other-programs"])
        self.in_ollama(self.model, "taleteller", "latest")
        self.refused("rm", "taleteller", "--yes", "--other-programs", saying=["ollama rm taleteller:latest"])
        mine = self.link(self.model, self.models / "u/r/m-Q4_K_M.gguf")
        self.refused("rm", "u/r", "--yes", saying=["did not fetch it"])
        self.refused("rm", self.model, "--yes", saying=["remove it yourself"])
        for path in (shown, blob, mine, self.model):
            self.assertTrue(path.exists())
        removed = self.report("rm", "someone/tales", "--yes", "--other-programs")
        self.assertEqual(removed["freed_bytes"], self.model.stat().st_size)
        self.assertFalse(shown.is_symlink() or blob.exists())

    def test_a_blob_that_another_name_links_to_stays(self):
        first = self.in_hub_cache(self.model, "someone", "tales", "tales-Q4_K_M.gguf")
        second = self.in_hub_cache(self.model, "someone", "tales", "same-Q8_0.gguf")
        self.assertEqual(self.report("rm", "someone/tales:Q4_K_M", "--yes", "--other-programs")["freed_bytes"], 0)
        self.assertFalse(first.is_symlink())
        self.assertEqual(second.read_bytes(), self.model.read_bytes())

    def test_nobody_is_asked_where_nobody_is(self):
        self.link(self.model, self.models / "u/r/m-Q4_K_M.gguf")
        self.refused("rm", "u/r", "--other-programs", code=2, saying=["--yes"])
        self.refused("rm", "nobody/nothing", "--yes", saying=["no such model"])


class Serving(ModelTest, PoolTest):
    def test_the_api_calls_a_model_as_its_program_does(self):
        self.in_ollama(self.model, "taleteller", "latest")
        process = self.start("serve", "taleteller", "--listen", "127.0.0.1:0", "--no-beacon", "--threads", "1")
        _, err = self.lines_of(process)
        url = err.wait_for(r"listening on (http://[^/\s]+)")[1]
        with urllib.request.urlopen(url + "/v1/models", timeout=60) as answer:
            self.assertEqual([model["id"] for model in json.load(answer)["data"]], ["taleteller:latest"])


if __name__ == "__main__":
    unittest.main()
