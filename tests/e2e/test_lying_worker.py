"""A worker that flips one bit of one sum now and then, as a real process: it ends in quarantine, and where
every answer is compared no token is wrong."""

import http.client
import json
import os
import pathlib
import re
import unittest

from pool_support import Lines, PoolTest
from support import ROOT, TALETELLER, wait_for

LIAR = pathlib.Path(os.environ.get("POTLUCK_LYING_WORKER", ROOT / "build/release/tests/lying_worker"))
PROMPT = "Once upon a time"
TOKENS = 200


class LyingWorker(PoolTest):
    def setUp(self):
        super().setUp()
        if not LIAR.exists():
            self.skipTest(f"{LIAR} is not there: scripts/build release lying_worker")

    def pool_with_liar(self, one_in, *arguments, honest_rows=0, seed=1):
        """Two honest workers and a liar, all ready; the address of the API, and what is logged."""
        server, out, err = self.serve("--port", "0", *arguments)
        tokens = []
        for name in ("honest-1", "honest-2", "liar"):
            tokens.append(self.next_token(out, tokens))
            if name == "liar":
                lines = self.join_liar(tokens[-1], one_in, honest_rows, seed)
            else:
                self.join(tokens[-1], name, "--ram", "64MiB", "--name", name)

        def everyone():
            status = self.units_ready()
            return status if status and len(status["workers"]) == 3 else None
        wait_for(everyone, "three workers")
        port = int(err.wait_for(r"http://127\.0\.0\.1:(\d+)").group(1))
        return port, err, lines

    def join_liar(self, token, one_in, honest_rows, seed):
        variables = {"LIAR_ONE_IN": str(one_in), "LIAR_HONEST_ROWS": str(honest_rows), "LIAR_SEED": str(seed)}
        process = self.start("join", token, "--store", self.home / "liar", "--threads", "1",
                             "--ignore-health", "--ram", "64MiB", "--name", "liar", binary=LIAR, **variables)
        lines = Lines(process.stderr)
        self.addCleanup(lambda: (self.stop(process), lines.thread.join(5)))
        return lines

    @staticmethod
    def complete(port, prompt=PROMPT, tokens=TOKENS):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        body = {"prompt": prompt, "max_tokens": tokens, "temperature": 0, "ignore_eos": True}
        connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        text = json.loads(connection.getresponse().read())["choices"][0]["text"]
        connection.close()
        return text

    def alone(self):
        return self.report("run", TALETELLER, "--raw", "--ignore-eos", "--temp", "0", "-p", PROMPT, "-n",
                           TOKENS)["text"]

    def quarantined(self):
        status = json.loads(self.potluck("status", "--json").stdout)
        return {w["name"]: w["units_assigned"] for w in status["workers"] if w["quarantine"]}

    def test_no_token_is_wrong_where_every_answer_is_compared(self):
        expected = self.alone()
        port, err, liar = self.pool_with_liar(20, "--verify", "all")
        self.assertEqual(self.complete(port), expected)
        self.assertRegex(err.text, "liar.* is in quarantine")
        wait_for(lambda: self.quarantined() == {"liar": 0}, "the liar in quarantine, without work")
        self.assertGreater(self.lies(liar), 0)
        self.assertEqual(self.complete(port), expected)

    def test_a_sample_finds_one_that_lies_often(self):
        port, err, liar = self.pool_with_liar(10, "--verify", "sample", honest_rows=150)
        wait_for(lambda: self.complete(port) and "is in quarantine" in err.text, "quarantine")
        wait_for(lambda: self.quarantined() == {"liar": 0}, "the liar in quarantine, without work")
        self.assertGreater(self.lies(liar), 0)
        self.assertEqual(self.complete(port), self.alone())

    @staticmethod
    def lies(lines):
        return int(re.findall(r"lying_worker: \d+ rows, (\d+) lies", lines.text)[-1])


if __name__ == "__main__":
    unittest.main()
