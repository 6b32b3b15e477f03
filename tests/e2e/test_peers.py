"""Workers that fetch experts from each other, or from a model file of their own."""

import signal
import time
import unittest

from pool_support import PoolTest
from support import FIXTURE, TALETELLER, wait_for


class Peers(PoolTest):
    def join_more(self, out, names, *arguments):
        """Joins one worker after the other; returns the processes and what they write."""
        workers = []
        for name in names:
            token = self.next_token(out, known=self.used)
            self.used.append(token)
            workers.append(self.join(token, name, "--ram", "64MiB", "--name", name, *arguments))
        return workers

    def setUp(self):
        super().setUp()
        self.used = []

    def settled(self, count):
        """The status once that many workers hold all their units and have said where from."""
        def condition():
            status = self.units_ready()
            return status if status and len(status["workers"]) == count else None
        return wait_for(condition, f"{count} workers with all their units")

    def fetched(self, name, count):
        """What the coordinator knows of a worker's sources, when all of it has been told."""
        def condition():
            status = self.settled(count)
            worker = next((w for w in status["workers"] if w["name"] == name), None)
            if worker is None:
                return None  # an older status, of before it came
            sources = worker["fetched"]
            total = (sources["coordinator_bytes"] + sources["file_bytes"] +
                     sum(peer["bytes"] for peer in sources["peers"]))
            return (sources, total) if total > 0 else None
        wait_for(condition, f"the sources of {name}")
        time.sleep(2.5)  # a report a second, a status a second
        return condition()

    def test_a_fourth_worker_fetches_from_three(self):
        server, out, _ = self.serve()
        self.join_more(out, ["a", "b", "c"])
        self.settled(3)
        before = self.ask(server, out, "Once upon a time")
        (_, err), = self.join_more(out, ["d"])
        sources, total = self.fetched("d", 4)
        self.assertLessEqual(sources["coordinator_bytes"], total / 3)
        self.assertEqual({peer["name"] for peer in sources["peers"]}, {"a", "b", "c"})
        self.assertFalse(any(peer["sent_wrong_bytes"] for peer in sources["peers"]))
        err.wait_for(r"fetched [0-9.]+ MiB: [0-9.]+ MiB from a, ")
        wait_for(lambda: len(out.text) > before + 20, "an answer given meanwhile")

    def test_a_server_that_is_killed_is_replaced(self):
        server, out, err = self.serve()
        # So slow that the newcomer is still fetching when one of them dies.
        workers = self.join_more(out, ["a", "b", "c"], "--serve-rate", "1MiB/s")
        self.settled(3)
        (_, newcomer), = self.join_more(out, ["d"])
        err.wait_for(r"worker 4 .*joined")
        time.sleep(0.5)
        workers[0][0].send_signal(signal.SIGKILL)
        sources, total = self.fetched("d", 3)
        self.assertGreater(total, 0)
        self.assertTrue(sources["peers"])
        newcomer.wait_for("fetched ")
        before = self.ask(server, out, "Once upon a time")
        wait_for(lambda: len(out.text) > before + 20, "an answer afterwards")

    def test_a_model_file_replaces_fetching(self):
        _, out, _ = self.serve()
        (_, err), = self.join_more(out, ["a"], "--model", TALETELLER)
        sources, total = self.fetched("a", 1)
        self.assertEqual(sources["file_bytes"], total)
        self.assertEqual(sources["coordinator_bytes"], 0)
        err.wait_for(r"fetched [0-9.]+ MiB: [0-9.]+ MiB from the model file here")

    def test_the_file_of_another_model_is_named(self):
        _, out, _ = self.serve()
        (_, err), = self.join_more(out, ["a"], "--model", FIXTURE / "model.gguf")
        err.wait_for(r"model\.gguf: layer 0 has .* experts of .*another model or quantization")
        sources, _ = self.fetched("a", 1)
        self.assertEqual(sources["file_bytes"], 0)
        self.assertGreater(sources["coordinator_bytes"], 0)

    def test_wrong_use_is_named(self):
        _, out, _ = self.serve()
        token = self.next_token(out)
        for arguments, text in ((["--listen", "nowhere"], "--listen"),
                                (["--listen", "203.0.113.9:0"], "--listen"),
                                (["--serve-rate", "fast"], "--serve-rate"),
                                (["--model", "/no/such.gguf"], "/no/such.gguf")):
            done = self.potluck("join", token, "--store", self.home / "w", *arguments)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(text, done.stderr)


if __name__ == "__main__":
    unittest.main()
