"""Hosts in network namespaces: links behave as they were asked for, and nothing is left behind. For
root."""

import pathlib
import signal
import statistics
import subprocess
import sys
import time
import unittest

from support import ROOT

sys.path.insert(0, str(ROOT / "scripts/lib"))
from hosts import Hosts, HostsError, Link, remove_leftovers, run_ip, tell, why_not  # noqa: E402

SCRIPT = str(ROOT / "scripts/hosts")

# Answers every datagram, and says how long so many bytes took to come.
PARTNER = """
import socket, sys, threading, time
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
echo = socket.socket(family, socket.SOCK_DGRAM)
echo.bind(("" if family == socket.AF_INET else "::", 5000))
sink = socket.create_server((sys.argv[1], 5001), family=family)
print("ready", flush=True)
def answer():
    while True:
        data, sender = echo.recvfrom(65536)
        echo.sendto(data, sender)
threading.Thread(target=answer, daemon=True).start()
while True:
    connection, _ = sink.accept()
    count, start = 0, time.monotonic()
    try:
        while piece := connection.recv(1 << 20):
            count += len(piece)
    except ConnectionError:
        pass
    print(count, time.monotonic() - start, flush=True)
"""

# Round trips of small datagrams: those that came back, in seconds, one a line.
ASKER = """
import socket, sys, time
address, count, timeout = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
ask = socket.socket(family, socket.SOCK_DGRAM)
ask.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
ask.settimeout(timeout)
for i in range(count):
    start = time.monotonic()
    ask.sendto(str(i).encode(), (address, 5000))
    try:
        while True:
            data, sender = ask.recvfrom(65536)
            if data == str(i).encode():
                print(time.monotonic() - start, sender[0], flush=True)
                if not address.endswith(".255"):
                    break
    except socket.timeout:
        pass
"""

SENDER = """
import socket, sys
with socket.create_connection((sys.argv[1], 5001)) as out:
    out.sendall(bytes(int(sys.argv[2])))
"""


class HostsTest(unittest.TestCase):
    def make(self, *arguments, **more):
        reason = why_not()
        if reason:
            self.skipTest(reason)
        hosts = Hosts(*arguments, **more)
        try:
            hosts.__enter__()
        except HostsError as error:
            self.skipTest(str(error))
        self.addCleanup(hosts.close)
        return hosts

    def partner(self, hosts, host, address=None):
        process = hosts.start(host, [sys.executable, "-c", PARTNER, address or hosts.addresses[host]],
                              stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.assertEqual(process.stdout.readline(), "ready\n")
        return process

    def ask(self, hosts, host, address, count=5, timeout=1.0):
        """Seconds of the round trips that came back, and who answered."""
        done = hosts.run(host, [sys.executable, "-c", ASKER, address, count, timeout],
                         capture_output=True, text=True, timeout=60)
        lines = [line.split() for line in done.stdout.splitlines()]
        return [float(seconds) for seconds, _ in lines], [who for _, who in lines]

    def test_delay_rate_and_links_of_their_own(self):
        slow = Link(delay_ms=20, up_mbit=20, down_mbit=20)
        hosts = self.make(["a", "b", "c"], Link.between(delay_ms=4, rate_mbit=200), {"c": slow})
        partner = self.partner(hosts, "b")
        trips, _ = self.ask(hosts, "a", "10.88.0.2", 10)
        self.assertEqual(len(trips), 10)
        self.assertGreaterEqual(min(trips), 0.008)
        self.assertLess(statistics.median(trips), 0.020)  # a loaded machine
        trips, _ = self.ask(hosts, "c", "10.88.0.2")
        self.assertGreaterEqual(min(trips), 0.044)
        for host, size, rate in (("a", 12_500_000, 25e6), ("c", 1_250_000, 2.5e6)):
            hosts.run(host, [sys.executable, "-c", SENDER, "10.88.0.2", size], timeout=60)
            count, seconds = partner.stdout.readline().split()
            self.assertEqual(int(count), size)
            self.assertGreater(float(seconds), 0.9 * size / rate)
            self.assertLess(float(seconds), 4 * size / rate)

    def test_broadcast_and_ipv6(self):
        hosts = self.make(["a", "b", "c"])
        for host in ("b", "c"):
            self.partner(hosts, host)
        _, who = self.ask(hosts, "a", "10.88.0.255", count=1, timeout=0.5)
        self.assertEqual(sorted(who), ["10.88.0.2", "10.88.0.3"])
        if pathlib.Path("/proc/net/if_inet6").exists():
            self.partner(hosts, "a", "fd88::1")
            trips, _ = self.ask(hosts, "b", "fd88::1")
            self.assertEqual(len(trips), 5)

    def test_links_that_change_while_they_are_used(self):
        hosts = self.make(["a", "b"])
        self.partner(hosts, "b")
        self.assertEqual(len(self.ask(hosts, "a", "10.88.0.2")[0]), 5)
        hosts.link_down("b")
        self.assertEqual(self.ask(hosts, "a", "10.88.0.2", 3, 0.2)[0], [])
        self.assertEqual(hosts.counts()["b"]["state"], "down")
        hosts.link_up("b")
        self.assertEqual(len(self.ask(hosts, "a", "10.88.0.2")[0]), 5)
        hosts.set_link("a", Link(delay_ms=30))
        self.assertGreaterEqual(min(self.ask(hosts, "a", "10.88.0.2")[0]), 0.060)
        hosts.set_link("a", Link(loss=0.5))
        trips, _ = self.ask(hosts, "a", "10.88.0.2", 40, 0.05)
        self.assertTrue(2 <= len(trips) <= 25, len(trips))  # a quarter of 40
        with self.assertRaisesRegex(HostsError, "expected a number from 0 to 1"):
            hosts.set_link("a", Link(loss=2))
        with self.assertRaisesRegex(HostsError, "expected link, down, up, reset or status"):
            tell(hosts.control_path(), "explode")

    def test_an_address_that_changes_and_a_cut_that_is_noticed(self):
        hosts = self.make(["a", "b"])
        self.partner(hosts, "b")
        self.assertEqual(hosts.change_address("b"), "10.88.0.3")
        self.assertEqual(self.ask(hosts, "a", "10.88.0.2", 2, 0.2)[0], [])
        trips, who = self.ask(hosts, "a", "10.88.0.3")
        self.assertEqual((len(trips), set(who)), (5, {"10.88.0.3"}))
        self.partner(hosts, "a")
        connection = hosts.connect("b", ("10.88.0.1", 5001), 5)
        self.addCleanup(connection.close)
        connection.sendall(b"x")
        time.sleep(0.2)
        hosts.reset("b", 0.1)
        with self.assertRaises(ConnectionError):
            connection.recv(1)

    def test_nothing_is_left_behind(self):
        reason = why_not()
        if reason:
            self.skipTest(reason)
        command = [SCRIPT, "shell", "--workers", "1", "--", "sleep", "60"]
        for how in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            deadline = time.monotonic() + 20
            mine = f"potluck-{process.pid}-"
            while time.monotonic() < deadline and "sleep" not in self.commands_in(f"{mine}coordinator"):
                time.sleep(0.05)
            self.assertIn("sleep", self.commands_in(f"{mine}coordinator"))
            process.send_signal(how)
            process.wait(20)
            if how == signal.SIGKILL:
                self.assertIn(f"{mine}coordinator", remove_leftovers())
            self.assertNotIn(mine, run_ip("netns", "list"), how)

    @staticmethod
    def commands_in(name_space):
        found = []
        for process in run_ip("netns", "pids", name_space, check=False).split():
            try:
                found.append(pathlib.Path(f"/proc/{process}/comm").read_text().strip())
            except OSError:
                pass
        return found

    def test_without_root_it_says_what_is_needed(self):
        as_user = (f"import os, runpy, sys; os.geteuid = lambda: 1000; sys.argv = ['hosts', 'shell']; "
                   f"runpy.run_path({SCRIPT!r}, run_name='__main__')")
        done = subprocess.run([sys.executable, "-c", as_user], capture_output=True, text=True, timeout=20,
                              check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("need root", done.stderr)


if __name__ == "__main__":
    unittest.main()
