"""What strangers can cost a coordinator: memory, descriptors, log lines, and other devices' way in.

The table that the test prints is the worst of each kind of attack. POTLUCK_SOAK=1 attacks for
longer and with more connections.
"""

import os
import re
import resource
import unittest

from pool_support import PoolTest
from strangers import GREETING, MIB, Watched, attack, command
from support import wait_for

LONG = bool(os.environ.get("POTLUCK_SOAK"))
SECONDS = 5 if LONG else 1.5

# Sixteen guests at each of three sockets, with a frame of 4 MiB at one of them, and allocators.
MOST_MIB = 16 * 4 + 16
MOST_DESCRIPTORS = 3 * 16 + 8


def raise_own_limit():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Strangers(PoolTest):
    def start_pool(self, *arguments):
        server, out, err = self.serve(*arguments)
        token = self.next_token(out)
        base = int(err.wait_for(r"tcp://127\.0\.0\.1:(\d+)").group(1))
        with open(f"/proc/{server.pid}/net/tcp") as table:
            inodes = {line.split()[9]: int(line.split()[1].split(":")[1], 16)
                      for line in table.readlines()[1:] if line.split()[3] == "0A"}
        http = int(err.wait_for(r"http://127\.0\.0\.1:(\d+)").group(1))  # not the pool's
        ports = []
        for name in os.listdir(f"/proc/{server.pid}/fd"):
            target = os.readlink(f"/proc/{server.pid}/fd/{name}")
            match = re.match(r"socket:\[(\d+)\]", target)
            if match and inodes.get(match.group(1), http) != http:
                ports.append(inodes[match.group(1)])
        self.assertIn(base, ports)
        self.assertEqual(len(set(ports)), 3)
        return server, out, err, token, sorted(set(ports))

    def test_a_table_of_attacks_stays_within_its_bounds(self):
        raise_own_limit()
        server, out, err, token, ports = self.start_pool()
        counts = [70, 2400] if LONG else [600]
        attacks = [
            ("idle", (), b""),
            ("greeting", (GREETING,), b""),
            ("511 MiB command", (GREETING, command(511 * MIB)), bytes(MIB)),
            ("4 MiB command", (GREETING, command(4 * MIB)), bytes(MIB)),
            ("8 KiB command", (GREETING, command(8000)), bytes(7999)),
            ("noise", (), b"GET / HTTP/1.1\r\n" * 64),
        ]
        print("\nattack             connections addresses  opened    MiB  descriptors  processors")
        lines_before = err.text.count("\n")
        watched = Watched(server.pid)
        for name, opening, filler in attacks:
            for connections in counts:
                for addresses in (1, 200):
                    figures = attack(watched, ports, connections // 3, addresses, SECONDS / 2,
                                     opening, filler)
                    print(f"{name:18} {connections:11} {addresses:9} {figures['opened']:7} "
                          f"{figures['MiB']:6.1f} {figures['descriptors']:12} "
                          f"{figures['processors']:11.2f}")
                    self.assertLessEqual(figures["MiB"], MOST_MIB, name)
                    self.assertLessEqual(figures["descriptors"], MOST_DESCRIPTORS, name)
        lines = err.text.count("\n") - lines_before
        print(f"log lines during all attacks: {lines}")
        self.assertLessEqual(lines, 60)
        self.assertIsNone(server.poll())
        self.join(token, "a", "--ram", "64MiB")
        wait_for(self.units_ready, "all units")

    def test_an_invited_device_gets_in_during_a_flood(self):
        raise_own_limit()
        server, out, err, token, ports = self.start_pool()
        worker, worker_err = self.join(token, "a", "--ram", "64MiB")
        watched = Watched(server.pid)
        for _ in range(30):
            attack(watched, ports, 80, 2, 1, (GREETING,))
            if self.units_ready():
                break
        self.assertTrue(self.units_ready(), "the device is a member in spite of the flood")
        err.wait_for(r"turned \d+ connections? of strangers away")

    def test_the_door_is_closed_when_the_last_invitation_is_used(self):
        server, out, err, token, ports = self.start_pool("--no-beacon")
        self.join(token, "a", "--ram", "64MiB")
        err.wait_for("no invitation is open any more")
        stranger, stranger_err = self.join(token, "b")
        self.assertEqual(stranger.wait(60), 1)
        stranger_err.wait_for("no open invitation left")
        another = self.next_token(out, known=[token])
        self.assertNotEqual(another, token)
        self.join(another, "b", "--ram", "64MiB")
        wait_for(lambda: (self.units_ready() or {}).get("workers", [])[1:], "two workers")


if __name__ == "__main__":
    unittest.main()
