"""A coordinator that ends and starts again, a worker that is stopped and continues: both
are back within seconds. POTLUCK_SOAK=1 tries long absences, too."""

import concurrent.futures
import os
import re
import signal
import socket
import time
import unittest

from pool_support import Lines, PoolTest
from support import TALETELLER, wait_for

BACK_SECONDS = 5
AWAY_SECONDS = [3, 8] + ([20, 60] if os.environ.get("POTLUCK_SOAK") else [])
IDLE_SECONDS = 6  # longer than a silent peer is waited for


def free_ports(count):
    """The first of so many free ports in a row."""
    for port in range(20011, 30000, 7):
        sockets = [socket.socket() for _ in range(count)]
        try:
            for i, one in enumerate(sockets):
                one.bind(("127.0.0.1", port + i))
            return port
        except OSError:
            continue
        finally:
            for one in sockets:
                one.close()
    raise AssertionError(f"no {count} free ports in a row")


class Absence(PoolTest):
    def serve_at(self, port, home):
        process = self.start("serve", TALETELLER, "--threads", "1", "--listen",
                             f"127.0.0.1:{port}", POTLUCK_HOME=str(home))
        out, err = Lines(process.stdout), Lines(process.stderr)
        # The threads end when the process does.
        self.addCleanup(lambda: (self.stop(process), out.thread.join(5), err.thread.join(5)))
        err.wait_for("listens on")
        return process, out, err

    def pool_at(self, port, home):
        """A coordinator and one worker, idle for a while."""
        server, out, err = self.serve_at(port, home)
        worker, worker_err = self.join(self.next_token(out), home / "store", "--ram", "1MiB",
                                       "--disk", "256MiB")
        err.wait_for("joined")
        time.sleep(IDLE_SECONDS)
        return server, err, worker, worker_err

    def restart_coordinator(self, port, home, away):
        server, _, worker, worker_err = self.pool_at(port, home)
        server.terminate()
        server.wait(30)
        time.sleep(away)
        _, _, err = self.serve_at(port, home)
        start = time.monotonic()
        err.wait_for("joined")
        took = time.monotonic() - start
        self.assertIsNone(worker.poll(), worker_err.text)
        self.assertLess(took, BACK_SECONDS, f"the coordinator was away for {away} s")

    def stop_worker(self, port, home, away):
        server, err, worker, worker_err = self.pool_at(port, home)
        before = len(err.text)
        os.kill(worker.pid, signal.SIGSTOP)
        time.sleep(away)
        os.kill(worker.pid, signal.SIGCONT)
        start = time.monotonic()
        if away > 5:  # it was given up meanwhile
            wait_for(lambda: re.search(r"lost[\s\S]*joined", err.text[before:]), "joined again")
            self.assertLess(time.monotonic() - start, BACK_SECONDS, f"stopped for {away} s")
        else:
            time.sleep(BACK_SECONDS)
            self.assertNotIn("lost", err.text[before:])
        self.assertIsNone(worker.poll(), worker_err.text)
        self.assertIsNone(server.poll(), err.text)

    def test_all_are_back_soon(self):
        cases = [(how, away) for how in (self.restart_coordinator, self.stop_worker)
                 for away in AWAY_SECONDS]
        # Three each: for joining, computing, bulk.
        first = free_ports(3 * len(cases))
        with concurrent.futures.ThreadPoolExecutor(len(cases)) as pool:
            running = []
            for i, (how, away) in enumerate(cases):
                home = self.home / str(i)
                home.mkdir()
                running.append(pool.submit(how, first + 3 * i, home, away))
            for one in running:
                one.result()


if __name__ == "__main__":
    unittest.main()
