"""A pool over the network: invitations, refusals, rejoining, a store that cannot be trusted."""

import base64
import pathlib
import unittest

from pool_support import PoolTest
from support import TALETELLER, resident_bytes, wait_for

MIB = 1 << 20


class Pool(PoolTest):
    def test_join_by_invitation_and_rejoin_without(self):
        server, out, err = self.serve()
        first = self.next_token(out)
        worker, _ = self.join(first, "a", "--ram", "64MiB")
        second = self.next_token(out, known=[first])
        self.assertNotEqual(first, second)
        status = wait_for(self.units_ready, "all units")
        self.assertEqual(len(status["workers"]), 1)
        self.assertLess(resident_bytes(worker.pid), (64 + 64) * MIB)
        worker.kill()
        worker.wait()
        err.wait_for("lost")
        again, _ = self.join("", "a", "--ram", "64MiB")

        def recovered():
            status = self.units_ready()
            return status if status and status["workers_lost"] == 1 else None

        status = wait_for(recovered, "all units again")
        self.assertEqual(len(status["workers"]), 1)
        self.assertIsNone(again.poll())

    def test_used_token_is_refused_on_both_sides(self):
        _, out, err = self.serve()
        token = self.next_token(out)
        self.join(token, "a")
        err.wait_for("invitation redeemed")  # else the thief may be first
        self.next_token(out, known=[token])  # keeps the door open
        thief, thief_err = self.join(token, "b")
        self.assertEqual(thief.wait(60), 1)
        thief_err.wait_for("(?i)refused")
        err.wait_for("(?i)refused")

    def test_forged_token_is_refused(self):
        _, out, _ = self.serve()
        token = self.next_token(out)
        prefix, payload = token.split(".", 1)
        raw = bytearray(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        raw[35] ^= 1  # a byte of the seed
        broken = prefix + "." + base64.urlsafe_b64encode(bytes(raw)).decode().rstrip("=")
        done = self.potluck("join", broken, "--store", self.home / "c")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("token", done.stderr)

    def test_unit_altered_on_disk_is_fetched_again(self):
        server, out, _ = self.serve()
        token = self.next_token(out)
        worker, _ = self.join(token, "a", "--ram", "64MiB")
        wait_for(self.units_ready, "all units")
        worker.terminate()
        worker.wait()
        wait_for(lambda: not self.units_ready(), "the status without the worker")
        segments = list(pathlib.Path(self.home / "a").rglob("segments/*.grains"))
        self.assertTrue(segments)
        for segment in segments:  # a bit in every page, in all grains
            data = bytearray(segment.read_bytes())
            for page in range(0, len(data), 4096):
                data[page + 1234] ^= 0x10
            segment.write_bytes(data)
        worker, worker_err = self.join("", "a", "--ram", "64MiB")
        wait_for(self.units_ready, "all units again")
        before = self.ask(server, out, "Once upon a time")
        wait_for(lambda: len(out.text) > before + 20, "an answer")
        worker_err.wait_for("(?i)(altered|corrupt|does not match)")

    def test_a_worker_whose_disk_fills_up_serves_what_fits(self):
        disk = self.small_disk(256 + 16)  # 256 MiB stay free
        server, out, err = self.serve()
        worker, worker_err = self.join(self.next_token(out), disk / "store", "--ram", "64MiB")
        full = r"no room for more experts, \d+ of 144 units are ready: .*the disk has \d+ left"
        worker_err.wait_for(full)
        err.wait_for("worker 1 .* has room for no more than .* at present")
        before = self.ask(server, out, "Once upon a time")
        wait_for(lambda: len(out.text) > before + 20, "an answer")
        self.assertIsNone(worker.poll())

    def test_two_coordinators_with_one_home_are_refused(self):
        server, out, _ = self.serve()
        self.next_token(out)
        second = self.potluck("serve", TALETELLER, "--listen", "127.0.0.1:0")
        self.assertEqual(second.returncode, 1)
        self.assertIn("another coordinator", second.stderr)
        self.assertRegex(second.stderr, rf"process {server.pid} holds it since \d{{4}}-\d\d-\d\d")

    def test_busy_port_is_named(self):
        _, out, err = self.serve()
        self.next_token(out)
        port = err.wait_for(r"tcp://127\.0\.0\.1:(\d+)").group(1)
        other = self.potluck("serve", TALETELLER, "--listen", f"127.0.0.1:{port}",
                             POTLUCK_HOME=str(self.home / "other"))
        self.assertEqual(other.returncode, 1)
        self.assertIn(port, other.stderr)


if __name__ == "__main__":
    unittest.main()
