"""Addresses and invitations as people type and paste them, and limits of the system, for real."""

import json
import re
import resource
import socket
import subprocess
import unittest

from pool_support import PoolTest
from support import BINARY, TALETELLER, wait_for


def free_port():
    """Three in a row, most likely."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Addresses(PoolTest):
    def serve_at(self, *listen):
        process = self.start("serve", TALETELLER, *listen, stdin=-1)
        return process, *self.lines_of(process)

    def test_a_plain_serve_invites_to_an_address_of_this_machine(self):
        port = free_port()
        server, out, err = self.serve_at("--listen", f"*:{port}")
        token = self.next_token(out)
        place = err.wait_for(rf"listens on all interfaces; devices reach it at tcp://(\S+):{port}")
        self.assertNotIn(place.group(1), ["0.0.0.0", "[::]", "*"])
        self.join(token, "a", "--ram", "64MiB")
        status = wait_for(self.units_ready, "all units")
        self.assertTrue(status["running"])

    def test_an_invitation_names_all_addresses_and_those_outside(self):
        port = free_port()
        _, out, err = self.serve_at("--listen", f"127.0.0.1:{port}", "--advertise", "pool.invalid",
                                    "--advertise", f"[::1]:{port + 10}")
        err.wait_for(rf"listens on tcp://pool.invalid:{port} \(also at tcp://\[::1\]:{port + 10}, "
                     rf"tcp://127.0.0.1:{port}\)")
        # The first two lead nowhere: the third is found, and kept as the first to be tried.
        worker, _ = self.join(self.next_token(out), "a", "--ram", "64MiB")
        wait_for(self.units_ready, "all units")
        known = next((self.home / "a" / "pools").iterdir())
        wait_for(lambda: re.search(rf"\Apotluck-pool 2\nsigning-key \w+\nplace \S+:{port} "
                                   rf"tcp://127.0.0.1:{port + 1} ", known.read_text()),
                 "the place that works")
        worker.terminate()
        worker.wait(30)
        self.join(None, "a", "--ram", "64MiB")
        wait_for(self.units_ready, "all units again")
        for wrong in ["", "a:b", "a:0", "*", "a b"]:
            done = self.potluck("serve", TALETELLER, "--advertise", wrong)
            self.assertIn("--advertise", done.stderr)
            self.assertNotEqual(done.returncode, 0)

    def test_a_taken_port_behind_the_chosen_one_is_told(self):
        port = free_port()
        with socket.socket() as other:
            other.bind(("127.0.0.1", port + 1))
            other.listen()
            _, _, err = self.serve_at("--listen", f"127.0.0.1:{port}")
            err.wait_for(rf"port {port + 1} is taken by another program: .*--listen")

    def test_names_and_interfaces(self):
        for host in ["localhost", "lo", "[::1]"]:
            server, out, err = self.serve_at("--listen", f"{host}:0")
            token = self.next_token(out)
            err.wait_for("only this machine can reach that address")
            worker, _ = self.join(token, "w" + re.sub(r"\W", "", host), "--ram", "64MiB")
            wait_for(self.units_ready, f"all units by {host}")
            for process in (worker, server):
                process.terminate()
                process.wait(30)

    def test_pasted_invitations(self):
        _, out, _ = self.serve()
        token = self.next_token(out)
        pasted = f"  potluck join {token[:50]}\n{token[50:]} \n"
        self.join(pasted, "a", "--ram", "64MiB")
        wait_for(self.units_ready, "all units")
        second = self.next_token(out, known=[token])
        command = ["potluck", "join", second]
        process = self.start("join", *command, "--store", self.home / "b", "--threads", "1")
        self.lines_of(process)
        wait_for(lambda: (self.units_ready() or {}).get("workers", [])[1:], "two workers")

    def test_several_invitations_and_none(self):
        _, out, err = self.serve("--invitations", "3")
        wait_for(lambda: len(set(re.findall(r"potluck join (\S+)\n", out.text))) == 3, "three")
        other = self.start("serve", TALETELLER, "--listen", "127.0.0.1:0", "--invitations", "0",
                           stdin=-1, POTLUCK_HOME=str(self.home / "other"))
        out, err = self.lines_of(other)
        err.wait_for("no device is invited yet")
        self.assertNotIn("potluck join", out.text)
        other.stdin.write(b"invite\n")
        wait_for(lambda: re.search(r"potluck join (\S+)\n", out.text), "an invitation")

    def test_a_join_in_vain_says_again_what_it_waits_for(self):
        server, out, _ = self.serve()
        token = self.next_token(out)
        server.kill()
        server.wait()
        _, err = self.join(token, "a")
        err.wait_for(r"waiting for the coordinator at tcp://127\.0\.0\.1:\d+: no answer for 5 s")
        err.wait_for("no answer for 10 s")

    def test_a_number_that_was_used_again_is_no_coordinator(self):
        server, out, _ = self.serve()
        self.join(self.next_token(out), "a", "--ram", "64MiB")
        self.assertTrue(wait_for(self.units_ready, "all units")["running"])
        server.kill()
        server.wait()
        path = self.home / "coordinator" / "status.json"
        status = json.loads(path.read_text())
        status["process"] = 1  # lives, but is another one
        path.write_text(json.dumps(status))
        self.assertFalse(json.loads(self.potluck("status", "--json").stdout)["running"])

    def test_too_few_descriptors_are_named_and_a_soft_limit_is_raised(self):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

        def limited(soft, most, *arguments):
            return subprocess.run(
                [BINARY, *arguments], env=self.environment(), stdin=subprocess.DEVNULL,
                capture_output=True, text=True, timeout=300, preexec_fn=lambda: resource.setrlimit(
                    resource.RLIMIT_NOFILE, (soft, most)))

        few = limited(60, 60, "serve", TALETELLER, "--listen", "127.0.0.1:0")
        self.assertEqual(few.returncode, 1, few.stderr)
        self.assertIn("ulimit -n", few.stderr)
        few = limited(60, 60, "run", TALETELLER, "-p", "x", "-n", "2", "--workers", "1")
        self.assertEqual(few.returncode, 1, few.stderr)
        self.assertIn("ulimit -n", few.stderr)
        enough = limited(60, hard, "run", TALETELLER, "-p", "x", "-n", "2", "--workers", "2")
        self.assertEqual(enough.returncode, 0, enough.stderr)


if __name__ == "__main__":
    unittest.main()
