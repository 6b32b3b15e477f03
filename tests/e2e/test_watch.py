"""`potluck status --watch` on a terminal: the pool and a worker, as they are and as they change."""

import os
import signal
import subprocess
import unittest

from pool_support import PoolTest
from support import BINARY, PATIENCE_SECONDS, wait_for
from terminal_support import COLORS, CSI, Screen

ENTER = b"\x1b[?1049h"
LEAVE = b"\x1b[?1049l"


class Watch(PoolTest):
    def setUp(self):
        super().setUp()
        _, self.out, _ = self.serve()
        token = self.next_token(self.out)
        self.attic, _ = self.join(token, "attic", "--name", "attic")
        second = self.next_token(self.out, known=[token])
        self.phone, _ = self.join(second, "phone", "--name", "phone \x1b[2J\x1b]0;x\x07")
        wait_for(self.both_hold_some, "two workers that have all they are to hold")

    def both_hold_some(self):
        # For a moment the first one has everything, and the second one nothing yet.
        status = self.units_ready()
        return status and [w["state"] for w in status["workers"]] == ["ready"] * 2

    def test_a_worker_that_is_killed_shows_as_away(self):
        screen = Screen(self, "status", "--watch")
        screen.wait_for(rb"running, 2 of 2 devices ready")
        screen.wait_for(rb"[12] attic +ready")
        screen.wait_for(rb"layers x \d+ experts")
        screen.forget()
        self.attic.send_signal(signal.SIGKILL)
        screen.wait_for(rb"running, 1 of 1 devices ready, 1 lost so far")
        screen.wait_for(rb"attic +away")
        screen.press(b"q")
        self.assertEqual(screen.wait(), 0)

    def test_every_way_out_leaves_the_terminal_as_it_was(self):
        for end, code in ((lambda s: s.press(b"q"), 0), (lambda s: s.press(b"\x04"), 0),
                          (lambda s: s.press(b"\x03"), 130),
                          (lambda s: s.signal(signal.SIGINT), 130),
                          (lambda s: s.signal(signal.SIGTERM), 143)):
            screen = Screen(self, "status", "--watch")
            screen.wait_for(rb"devices ready")
            self.assertFalse(screen.is_as_found())
            end(screen)
            self.assertEqual(screen.wait(), code)
            self.assertTrue(screen.is_as_found())
            self.assertEqual(screen.seen.count(ENTER), 1)
            self.assertTrue(screen.seen.rstrip().endswith(LEAVE), screen.seen[-60:])

    def test_two_signals_at_once_leave_it_as_it_was_too(self):
        screen = Screen(self, "status", "--watch")
        screen.wait_for(rb"devices ready")
        os.kill(screen.pid, signal.SIGSTOP)
        screen.signal(signal.SIGINT)
        screen.signal(signal.SIGTERM)
        os.kill(screen.pid, signal.SIGCONT)
        self.assertIn(screen.wait(), (130, 143))
        self.assertTrue(screen.is_as_found())
        self.assertIn(LEAVE, screen.seen)

    def test_colors_only_where_they_are_wanted(self):
        colored = Screen(self, "status", "--watch")
        colored.wait_for(rb"attic")
        self.assertRegex(colored.seen, COLORS)
        plain = Screen(self, "status", "--watch", NO_COLOR="1")
        plain.wait_for(rb"layers x")
        self.assertNotRegex(plain.seen, COLORS)
        for screen in (colored, plain):
            self.assertNotIn(b"\x1b[2J", screen.seen)  # from the device's name
            self.assertNotIn(b"\x1b]0;", screen.seen)
        ascii_only = Screen(self, "status", "--watch", "--map", "use", LC_ALL="C")
        ascii_only.wait_for(rb"layers x")
        self.assertTrue(ascii_only.seen.isascii())

    def test_where_nothing_can_be_drawn_it_is_said_once(self):
        dumb = Screen(self, "status", "--watch", TERM="dumb")
        self.assertEqual(dumb.wait(), 0)
        self.assertIn(b"attic", dumb.seen)
        self.assertNotIn(b"\x1b", dumb.seen)
        piped = self.potluck("status", "--watch")
        self.assertEqual(piped.returncode, 0, piped.stderr)
        self.assertRegex(piped.stdout, r"[12] attic +ready")
        self.assertRegex(piped.stdout, r"\d+ layers x \d+ experts")
        self.assertNotIn("\x1b", piped.stdout)
        self.assertEqual(self.potluck("status", "--watch", "--json").returncode, 2)
        headed = subprocess.run(f"{BINARY} status --watch | head -c 1", shell=True,
                                env=self.environment(), capture_output=True,
                                timeout=PATIENCE_SECONDS, check=False)
        self.assertEqual(headed.stderr, b"")

    def test_it_follows_the_size_and_the_keys(self):
        small = Screen(self, "status", "--watch", rows=10, columns=30)
        small.wait_for(rb"attic")
        frame = small.seen.split(b"\x1b[H")[1]
        lines = CSI.sub(b"", frame).replace(b"\r", b"").split(b"\n")
        self.assertLessEqual(len(lines), 10)
        for line in lines:
            self.assertLessEqual(len(line.decode()), 29, lines)
        large = Screen(self, "status", "--watch")
        for title in (rb"who holds them", rb"copies", rb"use, lately"):
            large.wait_for(title)
            large.press(b"m")

    def test_a_worker_tells_of_itself(self):
        store = self.home / "phone"

        def told():
            # What it says may be a quarter of a second old.
            report = self.report("status", "--worker", "--store", store)
            self.assertEqual(len(report["pools"]), 1)
            pool = report["pools"][0]
            return pool["units_ready"] == pool["units_assigned"] > 0 and report

        report = wait_for(told, "all units")
        self.assertFalse(report["leaving"])
        self.assertEqual(report["pools"][0]["phase"], "member")
        self.assertGreater(report["stored_bytes"], 0)
        plain = self.potluck("status", "--worker", "--store", store)
        self.assertIn("lends 100 % of its speed", plain.stdout)
        self.assertNotIn("\x1b", plain.stdout)
        screen = Screen(self, "status", "--worker", "--store", store, "--watch")
        screen.wait_for(rb"requests +\d+ answered, 0 waiting, 0.0/s")
        self.phone.send_signal(signal.SIGKILL)
        screen.wait_for(rb"no `potluck join` runs")
        screen.press(b"\x03")
        self.assertEqual(screen.wait(), 130)
        self.assertTrue(screen.is_as_found())
        self.assertEqual(self.potluck("status", "--worker", "--store", store).returncode, 1)
        self.assertEqual(self.potluck("status", "--store", store).returncode, 2)


if __name__ == "__main__":
    unittest.main()
