"""A worker behind a slow, long, lossy link that breaks now and then: real TCP between two network
namespaces, for root. POTLUCK_SOAK=1 adds the bundled model, which takes some minutes."""

import json
import os
import sys
import threading
import time
import unittest

from pool_support import Lines, PoolTest
from support import FIXTURE, ROOT, TALETELLER, wait_for

sys.path.insert(0, str(ROOT / "scripts/lib"))
from hosts import Hosts, HostsError, Link, run_ip, why_not  # noqa: E402

RATE = 250_000  # bytes per second each way; 200 ms there and back


class SlowLink(PoolTest):
    def shape(self, loss, cut_every, cut_for):
        """Two hosts with a link between them, or a skipped test. Every so often a cut resets all
        connections."""
        reason = why_not()
        if reason:
            self.skipTest(reason)
        self.hosts = Hosts(["server", "worker"], Link.between(100, RATE * 8 / 1e6, loss=loss))
        self.addCleanup(lambda: self.hosts.close())
        try:
            self.hosts.open()
        except HostsError as error:
            self.skipTest(str(error))
        ended = threading.Event()

        def cut():
            while not ended.wait(cut_every):
                self.hosts.reset("worker", cut_for)
        cutting = threading.Thread(target=cut)
        cutting.start()

        def end():
            ended.set()
            cutting.join()
            print(self.hosts.counts(), flush=True)
        self.addCleanup(end)

    def status(self):
        done = self.potluck("status", "--json")
        nothing = {"units_ready": 0, "units_assigned": 0}
        return json.loads(done.stdout) if done.returncode == 0 else nothing

    def wire_bytes(self):
        """What the server has put on the wire, headers and repetitions included."""
        shown = run_ip("-n", self.hosts.namespace("server"), "-s", "-j", "link", "show", "eth0")
        return json.loads(shown)[0]["stats64"]["tx"]["bytes"]

    def deliver(self, model, patience):
        """Serves, joins, and waits for all units: seconds to the first and to all of them, bytes
        needed, handed to the transport, and on the wire."""
        server = self.start("serve", model, "--listen", "10.88.0.1:0", stdin=-1,
                            namespace=self.hosts.namespace("server"))
        out, err = Lines(server.stdout), Lines(server.stderr)
        self.addCleanup(lambda: (out.thread.join(5), err.thread.join(5)))
        token = self.next_token(out)
        start = time.monotonic()
        worker = self.start("join", token, "--store", self.home / "store", "--threads", "1",
                            "--listen", "off", namespace=self.hosts.namespace("worker"))
        worker_err = Lines(worker.stderr)
        self.addCleanup(lambda: worker_err.thread.join(5))
        first = None
        while time.monotonic() < start + patience:
            status = self.status()
            if first is None and status["units_ready"] > 0:
                first = time.monotonic() - start
            if first is not None and 0 < status["units_assigned"] == status["units_ready"]:
                break
            time.sleep(0.2)
        everything = time.monotonic() - start
        self.assertIsNotNone(first, err.text + worker_err.text)
        self.assertEqual(status["units_ready"], status["units_assigned"],
                         err.text + worker_err.text)
        time.sleep(2.5)  # a report a second, a status a second
        # After a cut it is not a member for a moment.
        worker, = wait_for(lambda: self.status().get("workers"), "the worker's return")
        grains = worker["fetched"]["coordinator_bytes"]
        manifest, = (self.home / "store/manifests").iterdir()
        needed = grains + manifest.stat().st_size
        sent, wire = self.status()["bytes_delivered"], self.wire_bytes()
        print(f"first unit after {first:.1f} s, all {status['units_ready']} after "
              f"{everything:.1f} s; {needed} bytes needed ({needed / RATE:.1f} s), sent "
              f"{sent / needed:.3f} times, on the wire {wire / needed:.3f} times", flush=True)
        return first, everything, needed, sent, wire

    def test_a_worker_becomes_useful_although_its_link_breaks(self):
        self.shape(loss=0.01, cut_every=6, cut_for=0.3)
        first, everything, needed, sent, _ = self.deliver(FIXTURE / "model.gguf", 60)
        self.assertLess(first, 20)
        self.assertLess(everything, 3 * needed / RATE + 20)
        self.assertLess(sent, 1.5 * needed)  # a cut costs up to a second's bytes

    @unittest.skipUnless(os.environ.get("POTLUCK_SOAK"), "POTLUCK_SOAK is not set")
    def test_the_bundled_model_over_a_link_that_breaks_every_half_minute(self):
        self.shape(loss=0.01, cut_every=30, cut_for=1)
        first, everything, needed, sent, wire = self.deliver(TALETELLER, 600)
        self.assertLess(first, 20)
        # TCP slows down with losses, and a cut costs seconds until the worker is a member again.
        self.assertLess(everything, 3 * needed / RATE)
        self.assertLessEqual(sent, 1.1 * needed)
        self.assertLessEqual(wire, 1.2 * needed)  # with headers, and what TCP repeats


if __name__ == "__main__":
    unittest.main()
