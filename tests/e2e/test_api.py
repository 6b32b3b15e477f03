"""The HTTP API of `potluck serve`, over a pool of two workers: the texts are those of `potluck run`,
also when several clients ask at once."""

import hashlib
import http.client
import json
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

from npm_clients import install_clients
from pool_support import PoolTest
from support import PATIENCE_SECONDS, TALETELLER, wait_for

MODEL = "taleteller-Q4_K_M"
STORY = "Tell me a story about a fox and a well."
SEA = "Tell me a story about a horse and the sea."
TOKENS = 60
LONG = {"max_tokens": 3000, "ignore_eos": True}


def chat(message, **more):
    return {"messages": [{"role": "user", "content": message}], "temperature": 0,
            "max_tokens": TOKENS, **more}


class ApiTest(PoolTest):
    def start_api(self, *arguments, workers=2):
        """A coordinator with its workers; its API is at self.port."""
        self.server, self.out, self.err = self.serve("--port", "0", "--ctx", "4096",
                                                     "--invitations", str(max(1, workers)),
                                                     *arguments)
        self.port = int(self.err.wait_for(r"listening on http://127\.0\.0\.1:(\d+)/v1").group(1))
        known = []
        for number in range(workers):
            tokens = wait_for(lambda: re.findall(r"potluck join (\S+)\n", self.out.text)[number:],
                              "an invitation")
            known.append(tokens[0])
            self.join(tokens[0], f"store-{number}")
        if workers:
            wait_for(lambda: (self.units_ready() or {"workers": []})["workers"][workers - 1:],
                     "workers that have their experts")

    def connect(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        self.addCleanup(connection.close)
        return connection

    def request(self, method, path, body=None, headers=()):
        connection = self.connect()
        if isinstance(body, dict):
            body = json.dumps(body)
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    def answered(self, path, body):
        status, answer = self.request("POST", path, body)
        self.assertEqual(status, 200, answer)
        return answer["choices"][0]

    def told(self, message):
        return self.answered("/v1/chat/completions", chat(message))["message"]["content"]

    def stream(self, path, body):
        """The response, whose lines are to be read."""
        connection = self.connect()
        connection.request("POST", path, json.dumps({**body, "stream": True}))
        answer = connection.getresponse()
        self.assertEqual(answer.status, 200)
        return connection, answer

    def run_text(self, *arguments):
        return self.report("run", TALETELLER, "--temp", "0", "-n", TOKENS, *arguments)["text"]


def events_of(answer):
    for line in answer:
        if line.startswith(b"data: "):
            yield line[len("data: "):].strip()


class Texts(ApiTest):
    def setUp(self):
        super().setUp()
        self.start_api()

    def test_texts_are_those_of_run(self):
        self.assertEqual(self.request("GET", "/health"), (200, {"status": "ok"}))
        status, models = self.request("GET", "/v1/models")
        self.assertEqual((status, [entry["id"] for entry in models["data"]]), (200, [MODEL]))
        self.assertEqual(models["data"][0]["max_model_len"], 4096)
        status, unknown = self.request("GET", "/v1/models/other")
        self.assertEqual((status, unknown["error"]["code"]), (404, "model_not_found"))

        answer = self.answered("/v1/chat/completions", chat(STORY, model="any"))
        self.assertEqual(answer["message"]["content"], self.run_text("-p", STORY))
        self.assertEqual(answer["finish_reason"], "length")
        text = self.answered("/v1/completions",
                             {"prompt": "The sea", "temperature": 0, "max_tokens": TOKENS})
        self.assertEqual(text["text"], self.run_text("--raw", "-p", "The sea"))
        # The status is written every second: at first it may be one from before the answers.
        status = wait_for(lambda: (seen := self.units_ready()) and seen["remote_expert_calls"] and seen,
                          "a status that counts the calls of the answers")
        self.assertEqual((len(status["workers"]), status["workers_lost"]), (2, 0))

    def test_a_stream_tells_the_same_in_order(self):
        whole = self.told(STORY)
        _, answer = self.stream("/v1/chat/completions",
                                chat(STORY, stream_options={"include_usage": True}))
        self.assertEqual(answer.getheader("Content-Type").split(";")[0], "text/event-stream")
        *events, done = events_of(answer)
        self.assertEqual(done, b"[DONE]")
        chunks = [json.loads(event) for event in events]
        self.assertEqual(len({chunk["id"] for chunk in chunks}), 1)
        choices = [chunk["choices"][0] for chunk in chunks if chunk["choices"]]
        self.assertEqual(choices[0]["delta"]["role"], "assistant")
        pieces = [choice["delta"].get("content") or "" for choice in choices]
        self.assertGreater(sum(1 for piece in pieces if piece), 10)
        self.assertEqual("".join(pieces), whole)
        reasons = [choice["finish_reason"] for choice in choices]
        self.assertEqual((set(reasons[:-1]), reasons[-1]), ({None}, "length"))
        self.assertEqual(chunks[-1]["choices"], [])
        self.assertGreater(chunks[-1]["usage"]["completion_tokens"], 10)

    def test_requests_at_the_same_time(self):
        """Three clients and the terminal at once: each gets the text that it gets alone."""
        alone = {message: self.told(message) for message in (STORY, SEA)}
        self.assertNotEqual(alone[STORY], alone[SEA])
        got = {}

        def tell(number, message):
            got[number, message] = self.told(message)

        before = self.ask(self.server, self.out, STORY)
        threads = [threading.Thread(target=tell, args=asked)
                   for asked in ((0, STORY), (1, SEA), (2, STORY))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
        self.assertEqual(got, {(0, STORY): alone[STORY], (1, SEA): alone[SEA], (2, STORY): alone[STORY]})
        wait_for(lambda: len(self.out.text) > before + 20, "an answer to what was typed")

    def test_a_client_that_leaves_is_not_worked_for(self):
        connection, answer = self.stream("/v1/chat/completions", chat(STORY, **LONG))
        events = events_of(answer)
        for _ in range(5):
            next(events)
        answer.close()
        connection.close()

        def calls():
            return wait_for(self.units_ready, "the status")["remote_expert_calls"]

        def at_rest():
            seen = calls()
            time.sleep(2.5)  # the status is written every second
            return calls() == seen
        wait_for(at_rest, "an end of the work")
        self.assertEqual(self.request("GET", "/health")[0], 200)


class Refusals(ApiTest):
    def test_what_is_wrong_is_said(self):
        self.start_api(workers=0)
        status, answer = self.request("POST", "/v1/chat/completions", "{")
        self.assertEqual((status, answer["error"]["type"]), (400, "invalid_request_error"))
        status, answer = self.request("POST", "/v1/chat/completions", chat("x") | {"temperature": 3})
        self.assertEqual((status, answer["error"]["param"]), (400, "temperature"))
        status, answer = self.request("POST", "/v1/completions",
                                      {"prompt": "the sea " * 5000, "max_tokens": 1})
        self.assertEqual((status, answer["error"]["type"]), (400, "exceed_context_size_error"))
        self.assertEqual(answer["error"]["n_ctx"], 4096)
        self.assertEqual(self.request("GET", "/v1/nothing")[0], 404)
        self.assertEqual(self.request("GET", "/v1/chat/completions")[0], 405)
        self.assertEqual(self.request("POST", "/v1/embeddings", {})[0], 501)

    def test_keys_and_pages(self):
        keys = self.home / "keys.txt"
        keys.write_text(hashlib.sha256(b"secret").hexdigest() + " ann\n")
        self.start_api("--api-key-file", keys, "--cors-origin", "https://a.example", "--cors-origin",
                       "https://b.example", workers=0)
        question = chat("x", max_tokens=1)
        status, answer = self.request("POST", "/v1/chat/completions", question)
        self.assertEqual((status, answer["error"]["code"]), (401, "invalid_api_key"))
        allowed = {"Authorization": "Bearer secret"}
        self.assertEqual(self.request("POST", "/v1/chat/completions", question, allowed)[0], 200)
        self.assertEqual(self.request("GET", "/v1/models")[0], 200)
        for origin, allows in (("https://a.example", True), ("https://b.example", True),
                               ("https://c.example", False)):
            connection = self.connect()
            connection.request("GET", "/health", headers={"Origin": origin})
            said = connection.getresponse().getheader("Access-Control-Allow-Origin")
            self.assertEqual(said is not None, allows, origin)

    def check_client(self, case, *arguments):
        clients = install_clients()
        self.start_api(*arguments, workers=0)
        done = subprocess.run(["node", "openai_chat.mjs", f"http://127.0.0.1:{self.port}/v1", case],
                              cwd=clients, capture_output=True, text=True, check=False,
                              timeout=PATIENCE_SECONDS)
        self.assertEqual(done.stdout, f"ok {case}\n", done.stderr)

    # Of tests/e2e/clients/openai_chat.mjs, the cases that expect nothing of a scripted answer.
    def test_the_npm_client_takes_no_for_an_answer(self):
        self.check_client("no_retry")

    def test_the_npm_client_with_a_key(self):
        keys = self.home / "keys.txt"
        keys.write_text(hashlib.sha256(b"secret").hexdigest() + " ann\n")
        self.check_client("keys", "--api-key-file", keys)

    def test_flags_that_cannot_be_met(self):
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        port = taken.getsockname()[1]
        arguments = ["serve", TALETELLER, "--listen", "127.0.0.1:0"]
        done = self.potluck(*arguments, "--port", port)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, rf"--port.* {port}.*in use")
        done = self.potluck(*arguments, "--host", "no.such.host.invalid")
        self.assertEqual(done.returncode, 1)
        self.assertIn("--host", done.stderr)
        keys = self.home / "keys.txt"
        keys.write_text("secret\n")
        done = self.potluck(*arguments, "--api-key-file", keys)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--api-key-file", done.stderr)
        self.assertEqual(self.potluck(*arguments, "--port", "65536").returncode, 2)


class Loading(ApiTest):
    def test_the_port_is_open_while_the_model_loads(self):
        _, _, err = self.serve("--port", "0", "--workers", "2", "--invitations", "0")
        self.port = int(err.wait_for(r"the API at http://127\.0\.0\.1:(\d+)/v1 answers").group(1))
        states = []

        def ready():
            self.assertEqual(self.request("GET", "/v1/models")[1]["data"][0]["id"], MODEL)
            status, body = self.request("GET", "/health")
            states.append((status, body))
            return status == 200

        wait_for(ready, "a model that is loaded")
        status, body = states[0]
        self.assertEqual(status, 503, "two workers are not ready at once")
        self.assertEqual(body["error"]["message"], "Loading model")
        self.assertIn("stage", body["loading"])
        self.assertTrue(self.told(STORY))


class Encrypted(ApiTest):
    def certificate(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        key, certificate = folder + "/key.pem", folder + "/cert.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                        "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key,
                        "-out", certificate], check=True, capture_output=True)
        return certificate, key

    def test_answers_by_https(self):
        certificate, key = self.certificate()
        _, _, err = self.serve("--port", "0", "--invitations", "0", "--tls-cert", certificate,
                               "--tls-key", key)
        port = int(err.wait_for(r"listening on https://127\.0\.0\.1:(\d+)/v1").group(1))
        trust = ssl.create_default_context(cafile=certificate)
        # Clients that never start the TLS handshake, or speak plain HTTP, do not block others.
        silent = socket.create_connection(("127.0.0.1", port))
        self.addCleanup(silent.close)
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as plain:
            plain.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertNotIn(b"HTTP/1.1 200", plain.recv(1000))
        client = http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS,
                                             context=trust)
        self.addCleanup(client.close)
        for _ in range(2):  # on one connection
            client.request("POST", "/v1/chat/completions", json.dumps(chat(STORY)))
            answer = json.loads(client.getresponse().read())
            self.assertEqual(answer["choices"][0]["message"]["content"], self.run_text("-p", STORY))
        client.request("POST", "/v1/chat/completions", json.dumps(chat(STORY, stream=True)))
        self.assertIn(b"data: [DONE]", client.getresponse().read())

    def test_files_that_do_not_fit(self):
        certificate, key = self.certificate()
        _, other = self.certificate()
        for flags, said in [(("--tls-cert", certificate), "one needs the other"),
                            (("--tls-cert", certificate, "--tls-key", other), "key values mismatch"),
                            (("--tls-cert", other, "--tls-key", key), other)]:
            failed = self.potluck("serve", TALETELLER, "--listen", "127.0.0.1:0", "--port", "0",
                                  *flags)
            self.assertEqual(failed.returncode, 2)
            self.assertIn(said, failed.stderr)


class OtherApis(ApiTest):
    def setUp(self):
        super().setUp()
        self.start_api(workers=0)

    def post(self, path, body):
        status, answer = self.request("POST", path, body)
        self.assertEqual(status, 200, answer)
        return answer

    def metric(self, name):
        connection = self.connect()
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.M).group(1))

    def test_every_api_tells_the_same(self):
        text = self.told(STORY)
        question = chat(STORY)
        message = self.post("/v1/messages", question)
        self.assertEqual((message["content"], message["stop_reason"]),
                         ([{"type": "text", "text": text}], "max_tokens"))
        usage = message["usage"]
        prompt_tokens = usage["input_tokens"] + usage["cache_read_input_tokens"]
        self.assertGreater(usage["cache_read_input_tokens"], 0)
        counted = self.post("/v1/messages/count_tokens", question)
        self.assertEqual(counted, {"input_tokens": prompt_tokens})

        answer = self.post("/v1/responses", {"input": STORY, "temperature": 0, "max_output_tokens": TOKENS})
        self.assertEqual(answer["output"][0]["content"][0]["text"], text)
        self.assertEqual((answer["status"], answer["usage"]["input_tokens"]), ("incomplete", prompt_tokens))

        options = {"temperature": 0, "num_predict": TOKENS}
        told = self.post("/api/chat", {"messages": question["messages"], "options": options, "stream": False})
        self.assertEqual((told["message"]["content"], told["done_reason"]), (text, "length"))
        told = self.post("/api/generate", {"prompt": STORY, "options": options, "stream": False})
        self.assertEqual((told["response"], told["prompt_eval_count"]), (text, prompt_tokens))
        self.assertEqual(self.metric('potluck_request_success_total{finished_reason="length"}'), 5)

    def test_a_response_goes_on_from_the_one_before(self):
        asked = {"temperature": 0, "max_output_tokens": 20}
        first = self.post("/v1/responses", {"input": STORY, **asked})
        said = first["output"][0]["content"][0]["text"]
        after = self.post("/v1/responses", {"input": SEA, "previous_response_id": first["id"], **asked})
        messages = [{"role": "user", "content": STORY}, {"role": "assistant", "content": said},
                    {"role": "user", "content": SEA}]
        whole = self.post("/v1/chat/completions", {"messages": messages, "temperature": 0, "max_tokens": 20})
        self.assertEqual(after["output"][0]["content"][0]["text"],
                         whole["choices"][0]["message"]["content"])

    def test_choices_share_the_computing_of_their_prompt(self):
        asked = chat(10 * STORY, n=3, max_tokens=5)  # short prompts are not worth waiting for
        asked |= {"temperature": 1, "seed": 7}
        answer = self.post("/v1/chat/completions", asked)
        self.assertEqual(len(answer["choices"]), 3)
        self.assertGreater(len({choice["message"]["content"] for choice in answer["choices"]}), 1)
        one = answer["usage"]["prompt_tokens"]
        self.assertEqual(self.metric("potluck_prompt_tokens_total"), 3 * one)
        self.assertGreaterEqual(self.metric("potluck_prompt_tokens_cached_total"), 2 * (one - 1))

    def test_streams_of_text_end_with_their_speed(self):
        _, answer = self.stream("/v1/completions", {"prompt": "The sea", "max_tokens": 5})
        *events, done = events_of(answer)
        self.assertEqual(done, b"[DONE]")
        self.assertEqual(json.loads(events[-1])["timings"]["predicted_n"], 5)


class Endings(ApiTest):
    def finished(self, answer):
        *_, last, done = events_of(answer)
        self.assertEqual(done, b"[DONE]")
        return json.loads(last)["choices"][0]["finish_reason"]

    def test_requests_under_way_are_answered(self):
        self.start_api("--drain-timeout", "60", workers=0)
        _, answer = self.stream("/v1/chat/completions", chat(STORY, max_tokens=100, ignore_eos=True))
        answer.readline()
        begun = time.monotonic()
        self.server.send_signal(signal.SIGTERM)
        self.assertEqual(self.finished(answer), "length")
        self.assertEqual(self.server.wait(60), 0)
        self.assertLess(time.monotonic() - begun, 60)
        with self.assertRaises(OSError):
            self.connect().connect()

    def test_those_that_take_too_long_are_cut_off(self):
        self.start_api("--drain-timeout", "1", workers=0)
        _, answer = self.stream("/v1/chat/completions", chat(STORY, **LONG))
        answer.readline()
        self.server.send_signal(signal.SIGTERM)
        self.assertEqual(self.server.wait(30), 0)
        self.err.wait_for("--drain-timeout")


if __name__ == "__main__":
    unittest.main()
