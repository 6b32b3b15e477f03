"""Devices that join without an invitation: found on the network, admitted by a code."""

import json
import os
import re
import subprocess
import time
import unittest

from pool_support import PoolTest
from support import TALETELLER, wait_for


class Joining(PoolTest):
    def waiting(self, **extra):
        done = self.potluck("admit", "--json", **extra)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)["waiting"]

    def wait_for_devices(self, count):
        return wait_for(lambda: (w := self.waiting()) and len(w) == count and w, f"{count} devices")

    @staticmethod
    def code_shown(err):
        return err.wait_for(r"the code is (\d{4}-\d{4}): ").group(1)

    def workers(self):
        return (self.units_ready() or {}).get("workers", [])

    def test_a_device_is_found_and_admitted_by_its_code(self):
        _, _, err = self.serve("--name", "kitchen", "--invitations", "0")
        err.wait_for("run `potluck join`")
        worker, worker_err = self.join(None, "a", "--ram", "64MiB", "--name", "phone")
        worker_err.wait_for("found the coordinator kitchen")
        code = self.code_shown(worker_err)
        worker_err.wait_for("'kitchen' shows the same one")
        err.wait_for(f"asks to be admitted. If it shows the code {code}, type: admit {code}")
        device, = self.wait_for_devices(1)
        self.assertEqual((device["name"], device["code"]), ("phone", code))
        self.assertEqual(self.workers(), [])

        wrong = f"{(int(code[0]) + 1) % 10}{code[1:]}"
        done = self.potluck("admit", wrong)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"no device that waits shows the code {wrong}", done.stderr)
        for words in (["1234"], ["abcd-efgh"], ["1", "2"]):
            self.assertIn("expected the eight digits", self.potluck("admit", *words).stderr)
        self.assertEqual(self.waiting()[0]["code"], code, "a wrong code changes nothing")

        done = self.potluck("admit", *code.split("-"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("admitted phone", done.stdout)
        status = wait_for(self.units_ready, "all units")
        self.assertEqual(status["workers"][0]["name"], "phone")
        self.assertEqual(self.waiting(), [])
        self.assertIn(status["workers"][0]["key"],
                      (self.home / "coordinator" / "members").read_text())
        # It keeps the pool, as after an invitation.
        worker.terminate()
        worker.wait(30)
        self.join(None, "a", "--ram", "64MiB")
        wait_for(self.workers, "the worker again")

    def test_two_devices_wait_and_one_is_admitted_in_the_terminal(self):
        server, _, err = self.serve("--invitations", "0")
        err.wait_for("run `potluck join`")
        codes = {}
        for name in ("a", "b"):
            _, worker_err = self.join(None, name, "--ram", "64MiB", "--name", name)
            codes[name] = self.code_shown(worker_err)
        self.assertNotEqual(codes["a"], codes["b"])
        self.wait_for_devices(2)
        server.stdin.write(b"admit\n")
        err.wait_for(f"{codes['a']} waits: a ")
        server.stdin.write(b"admit 00000000\n" if codes["b"] != "0000-0000" else b"admit 1111 1111\n")
        err.wait_for("no device that waits shows the code")
        server.stdin.write(f"admit {codes['b']}\n".encode())
        self.assertEqual([w["name"] for w in wait_for(self.workers, "a worker")], ["b"])
        self.assertEqual([d["name"] for d in self.waiting()], ["a"])
        self.assertEqual(self.potluck("admit", codes["a"]).returncode, 0)
        wait_for(lambda: len(self.workers()) == 2, "two workers")

    def test_a_device_that_goes_away_waits_no_longer(self):
        _, _, err = self.serve("--invitations", "0")
        err.wait_for("run `potluck join`")
        worker, worker_err = self.join(None, "a", "--ram", "64MiB")
        code = self.code_shown(worker_err)
        self.wait_for_devices(1)
        worker.kill()
        worker.wait()
        wait_for(lambda: self.waiting() == [], "nobody")
        self.assertEqual(self.potluck("admit", code).returncode, 1)

    def test_several_pools_are_told_apart_by_name(self):
        homes = {name: str(self.home / name) for name in ("kitchen", "attic")}
        for name, home in homes.items():
            process = self.start("serve", TALETELLER, "--listen", "127.0.0.1:0", "--name", name,
                                 "--invitations", "0", stdin=-1, POTLUCK_HOME=home)
            _, err = self.lines_of(process)
            err.wait_for("run `potluck join`")
        lost = self.potluck("join", "--store", self.home / "w")
        self.assertEqual(lost.returncode, 2, lost.stderr)
        self.assertRegex(lost.stderr, "several pools were found; choose one by --pool: .*kitchen")
        none = self.potluck("join", "--store", self.home / "w", "--pool", "cellar",
                            "--search-timeout", "3")
        self.assertRegex(none.stderr, "no pool like 'cellar' was found, but .*attic")
        _, worker_err = self.join(None, "w", "--pool", "attic", "--ram", "64MiB")
        code = self.code_shown(worker_err)
        self.assertEqual(self.waiting(POTLUCK_HOME=homes["kitchen"]), [])
        self.assertEqual(self.potluck("admit", code, POTLUCK_HOME=homes["kitchen"]).returncode, 1)
        done = self.potluck("admit", code, "--json", POTLUCK_HOME=homes["attic"])
        self.assertEqual(json.loads(done.stdout)["admitted"]["code"], code)

    def test_without_a_beacon_nobody_is_found_or_lets_in(self):
        _, _, err = self.serve("--no-beacon")
        err.wait_for("run this on this machine")
        self.assertNotIn("run `potluck join`", err.text)
        done = self.potluck("join", "--store", self.home / "w", "--search-timeout", "2")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, "no coordinator was found on this network within 2 s")

    def test_nobody_runs_here(self):
        for words in ([], ["12345678"], ["--json"]):
            done = self.potluck("admit", *words)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, "no `potluck serve` runs on this machine")
        self.assertTrue(re.search("expected no invitation", self.potluck(
            "join", "potluck2.abc", "--search").stderr))


class TwoMachines(PoolTest):
    """Two network namespaces with a cable between them, for root."""

    def ip(self, *arguments):
        return subprocess.run(["ip", *arguments], capture_output=True, check=False).returncode == 0

    def setUp(self):
        super().setUp()
        self.server_side, self.worker_side = [f"potluck-{os.getpid()}-{n}" for n in "sw"]
        for name in (self.server_side, self.worker_side):
            if not self.ip("netns", "add", name):
                self.skipTest("network namespaces need root")
            self.addCleanup(self.ip, "netns", "delete", name)
            self.ip("-n", name, "link", "set", "lo", "up")
        if not self.ip("link", "add", "eth0", "netns", self.server_side, "type", "veth", "peer",
                       "name", "eth0", "netns", self.worker_side):
            self.skipTest("no pairs of network devices here")
        for name, host in ((self.server_side, 1), (self.worker_side, 2)):
            for network in (0, 1):
                self.ip("-n", name, "address", "add", f"10.89.{network}.{host}/24", "brd", "+",
                        "dev", "eth0")
            self.ip("-n", name, "link", "set", "eth0", "up")

    def test_found_over_the_cable_and_again_after_its_address_has_changed(self):
        server = self.start("serve", TALETELLER, "--name", "kitchen", "--invitations", "0",
                            "--listen", "*:7700", stdin=-1, namespace=self.server_side)
        _, err = self.lines_of(server)
        err.wait_for("on a device of this network")
        worker = self.start("join", "--store", self.home / "w", "--threads", "1", "--ram", "64MiB",
                            namespace=self.worker_side)
        began = time.monotonic()
        _, worker_err = self.lines_of(worker)
        code = worker_err.wait_for(r"the code is (\d{4}-\d{4}): ").group(1)
        print(f"\nfound, and its code shown, after {time.monotonic() - began:.1f} s")
        self.assertEqual(self.potluck("admit", code).returncode, 0)
        wait_for(self.units_ready, "all units")
        pool = next((self.home / "w" / "pools").iterdir())

        def first_place():
            return re.search(r"^place \S+ tcp://(\S+):7701 ", pool.read_text(), re.M).group(1)
        before = first_place()
        if before.startswith("["):  # found by IPv6: one change takes that away as well
            self.ip("netns", "exec", self.server_side, "sysctl", "-qw",
                    "net.ipv6.conf.eth0.disable_ipv6=1")
        else:
            self.assertTrue(self.ip("-n", self.server_side, "address", "delete", f"{before}/24",
                                    "dev", "eth0"))
        began = time.monotonic()
        wait_for(lambda: first_place() != before, "another place")
        print(f"another way to the coordinator was found {time.monotonic() - began:.1f} s after "
              f"the first was gone ({before}, then {first_place()})")
        wait_for(self.units_ready, "all units again")


if __name__ == "__main__":
    unittest.main()
