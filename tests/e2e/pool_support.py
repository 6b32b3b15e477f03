"""What the end-to-end tests of pools share: a coordinator, workers that join it, its status."""

import http.client
import json
import re
import threading

from support import TALETELLER, PotluckTest, wait_for

PROMPT = "Once upon a time"


class Lines:
    """Collects what a process writes, without blocking the test."""

    def __init__(self, stream):
        self.text = ""
        self.thread = threading.Thread(target=self.read, args=(stream,), daemon=True)
        self.thread.start()

    def read(self, stream):
        for piece in iter(lambda: stream.read(256), b""):
            self.text += piece.decode(errors="replace")

    def wait_for(self, pattern):
        return wait_for(lambda: re.search(pattern, self.text), f"{pattern!r} in {self.text!r}")


class PoolTest(PotluckTest):
    """A coordinator and workers over the network."""

    TOKENS = 24  # of alone() and complete()

    def serve(self, *arguments):
        process = self.start("serve", TALETELLER, "--listen", "127.0.0.1:0", *arguments, stdin=-1)
        return process, *self.lines_of(process)

    def lines_of(self, process):
        """What a coordinator or worker writes to standard output and standard error."""
        out, err = Lines(process.stdout), Lines(process.stderr)
        out.server = process
        # The threads end when the process does.
        self.addCleanup(lambda: (self.stop(process), out.thread.join(5), err.thread.join(5)))
        return out, err

    def join(self, token, store, *arguments):
        # A test machine may be hot, or a laptop on battery.
        health = [] if "--health-file" in arguments else ["--ignore-health"]
        process = self.start("join", *([token] if token else []), "--store", self.home / store,
                             "--threads", "1", *health, *arguments)
        err = Lines(process.stderr)
        self.addCleanup(lambda: (self.stop(process), err.thread.join(5)))
        return process, err

    @staticmethod
    def next_token(out, known=()):
        """The invitation that was printed at the start, or one more."""
        if known:
            out.server.stdin.write(b"invite\n")
            out.server.stdin.flush()

        def fresh():
            tokens = re.findall(r"potluck join (\S+)\n", out.text)
            return next((t for t in tokens if t not in known), None)
        return wait_for(fresh, "a join line")

    def ask(self, server, out, prompt):
        before = len(out.text)
        server.stdin.write(prompt.encode() + b"\n")
        server.stdin.flush()
        return before

    def alone(self):
        """What one machine says by itself."""
        return self.report("run", TALETELLER, "--raw", "--ignore-eos", "--temp", "0", "-p", PROMPT, "-n",
                           self.TOKENS)["text"]

    def complete(self, port):
        """What the pool says to the same prompt, by the HTTP API."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        body = {"prompt": PROMPT, "max_tokens": self.TOKENS, "temperature": 0, "ignore_eos": True}
        connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        connection.close()
        self.assertIn("choices", answer)
        return answer["choices"][0]["text"]

    def units_ready(self):
        done = self.potluck("status", "--json")
        if done.returncode != 0:
            return None
        status = json.loads(done.stdout)
        ready = status["units_assigned"] > 0 and status["units_ready"] == status["units_assigned"]
        return status if ready else None
