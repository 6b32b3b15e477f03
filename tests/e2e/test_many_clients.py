"""Many clients at once: a thousand idle connections, plain and with TLS, and a hundred that do not read
their answers. Others are answered at once meanwhile, and what the many cost has a bound. Prints what
was measured."""

import http.client
import json
import re
import resource
import shutil
import socket
import ssl
import statistics
import subprocess
import tempfile
import threading
import time
import unittest

from npm_clients import SCRIPTED_SERVER
from support import PATIENCE_SECONDS, resident_bytes, wait_for
from test_api import STORY, ApiTest, chat, events_of

IDLE = 1000
SLOW = 100
MIB = 1 << 20
# What is expected of a machine that does nothing else is far less: 100 ms. This one may be busy.
MEDIAN_SECONDS = 0.1
LONGEST_SECONDS = 3


def make_certificate(folder):
    key, certificate = f"{folder}/key.pem", f"{folder}/cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
                   check=True, capture_output=True)
    return certificate, key


def clients_that_do_not_read(test, path, body):
    """Connections that have asked for a long stream and take nothing of it."""
    connections = []
    for _ in range(SLOW):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", test.port))
        test.addCleanup(connection.close)
        connection.sendall(b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s"
                           % (path, len(body), body))
        connections.append(connection)
    return connections


class Probe(threading.Thread):
    """Asks for the models again and again, on a new connection every other time, and notes how long it takes."""

    def __init__(self, port, context=None):
        super().__init__(daemon=True)
        self.port, self.context = port, context
        self.samples = []  # of the phase, seconds
        self.phase = "before"
        self.failure = None
        self.stopped = threading.Event()
        self.start()

    def connect(self):
        if self.context:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS,
                                               context=self.context)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)

    def run(self):
        try:
            while not self.stopped.wait(0.01):
                connection = self.connect()
                for _ in range(2):
                    phase, begun = self.phase, time.monotonic()
                    connection.request("GET", "/v1/models")
                    answer = connection.getresponse()
                    if answer.status != 200 or b"taleteller" not in answer.read():
                        raise AssertionError(f"the models: status {answer.status}")
                    self.samples.append((phase, time.monotonic() - begun))
                connection.close()
        except (OSError, AssertionError, http.client.HTTPException) as error:
            self.failure = error

    def finish(self, test, title):
        self.stopped.set()
        self.join(PATIENCE_SECONDS)
        test.assertIsNone(self.failure)
        for phase in dict.fromkeys(name for name, _ in self.samples):
            seconds = [taken for name, taken in self.samples if name == phase]
            print(f"{title}, {phase}: /v1/models {len(seconds)} times, median "
                  f"{1000 * statistics.median(seconds):.1f} ms, longest {1000 * max(seconds):.1f} ms")
            test.assertLess(statistics.median(seconds), MEDIAN_SECONDS, phase)
            test.assertLess(max(seconds), LONGEST_SECONDS, phase)


class ManyClients(ApiTest):
    def setUp(self):
        super().setUp()
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        if most < IDLE + 500:
            self.skipTest(f"needs {IDLE + 500} descriptors")
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    def open_idle(self, context=None):
        """Connections of which every second has had an answer, and the others have never asked."""
        connections = []
        for number in range(IDLE):
            connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS)
            self.addCleanup(connection.close)
            if context:
                connection = context.wrap_socket(connection, server_hostname="127.0.0.1")
                self.addCleanup(connection.close)
            if number % 2:
                connection.sendall(b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertTrue(connection.recv(4096).startswith(b"HTTP/1.1 "))
            connections.append(connection)
        return connections

    def still_open(self, connections):
        count = 0
        for connection in connections:
            connection.setblocking(False)
            try:
                count += bool(connection.recv(4096))
            except (BlockingIOError, ssl.SSLWantReadError):
                count += 1
            except OSError:
                pass
        return count

    def metric(self, name):
        connection = self.connect()
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.M).group(1))

    def report_memory(self, what, before, bound):
        grown = (resident_bytes(self.server.pid) - before) / MIB
        print(f"{what}: {grown:.1f} MiB more than before")
        self.assertLess(grown, bound, what)

    def test_while_loading_and_while_busy(self):
        self.server, self.out, self.err = self.serve("--port", "0", "--ctx", "4096", "--workers", "2",
                                                     "--invitations", "0")
        self.port = int(self.err.wait_for(r"the API at http://127\.0\.0\.1:(\d+)/v1 answers").group(1))
        probe = Probe(self.port)
        probe.phase = "loading, connections come"
        connections = self.open_idle()
        if self.request("GET", "/ready")[0] == 503:
            probe.phase = "loading, connections stand"
        wait_for(lambda: self.request("GET", "/ready")[0] == 200, "a model that is loaded")
        probe.phase = "idle"
        alone = self.told(STORY)
        before = resident_bytes(self.server.pid)

        probe.phase = "busy"
        _, answer = self.stream("/v1/chat/completions", chat(STORY))
        events = events_of(answer)
        text = json.loads(next(events))["choices"][0]["delta"].get("content") or ""
        slow = self.open_slow()
        for event in events:
            if event != b"[DONE]" and (choices := json.loads(event)["choices"]):
                text += choices[0]["delta"].get("content") or ""
        self.assertEqual(text, alone)  # it goes on, and is what it is alone
        self.report_memory(f"{SLOW} readers that do not read", before, 400)
        for connection in slow:
            connection.close()
        wait_for(lambda: self.metric("potluck_num_requests_running") +
                 self.metric("potluck_num_requests_waiting") == 0, "the end of what no one reads")
        probe.finish(self, f"{IDLE} idle connections")
        self.assertEqual(self.still_open(connections), IDLE)

    def open_slow(self):
        """Clients that ask for long streams, and do not read them. More than may wait are refused."""
        return clients_that_do_not_read(self, b"/v1/completions", json.dumps(
            {"prompt": "The sea", "max_tokens": 400, "ignore_eos": True, "stream": True,
             "temperature": 0, "logprobs": 5}).encode())

    def test_with_tls(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        certificate, key = make_certificate(folder)
        self.server, self.out, self.err = self.serve("--port", "0", "--invitations", "0", "--tls-cert",
                                                     certificate, "--tls-key", key)
        self.port = int(self.err.wait_for(r"listening on https://127\.0\.0\.1:(\d+)/v1").group(1))
        context = ssl.create_default_context(cafile=certificate)
        before = resident_bytes(self.server.pid)
        probe = Probe(self.port, context)
        probe.phase = "connections come"
        connections = self.open_idle(context)
        probe.phase = "connections stand"
        time.sleep(1)
        self.report_memory(f"{IDLE} idle connections with TLS", before, 150)
        probe.finish(self, f"{IDLE} idle connections with TLS")
        self.assertEqual(self.still_open(connections), IDLE)

    def test_without_tls(self):
        self.start_api(workers=0)
        before = resident_bytes(self.server.pid)
        probe = Probe(self.port)
        connections = self.open_idle()
        probe.phase = "connections stand"
        time.sleep(1)
        self.report_memory(f"{IDLE} idle connections", before, 80)
        probe.finish(self, f"{IDLE} idle connections")
        self.assertEqual(self.still_open(connections), IDLE)


class SlowReaders(unittest.TestCase):
    """Streams that come faster than a model writes them, of a scripted server."""

    def setUp(self):
        self.server = subprocess.Popen([SCRIPTED_SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       text=True)
        self.addCleanup(self.end)
        self.port = int(re.search(r":(\d+)/", self.server.stdout.readline()).group(1))
        self.cancelled = set()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def end(self):
        self.server.stdin.close()
        self.server.wait(PATIENCE_SECONDS)
        self.reader.join(PATIENCE_SECONDS)
        self.server.stdout.close()

    def read(self):
        for line in self.server.stdout:
            self.cancelled.add(line)

    def test_cost_a_bound_and_then_their_connection(self):
        normal = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        self.addCleanup(normal.close)
        normal.request("POST", "/v1/chat/completions", json.dumps(chat("forever", stream=True)))
        events = events_of(normal.getresponse())
        next(events)
        before, worst = resident_bytes(self.server.pid), 0
        probe = Probe(self.port)
        probe.phase = "streams that no one reads"
        slow = clients_that_do_not_read(self, b"/v1/chat/completions",
                                        json.dumps(chat("flood forever", stream=True)).encode())
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(self.cancelled) < SLOW and time.monotonic() < deadline:
            worst = max(worst, resident_bytes(self.server.pid) - before)
            next(events)  # the one who reads goes on
        self.assertEqual(len(self.cancelled), SLOW)
        for _ in range(20):
            next(events)
        probe.finish(self, f"{SLOW} slow readers")
        print(f"{SLOW} slow readers: {worst / MIB:.1f} MiB more than before at most")
        self.assertLess(worst, SLOW * 1.5 * MIB + 50 * MIB)
        taken = []
        for connection in slow:
            connection.settimeout(PATIENCE_SECONDS)
            taken.append(0)
            try:
                while piece := connection.recv(1 << 16):
                    taken[-1] += len(piece)
            except ConnectionError:
                pass
        print(f"{SLOW} slow readers: {max(taken) / 1024:.0f} KiB were in the system for one at most")
        self.assertLess(max(taken), MIB)


if __name__ == "__main__":
    unittest.main()
