"""Many minutes of everything at once: clients of every API that stream, leave, come back and ask for forms
and calls, over a pool whose workers are killed, come back, join and leave. In the end nothing is stuck, the
counts add up, memory has stopped growing, and the text of a fixed prompt was the same all through. Only with
POTLUCK_SOAK=1; POTLUCK_SOAK_SECONDS says how long (default 1200)."""

import collections
import http.client
import json
import os
import random
import re
import resource
import subprocess
import threading
import time
import unittest

from support import BINARY, PATIENCE_SECONDS, TALETELLER, resident_bytes, wait_for
from test_api import SEA, STORY, ApiTest, chat, events_of

SECONDS = float(os.environ.get("POTLUCK_SOAK_SECONDS", "1200"))
WORKERS = 3
CLIENTS = 6
MIB = 1 << 20
# So little that the memory for keys and values is full soon, and its blocks are replaced from then on.
DATA_BYTES = 400 * MIB
FORM = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 12},
                                         "age": {"type": "integer", "minimum": 1, "maximum": 99}},
        "required": ["name", "age"], "additionalProperties": False}
PARAMETERS = {"type": "object", "properties": {"times": {"enum": [1, 2, 5]}}, "required": ["times"]}
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": PARAMETERS}}]
WORDS = "fox well sea horse king bird stone river night lamp bread mill child winter song boat".split()


class Client:
    """One that goes on asking. Counts what it was told, and keeps what was wrong."""

    def __init__(self, soak, number):
        self.soak, self.random = soak, random.Random(number)
        self.sent = 0           # requests that were surely taken
        self.perhaps_sent = 0   # whose connection was closed before an answer
        self.counts = collections.Counter()
        self.kinds = [self.chat, self.chat_stream, self.leaves, self.leaves_at_once, self.completion,
                      self.responses, self.messages, self.ollama, self.calls, self.form, self.refused,
                      self.retries, self.fixed]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.soak.over.is_set():
            kind = self.random.choice(self.kinds)
            try:
                kind()
                self.counts[kind.__name__] += 1
            except Exception as error:  # noqa: BLE001: of any kind, and the test fails
                self.soak.wrong.append(f"{kind.__name__}: {type(error).__name__}: {error}")

    def prompt(self):
        """A few begin alike, most are new; some are long."""
        words = self.random.choices(WORDS, k=self.random.choice((3, 20, 200, 700)))
        return self.random.choice((STORY, SEA, "")) + " Tell me of " + " and ".join(words)

    def asked(self, **more):
        seed = self.random.randrange(1 << 30)
        return {"max_tokens": self.random.randrange(1, 80), "temperature": 1, "seed": seed, **more}

    def open(self, path, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.soak.port, timeout=PATIENCE_SECONDS)
        connection.request("POST", path, json.dumps(body))
        return connection

    def post(self, path, body, status=200):
        connection = self.open(path, body)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status != status:
            raise AssertionError(f"status {answer.status}: {text[:300]}")
        self.sent += status == 200
        return json.loads(text)

    def streamed(self, path, body):
        connection = self.open(path, {**body, "stream": True})
        answer = connection.getresponse()
        if answer.status != 200:
            raise AssertionError(f"status {answer.status}: {answer.read()[:300]}")
        self.sent += 1
        return connection, answer

    def chat(self):
        self.post("/v1/chat/completions", chat(self.prompt(), **self.asked()))

    def chat_stream(self):
        connection, answer = self.streamed("/v1/chat/completions", chat(self.prompt(), **self.asked()))
        *_, last = events_of(answer)
        assert last == b"[DONE]", last
        connection.close()

    def leaves(self):
        connection, answer = self.streamed("/v1/chat/completions",
                                           chat(self.prompt(), **self.asked(max_tokens=2000, ignore_eos=True)))
        events = events_of(answer)
        for _ in range(self.random.randrange(1, 20)):
            next(events)
        answer.close()
        connection.close()

    def leaves_at_once(self):
        connection = self.open("/v1/completions", {"prompt": self.prompt(), **self.asked()})
        time.sleep(self.random.choice((0, 0.01, 0.1, 0.5)))
        self.perhaps_sent += 1
        connection.close()

    def completion(self):
        answer = self.post("/v1/completions", {"prompt": self.prompt(), "logprobs": 2, **self.asked()})
        # A text may be over at once.
        ended = answer["choices"][0]["finish_reason"] == "stop"
        assert answer["usage"]["completion_tokens"] >= 1 or ended, answer

    def responses(self):
        first = self.post("/v1/responses", {"input": self.prompt(), "max_output_tokens": 20})
        connection, answer = self.streamed("/v1/responses", {
            "input": "And then?", "max_output_tokens": 20, "previous_response_id": first["id"]})
        text = answer.read()
        assert b"response.completed" in text or b"response.incomplete" in text, text[-300:]
        connection.close()

    def messages(self):
        connection, answer = self.streamed("/v1/messages", {
            "messages": [{"role": "user", "content": self.prompt()}], "max_tokens": 30})
        assert b"message_stop" in answer.read()
        connection.close()

    def ollama(self):
        answer = self.post("/api/chat", {"messages": [{"role": "user", "content": self.prompt()}], "stream": False,
                                         "options": {"num_predict": 20}})
        assert answer["done"]

    def told_whole(self, question):
        """The message of an answer that was not cut off, or none: thoughts may take all the room."""
        choice = self.post("/v1/chat/completions", question)["choices"][0]
        return None if choice["finish_reason"] == "length" else choice["message"]

    def calls(self):
        message = self.told_whole(chat(self.prompt(), tools=TOOLS, tool_choice="required",
                                       **self.asked(max_tokens=100)))
        if message is None:
            return
        self.counts["calls that were made"] += 1
        call = message["tool_calls"][0]
        assert json.loads(call["function"]["arguments"])["times"] in (1, 2, 5), call
        question = chat(STORY, **self.asked())
        question["messages"] += [{"role": "assistant", "content": None, "tool_calls": [call]},
                                 {"role": "tool", "tool_call_id": call["id"], "content": "A fox."}]
        self.post("/v1/chat/completions", question)

    def form(self):
        message = self.told_whole(chat(
            self.prompt(), response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": FORM}},
            **self.asked(max_tokens=100)))
        if message is not None:
            self.counts["forms that were filled"] += 1
            assert 1 <= json.loads(message["content"])["age"] <= 99, message

    def refused(self):
        self.post("/v1/chat/completions", chat("x", temperature=3), 400)
        self.post("/v1/messages", {"messages": 7}, 400)

    def retries(self):
        """As clients do whose connection breaks: the same again."""
        body = chat(self.prompt(), **self.asked())
        connection = self.open("/v1/chat/completions", body)
        self.perhaps_sent += 1
        connection.close()
        self.post("/v1/chat/completions", body)

    def fixed(self):
        message = self.random.choice((STORY, SEA))
        text = self.post("/v1/chat/completions", chat(message))["choices"][0]["message"]["content"]
        if text != self.soak.alone[message]:
            raise AssertionError(f"another text: {text!r}")


@unittest.skipUnless(os.environ.get("POTLUCK_SOAK"), "takes many minutes: POTLUCK_SOAK=1")
class Soak(ApiTest):
    def start(self, *arguments, stdin=subprocess.DEVNULL, **extra):
        if arguments[0] != "serve":
            return super().start(*arguments, stdin=stdin, **extra)
        process = subprocess.Popen(
            [BINARY, *map(str, arguments)], env=self.environment(), stdin=stdin, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, bufsize=0,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (DATA_BYTES, DATA_BYTES)))
        self.addCleanup(self.end, process)
        return process

    def join(self, token, store, *arguments):
        process, err = super().join(token, store, *arguments)
        self.workers[store] = process
        return process, err

    def setUp(self):
        super().setUp()
        self.workers = {}
        self.wrong = []
        self.over = threading.Event()
        self.happened = collections.Counter()
        self.alone = {message: self.run_text("-p", message) for message in (STORY, SEA)}

    def disturb(self):
        """Kills workers and brings them back, and has others join and leave, as long as it lasts."""
        chance = random.Random(1)
        while not self.over.wait(chance.uniform(3, 8)):
            if chance.random() < 0.3:
                self.join_for_a_while(chance)
                continue
            store = f"store-{chance.randrange(WORKERS)}"
            self.workers[store].kill()
            self.workers[store].wait()
            self.happened["killed"] += 1
            self.over.wait(chance.uniform(0, 4))
            self.join("", store)
            self.happened["came back"] += 1

    def join_for_a_while(self, chance):
        known = re.findall(r"potluck join (\S+)\n", self.out.text)
        worker, _ = self.join(self.next_token(self.out, known), f"guest-{self.happened['joined']}")
        self.happened["joined"] += 1
        self.over.wait(chance.uniform(2, 10))
        worker.terminate()
        worker.wait(PATIENCE_SECONDS)
        self.happened["left"] += 1

    def metrics(self):
        connection = self.connect()
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return {name: float(value) for name, value in re.findall(r"^(potluck_\S+) (\S+)$", text, re.M)}

    def watch(self, clients):
        """A line now and then; returns what the server's memory was."""
        begun, memory = time.monotonic(), []
        print(f"\n{'seconds':>8} {'MiB':>6} {'requests':>9} {'running':>8} {'waiting':>8} {'lost':>5}")
        while not self.over.wait(min(15, SECONDS / 12)):
            passed = time.monotonic() - begun
            memory.append((passed, resident_bytes(self.server.pid) / MIB))
            now = self.metrics()
            status = json.loads(self.potluck("status", "--json").stdout)
            print(f"{passed:8.0f} {memory[-1][1]:6.0f} {sum(client.sent for client in clients):9} "
                  f"{now['potluck_num_requests_running']:8.0f} {now['potluck_num_requests_waiting']:8.0f} "
                  f"{status['workers_lost']:5}", flush=True)
            if passed >= SECONDS or len(self.wrong) > 20 or self.server.poll() is not None:
                self.over.set()
        return memory

    def check_counts(self, clients):
        """Each request has ended in one way, and no more ended than were sent."""
        def at_rest():
            now = self.metrics()
            return now["potluck_num_requests_running"] + now["potluck_num_requests_waiting"] == 0 and now
        now = wait_for(at_rest, "an end of all requests")
        ended = {name: int(value) for name, value in now.items()
                 if name.startswith(("potluck_request_success_total", "potluck_request_failure_total"))}
        print({name.removeprefix("potluck_request_"): count for name, count in ended.items() if count})
        sent = sum(client.sent for client in clients)
        perhaps = sum(client.perhaps_sent for client in clients)
        self.assertGreaterEqual(sum(ended.values()), sent)
        self.assertLessEqual(sum(ended.values()), sent + perhaps)
        self.assertEqual(now["potluck_e2e_request_latency_seconds_count"],
                         sum(count for name, count in ended.items() if "success" in name))
        failed = sum(count for name, count in ended.items() if "failure" in name)
        self.assertEqual(failed, 0)

    def check_memory(self, memory):
        """The memory for keys and values fills first; nothing grows from then on."""
        end = memory[-1][0]
        warm = max(size for passed, size in memory if end / 3 <= passed < 2 * end / 3)
        late = max(size for passed, size in memory if passed >= 2 * end / 3)
        print(f"memory: {warm:.0f} MiB at most in the second third, {late:.0f} MiB in the last one")
        self.assertLess(late, 1.05 * warm + 8)

    def test_nothing_is_lost_or_stuck(self):
        self.start_api(workers=WORKERS)
        clients = [Client(self, number) for number in range(CLIENTS)]
        disturbing = threading.Thread(target=self.disturb, daemon=True)
        disturbing.start()
        memory = self.watch(clients)
        for thread in [disturbing, *(client.thread for client in clients)]:
            thread.join(PATIENCE_SECONDS)
            self.assertFalse(thread.is_alive(), "a client or a worker that is stuck")
        self.assertEqual(self.wrong[:5], [])
        self.assertIsNone(self.server.poll(), self.err.text[-2000:])
        counts = sum((client.counts for client in clients), collections.Counter())
        print(dict(counts), dict(self.happened))
        self.assertGreater(counts["fixed"], 0)
        self.check_counts(clients)
        self.check_memory(memory)


if __name__ == "__main__":
    unittest.main()
