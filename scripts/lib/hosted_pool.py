"""A pool in hosts: a coordinator and workers that joined it by invitation, every one a real process in a
host of its own, and what happens to them. For tests and measurements: starts, kills, freezes, says when
all units are ready, and streams an answer token by token."""

import contextlib
import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import threading
import time

JOIN_PORT = 7700
API_PORT = 8080
STARTING = 120
METRIC = re.compile(r'^potluck_(workers\{state="(?:ready|fetching)"\}|units_assigned|units_ready) (\d+)', re.M)
POLL_SECONDS = 0.05


class PoolError(Exception):
    """Something did not happen in time; the text has what was logged."""


def wait_for(condition, what, seconds=STARTING, step=0.01):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(step)
    raise PoolError(f"waited {seconds} s in vain for {what}")


class Log:
    """Lines of a process, with the time at which each was read."""

    def __init__(self, stream):
        self.lines = []
        self.thread = threading.Thread(target=self.read, args=(stream,), daemon=True)
        self.thread.start()

    def read(self, stream):
        with contextlib.suppress(ValueError):  # closed meanwhile
            for line in stream:
                self.lines.append((time.monotonic(), line.decode(errors="replace").rstrip("\n")))

    def text(self):
        return "\n".join(line for _, line in self.lines)

    def find(self, pattern, since=0.0):
        """The first line at or after a time that matches: when, and the match."""
        for when, line in list(self.lines):
            if when >= since and (match := re.search(pattern, line)):
                return when, match
        return None


class Watch:
    """Asks a coordinator for its metrics again and again, and notes each change of what it says: when,
    workers, units that are ready, and all units."""

    def __init__(self, hosts):
        self.hosts = hosts
        self.states = [(time.monotonic(), 0, 0, 0)]
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopped.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", API_PORT)
            try:
                connection.sock = self.hosts.connect("coordinator", ("127.0.0.1", API_PORT), timeout=30)
                while not self.stopped.wait(POLL_SECONDS):
                    connection.request("GET", "/metrics")
                    self.note(connection.getresponse().read().decode())
            except (OSError, http.client.HTTPException):
                self.note("")
                self.stopped.wait(POLL_SECONDS)
            finally:
                connection.close()

    def note(self, text):
        values = {name: int(value) for name, value in METRIC.findall(text)}
        workers = sum(value for name, value in values.items() if name.startswith("workers"))
        state = (workers, values.get("units_ready", 0), values.get("units_assigned", 0))
        if state != self.states[-1][1:]:
            self.states.append((time.monotonic(), *state))

    def stop(self):
        self.stopped.set()
        self.thread.join(60)


class HostedPool:
    """In hosts named "coordinator" and like the workers. Everything is below `home`. `own`: what single
    workers join with besides, by name."""

    def __init__(self, hosts, binary, model, home, workers, serve=(), join=(), own=None):
        self.hosts, self.binary, self.model, self.home = hosts, str(binary), str(model), home
        self.workers = list(workers)
        self.serve_arguments, self.join_arguments = list(serve), list(join)
        self.own_arguments = own or {}
        self.processes, self.logs = {}, {}
        self.watch = Watch(hosts)

    # --- processes ---

    def start(self, host, *arguments, **variables):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("POTLUCK_")}
        environment.update(POTLUCK_HOME=str(self.home / host), **variables)
        process = self.hosts.start(host, [self.binary, *arguments], env=environment,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, bufsize=0)
        self.processes[host] = process
        self.logs[host] = Log(process.stderr)
        return process

    def start_coordinator(self, invitations=0):
        """Returns once workers can reach it: when that was, and the invitations."""
        process = self.start("coordinator", "serve", self.model, "--listen",
                             f"{self.hosts.addresses['coordinator']}:{JOIN_PORT}", "--port", API_PORT,
                             "--invitations", invitations,
                             *self.serve_arguments)
        tokens = []
        reader = threading.Thread(target=self.read_tokens, args=(process.stdout, tokens), daemon=True)
        reader.start()
        when, _ = wait_for(lambda: self.log.find("listens on"), "the coordinator")
        wait_for(lambda: len(tokens) >= invitations, "invitations")
        return when, tokens

    @staticmethod
    def read_tokens(stream, tokens):
        with contextlib.suppress(ValueError):
            for line in stream:
                if found := re.match(r"potluck join (\S+)", line.decode()):
                    tokens.append(found.group(1))

    def start_worker(self, worker, token=None):
        # All hosts are this machine, hot or not.
        return self.start(worker, "join", "--ignore-health", *([token] if token else []), "--store",
                          self.home / worker / "store", "--threads", "1", "--name", worker,
                          *self.join_arguments, *self.own_arguments.get(worker, []))

    def open(self):
        """Coordinator and all workers; returns once all units are ready."""
        _, tokens = self.start_coordinator(len(self.workers))
        for worker, token in zip(self.workers, tokens):
            self.start_worker(worker, token)
        self.wait_ready()

    def send_signal(self, host, how):
        os.kill(self.processes[host].pid, how)

    def end(self, host, how=signal.SIGTERM):
        """Ends a process and waits until it has ended."""
        process = self.processes[host]
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(how)
        process.wait(30)
        self.logs[host].thread.join(5)
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()

    def close(self):
        self.watch.stop()
        for host, process in self.processes.items():
            if process.stdin.closed:
                continue
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.end(host, signal.SIGTERM)
            if process.poll() is None:
                self.end(host, signal.SIGKILL)

    # --- what is going on ---

    @property
    def log(self):
        return self.logs["coordinator"]

    def state(self):
        """When it changed last, workers, units that are ready, and all units; a tenth of a second old."""
        return self.watch.states[-1]

    def all_ready(self):
        """Since when everyone is here and has its units; None if not."""
        when, workers, ready, units = self.state()
        return when if workers == len(self.workers) and 0 < units == ready else None

    def wait_ready(self, since=0.0, seconds=STARTING):
        """Seconds from `since` until everyone is back; 0 if nobody was missed."""
        try:
            when = wait_for(self.all_ready, "all units", seconds)
        except PoolError as error:
            raise PoolError(f"{error}; {self.describe()}") from error
        return max(0.0, when - since)

    def wait_lost(self, seconds=15):
        wait_for(lambda: self.all_ready() is None, "the loss of a worker", seconds)

    def describe(self):
        texts = [f"--- {host}:\n{log.text()[-3000:]}" for host, log in self.logs.items()]
        return "\n".join([*texts, f"--- changes: {self.watch.states[-20:]}"])


class Stream:
    """Answers to one prompt, one after the other, token by token, from now until stop(). Greedy, so that
    each must begin like every other one."""

    def __init__(self, pool, prompt="Once upon a time", tokens=2000):
        self.pool = pool
        self.body = json.dumps({"prompt": prompt, "max_tokens": tokens, "temperature": 0,
                                "ignore_eos": True, "stream": True})
        self.texts = [""]
        self.times = []  # of tokens; an answer's first one is left out
        self.gaps = []  # when a pause began, and its seconds
        self.failures = 0  # requests that were cut off
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopped.is_set():
            try:
                self.one_answer()
            except (OSError, http.client.HTTPException, ValueError):
                self.failures += 1
                self.stopped.wait(0.05)

    def one_answer(self):
        connection = http.client.HTTPConnection("127.0.0.1", API_PORT)
        connection.sock = self.pool.hosts.connect("coordinator", ("127.0.0.1", API_PORT), timeout=120)
        try:
            connection.request("POST", "/v1/completions", self.body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            if answer.status != 200:
                raise ValueError(f"status {answer.status}")
            self.texts.append("")
            last = None
            while not self.stopped.is_set():
                line = answer.readline()
                if not line:
                    raise ValueError("cut off")
                if not line.startswith(b"data: {"):
                    if line.startswith(b"data: [DONE]"):
                        return
                    continue
                now = time.monotonic()
                self.texts[-1] += json.loads(line[6:])["choices"][0]["text"]
                if last is not None:
                    self.gaps.append((last, now - last))
                self.times.append(now)
                last = now
        finally:
            connection.close()

    def wait_tokens(self, count, seconds=STARTING):
        """Until so many more have come."""
        target = len(self.times) + count
        wait_for(lambda: len(self.times) >= target, f"{count} tokens", seconds)

    def stop(self):
        self.stopped.set()
        self.thread.join(150)

    def usual_gap(self, before):
        gaps = [gap for when, gap in self.gaps if when + gap < before]
        return statistics.median(gaps[-500:]) if gaps else 0.0

    def longest_gap(self, start, end):
        """The longest time without a token, as far as it lies between the two moments."""
        inside = [when for when in self.times if start <= when <= end]
        edges = [max([start, *[w for w in self.times if w < start][-1:]]), *inside, end]
        return max(b - a for a, b in zip(edges, edges[1:]))

    def differs_from(self, expected):
        """Where an answer is not what it should be; None if all are."""
        for text in self.texts:
            same = min(len(text), len(expected))
            if text[:same] != expected[:same]:
                place = next(i for i in range(same) if text[i] != expected[i])
                return f"at {place}: {text[place:place + 40]!r}, expected {expected[place:place + 40]!r}"
        return None
