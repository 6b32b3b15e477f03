"""Devices of a pool: listed, named, shut out; and workers that hand over before they leave."""

import json
import re
import signal
import time
import unittest

from pool_support import PoolTest
from support import wait_for


class Devices(PoolTest):
    def devices(self):
        done = self.potluck("keys", "devices", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)["devices"]

    def pool_of(self, *names):
        """A coordinator and a worker of each name, ready."""
        server, out, err = self.serve()
        tokens, workers = [], {}
        for name in names:
            tokens.append(self.next_token(out, known=tokens))
            workers[name] = self.join(tokens[-1], name, "--ram", "64MiB", "--name", name)
        wait_for(lambda: len((self.units_ready() or {}).get("workers", [])) == len(names), "all")
        return server, out, err, workers

    def workers(self):
        return [worker["name"] for worker in (self.units_ready() or {}).get("workers", [])]

    def test_devices_are_listed_named_and_shut_out(self):
        server, out, err, workers = self.pool_of("a", "b")
        self.assertEqual([(d["name"], d["member"]) for d in self.devices()],
                         [("a", True), ("b", True)])
        key = self.devices()[0]["key"]
        listed = self.potluck("keys", "devices").stdout
        self.assertRegex(listed, rf"{re.escape(key)}  a +connected\n")

        done = self.potluck("keys", "rename", "a", "kitchen phone")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("is now kitchen phone", done.stdout)
        self.assertRegex(self.potluck("keys", "devices").stdout,
                         r"kitchen phone +connected, calls itself a\n")
        for words, said in ((("revoke",), "expected the name of a device"),
                            (("rename", "b"), "expected a new name"),
                            (("revoke", "nobody"), "no device has the name 'nobody'"),
                            (("devices", "x"), "expected no name"),
                            (("rename", "b", "two\nlines"), "without control characters")):
            done = self.potluck("keys", *words)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(said, done.stderr)

        began = time.monotonic()
        done = self.potluck("keys", "revoke", key[:8], "--json")
        self.assertEqual(json.loads(done.stdout)["device"]["name"], "kitchen phone", done.stderr)
        worker, worker_err = workers["a"]
        self.assertEqual(worker.wait(30), 1)
        worker_err.wait_for("this device's key was revoked")
        wait_for(lambda: self.workers() == ["b"], "its units with the other one")
        print(f"\na device was out and its units elsewhere {time.monotonic() - began:.1f} s after "
              "the command")
        self.assertEqual([d["name"] for d in self.devices()], ["b"])
        # It is not let in again, and has to be invited anew.
        again, again_err = self.join(None, "a", "--ram", "64MiB")
        self.assertEqual(again.wait(60), 1)
        again_err.wait_for("does not know this device's key")
        token = re.findall(r"potluck join (\S+)\n", out.text)
        self.join(self.next_token(out, known=token), "a", "--ram", "64MiB", "--name", "a")
        wait_for(lambda: sorted(self.workers()) == ["a", "b"], "both")
        before = self.ask(server, out, "Once upon a time")
        wait_for(lambda: len(out.text) > before + 20, "an answer")

    def test_without_a_coordinator_the_list_is_changed(self):
        server, _, _, _ = self.pool_of("a", "b")
        server.terminate()
        server.wait(60)
        self.assertEqual([(d["name"], d["member"]) for d in self.devices()],
                         [("a", False), ("b", False)])
        self.assertEqual(self.potluck("keys", "rename", "a", "phone").returncode, 0)
        self.assertEqual(self.potluck("keys", "revoke", "b").returncode, 0)
        self.assertEqual([d["name"] for d in self.devices()], ["phone"])
        members = (self.home / "coordinator" / "members").read_text()
        self.assertIn("phone", members)

    def test_a_worker_hands_over_before_it_leaves(self):
        _, _, err, workers = self.pool_of("a", "b")
        done = self.potluck("leave", "--store", self.home / "a")
        self.assertEqual(done.returncode, 0, done.stderr)
        worker, worker_err = workers["a"]
        self.assertEqual(worker.wait(30), 0)
        worker_err.wait_for("left the pool: others have its units")
        err.wait_for("wants to leave.*; its \\d+ units go to others first")
        err.wait_for("others have its units")
        wait_for(lambda: self.workers() == ["b"], "the status of the next second")
        status = self.units_ready()
        # Not one of them came from anywhere but the worker that left.
        fetched = status["workers"][0]["fetched"]
        self.assertGreater(sum(peer["bytes"] for peer in fetched["peers"]), 0)
        done = self.potluck("leave", "--store", self.home / "a")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no `potluck join` runs", done.stderr)

    def test_sigterm_hands_over_as_well(self):
        _, _, err, workers = self.pool_of("a", "b")
        worker, worker_err = workers["b"]
        worker.send_signal(signal.SIGTERM)
        self.assertEqual(worker.wait(30), 0)
        worker_err.wait_for("left the pool: others have its units")
        wait_for(lambda: self.workers() == ["a"], "the units with the other one")

    def test_nobody_to_hand_over_to_and_nobody_there(self):
        server, _, _, workers = self.pool_of("a")
        worker, _ = workers["a"]
        began = time.monotonic()
        worker.send_signal(signal.SIGINT)
        self.assertEqual(worker.wait(30), 0)
        self.assertLess(time.monotonic() - began, 10)
        wait_for(lambda: not self.workers(), "the status of the next second")
        alone, alone_err = self.join(None, "a", "--ram", "64MiB")
        wait_for(self.workers, "the worker")
        server.send_signal(signal.SIGSTOP)
        self.addCleanup(server.send_signal, signal.SIGCONT)
        alone.terminate()
        self.assertEqual(alone.wait(30), 0, "it does not wait for a coordinator that is silent")
        alone_err.wait_for("handing over to other devices")


if __name__ == "__main__":
    unittest.main()
