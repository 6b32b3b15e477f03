"""Requests that may leave the pool: to a second Potluck as the configuration says, to hostile servers, and never when
they are marked to stay."""

import hashlib
import json
import re
import socketserver
import ssl
import threading
import time
import unittest
import unittest.mock

from browser_support import Browser, find_chromium
from range_server import make_certificates
from support import PATIENCE_SECONDS, TALETELLER, wait_for
from test_api import ApiTest, STORY, chat, events_of

SECRET = "sk-upstream-secret-0123456789abcdef"
EVENT = b'data: {"choices": [{"index": 0, "delta": {"content": "drip "}}]}\n\n'


class Hostile:
    """A server that answers each request as `behave(connection)` says, and keeps what it was sent."""

    def __init__(self, test, behave, context=None):
        outer = self
        self.asked = []

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                stream = self.request
                try:
                    if context:
                        stream = context.wrap_socket(stream, server_side=True)
                    data = b""
                    while b"\r\n\r\n" not in data:
                        piece = stream.recv(65536)
                        if not piece:
                            return
                        data += piece
                    head, _, body = data.partition(b"\r\n\r\n")
                    length = int(re.search(rb"content-length: (\d+)", head, re.I).group(1))
                    while len(body) < length:
                        body += stream.recv(65536)
                    outer.asked.append((head.decode(), json.loads(body)))
                    behave(stream)
                    stream.close()
                except OSError:
                    outer.gone.set()

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.gone = threading.Event()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        test.addCleanup(self.server.server_close)
        test.addCleanup(self.server.shutdown)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def well(stream):
    stream.sendall(HEAD + EVENT + b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n')


def endless(stream):
    stream.sendall(HEAD)
    while True:
        stream.sendall(EVENT * 100)


def endless_line(stream):
    stream.sendall(HEAD + b"data: ")
    while True:
        stream.sendall(b"x" * 65536)


def garbage(stream):
    stream.sendall(HEAD + bytes(range(256)) * 40 + b"\n\ndata: {]\n\n")


def page(stream):
    stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>sign in</html>\n\n")


def silent(stream):
    time.sleep(60)


def slow(stream):
    """Never silent, and never at an end."""
    stream.sendall(HEAD)
    while True:
        stream.sendall(b": wait\n")
        time.sleep(0.5)


def middle(stream):
    stream.sendall(HEAD + EVENT * 3)


def huge_headers(stream):
    stream.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(4000):
        stream.sendall(b"X-%d: %s\r\n" % (number, b"y" * 90))
    stream.sendall(b"\r\n")


def not_http(stream):
    stream.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n" * 100)


def closes(stream):
    pass


def refuses(stream):
    text = json.dumps({"error": {"message": "the key " + SECRET + " is wrong"}}).encode()
    stream.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))


class UpstreamTest(ApiTest):
    def configure(self, address, **more):
        (self.home / "cloud.key").write_text(SECRET + "\n")
        table = {"name": "cloud", "address": address, "models": ["large"], "key-file": "cloud.key", **more}
        lines = [f"{key} = {json.dumps(value)}" for key, value in table.items() if value is not None]
        (self.home / "potluck.toml").write_text("[[upstream]]\n" + "\n".join(lines) + "\n")

    def start_pool(self, *arguments):
        self.server, self.out, self.err = self.serve("--port", "0", *arguments)
        self.port = int(self.err.wait_for(r"listening on http://127\.0\.0\.1:(\d+)/v1").group(1))

    def ask(self, body=None, path="/v1/chat/completions", **headers):
        connection = self.connect()
        connection.request("POST", path, json.dumps(body or chat(STORY, max_tokens=8)), headers)
        answer = connection.getresponse()
        return answer, json.loads(answer.read())

    def metric(self, name):
        connection = self.connect()
        connection.request("GET", "/metrics")
        found = re.search(rf"^{re.escape(name)} (\S+)$", connection.getresponse().read().decode(), re.M)
        return float(found.group(1)) if found else None

    def left(self, outcome="requests"):
        return self.metric(f'potluck_upstream_{outcome}_total{{upstream="cloud"}}')

    def no_secret(self):
        status = self.request("GET", "/api/pool")[1]
        for text in (self.err.text, self.out.text, json.dumps(status)):
            self.assertNotIn(SECRET, text)
            self.assertNotIn(SECRET[:12], text)


class SecondPotluck(UpstreamTest):
    """The upstream is another `potluck serve`, with a key."""

    def start_second(self):
        home = self.home / "second"
        (home / "coordinator").mkdir(parents=True)
        (home / "coordinator/api-keys").write_text(hashlib.sha256(SECRET.encode()).hexdigest() + " house\n")
        # It would send on whatever is asked, but not what comes from another one.
        (home / "potluck.toml").write_text('[[upstream]]\nname = "further"\naddress = "http://127.0.0.1:9/v1"\n'
                                           'models = ["large"]\nwhen-prompt-tokens = 1\n')
        process = self.start("serve", TALETELLER, "--listen", "127.0.0.1:0", "--ctx", "4096", "--no-beacon",
                             stdin=-1, POTLUCK_HOME=str(home))
        _, self.second_err = self.lines_of(process)
        return int(self.second_err.wait_for(r"listening on http://127\.0\.0\.1:(\d+)/v1").group(1))

    # A proxy would read the key of an address without encryption.
    @unittest.mock.patch.dict("os.environ", {"http_proxy": "http://127.0.0.1:9", "all_proxy": "http://127.0.0.1:9"})
    def test_as_the_configuration_says(self):
        second = self.start_second()
        self.configure(f"http://127.0.0.1:{second}/v1", **{"when-model": True, "when-prompt-tokens": 200,
                                                            "when-cannot-serve": True})
        self.start_pool("--ctx", "512")
        self.assertIn("requests may leave this pool, to 'cloud'", self.err.text)
        # At home, without a mark.
        here, said = self.ask()
        self.assertIsNone(here.getheader("X-Potluck-Upstream"))
        self.assertEqual(self.left(), 0)
        text = said["choices"][0]["message"]["content"]
        # By its name; the same model answers the same there.
        there, said = self.ask(chat(STORY, max_tokens=8, model="large"))
        self.assertEqual(there.status, 200, said)
        self.assertEqual((there.getheader("X-Potluck-Upstream"), there.getheader("X-Potluck-Upstream-Model")),
                         ("cloud", "large"))
        self.assertEqual((said["model"], said["choices"][0]["message"]["content"]), ("large", text))
        self.assertEqual(said["usage"]["completion_tokens"], 8)
        self.assertEqual(self.left(), 1)
        self.err.wait_for(r"a request leaves this pool, to 'cloud' \(large\): it asks for the model 'large'")
        # In every other API, and as a stream.
        message, said = self.ask({**chat(STORY, max_tokens=8), "model": "large"}, "/v1/messages")
        self.assertEqual(message.getheader("X-Potluck-Upstream"), "cloud")
        self.assertEqual((said["model"], said["content"][0]["text"]), ("large", text))
        _, said = self.ask({"messages": [{"role": "user", "content": STORY}], "model": "large", "stream": False,
                            "options": {"temperature": 0, "num_predict": 8}}, "/api/chat")
        self.assertEqual((said["model"], said["message"]["content"]), ("large", text))
        _, said = self.ask({"input": STORY, "model": "large", "temperature": 0, "max_output_tokens": 8}, "/v1/responses")
        self.assertEqual((said["model"], said["output"][0]["content"][0]["text"]), ("large", text))
        _, stream = self.stream("/v1/chat/completions", chat(STORY, max_tokens=8, model="large"))
        self.assertEqual(stream.getheader("X-Potluck-Upstream"), "cloud")
        *events, done = events_of(stream)
        self.assertEqual(done, b"[DONE]")
        parts = [json.loads(event)["choices"][0]["delta"].get("content") or "" for event in events]
        self.assertEqual("".join(parts), text)
        # A long prompt, and one that is too long for this pool.
        for words in (220, 900):
            long, said = self.ask(chat("sea " * words, max_tokens=4))
            self.assertEqual((long.status, long.getheader("X-Potluck-Upstream")), (200, "cloud"), said)
        self.assertEqual(self.left(), 7)
        # What cannot be passed on stays, or is named.
        odd, said = self.ask(chat(STORY, max_tokens=4, model="large", logprobs=True))
        self.assertEqual((odd.status, odd.getheader("X-Potluck-Upstream")), (400, None))
        self.assertIn("logprobs", said["error"]["message"])
        # What is marked stays, and what then cannot be served is refused.
        for headers, more in (({"X-Potluck-Local": "1"}, {}), ({}, {"potluck_local": True})):
            local, said = self.ask(chat("sea " * 220, max_tokens=4, **more), **headers)
            self.assertEqual((local.status, local.getheader("X-Potluck-Upstream")), (200, None), said)
            local, said = self.ask(chat("sea " * 900, max_tokens=4, **more), **headers)
            self.assertEqual((local.status, said["error"]["type"]), (400, "exceed_context_size_error"))
            local, said = self.ask(chat(STORY, max_tokens=4, model="large", **more), **headers)
            self.assertEqual(local.status, 400, said)
            self.assertIn("marked to stay", said["error"]["message"])
        self.assertEqual(self.left(), 7)
        state = self.request("GET", "/api/pool")[1]
        self.assertEqual(state["service"]["upstreams"][0]["requests"], 7)
        self.assertEqual(state["service"]["upstreams"][0]["failed"], 0)
        self.assertNotIn("a request leaves this pool", self.second_err.text)
        self.no_secret()

    def test_a_key_that_is_marked_local(self):
        self.configure("http://127.0.0.1:9/v1", **{"when-model": True, "when-prompt-tokens": 1})
        free = self.potluck("keys", "add", "ann").stdout.strip()
        local = self.potluck("keys", "add", "child", "--local").stdout.strip()
        self.assertIn("(stays in this pool)", self.potluck("keys", "list").stdout)
        self.start_pool("--ctx", "4096")
        here, said = self.ask(Authorization="Bearer " + local)
        self.assertEqual((here.status, here.getheader("X-Potluck-Upstream-Failed")), (200, None), said)
        here, said = self.ask(chat(STORY, model="large"), Authorization="Bearer " + local)
        self.assertIn("marked to stay", said["error"]["message"])
        # The other key's request went, in vain, and came home.
        there, said = self.ask(Authorization="Bearer " + free)
        self.assertEqual((there.status, there.getheader("X-Potluck-Upstream-Failed")), (200, "cloud"), said)

    def test_while_the_model_loads_and_with_anthropics_style(self):
        second = self.start_second()
        self.configure(f"http://127.0.0.1:{second}/v1", style="anthropic", **{"when-model": True})
        self.start_pool("--ctx", "4096")
        there, said = self.ask(chat(STORY, max_tokens=8, model="large"))
        self.assertEqual((there.status, there.getheader("X-Potluck-Upstream")), (200, "cloud"), said)
        self.assertEqual(said["usage"]["completion_tokens"], 8)
        here, other = self.ask()
        self.assertEqual(other["choices"][0]["message"]["content"], said["choices"][0]["message"]["content"])


    def test_the_pages_say_so(self):
        find_chromium()
        hostile = Hostile(self, well)
        self.configure(f"http://127.0.0.1:{hostile.port}/v1", **{"when-prompt-tokens": 1})
        self.start_pool("--ctx", "4096")
        browser = Browser(self)
        browser.open(f"http://127.0.0.1:{self.port}/")
        browser.wait_for_text("#elsewhere", "may go to another server: cloud")
        browser.open(f"http://127.0.0.1:{self.port}/chat")
        browser.run("await page.fill('#prompt', 'hello'); await page.keyboard.press('Enter')")
        browser.wait_for_text(".message.assistant .under", "From cloud, outside this pool")
        self.assertEqual(browser.text(".message.assistant .text"), "drip")
        browser.open(f"http://127.0.0.1:{self.port}/")
        browser.wait_for_text("#counts", "Sent outside, to cloud")
        self.assertEqual(browser.faults(), [])
        self.assertEqual(browser.run("return await check()"), [])


class HostileUpstream(UpstreamTest):
    def start_hostile(self, behave, context=None, scheme="http", **more):
        hostile = Hostile(self, behave, context)
        self.configure(f"{scheme}://127.0.0.1:{hostile.port}/v1", **{"silence-seconds": 2, "answer-seconds": 30, **more})
        self.start_pool("--ctx", "4096")
        return hostile

    def test_before_the_first_byte_the_pool_answers(self):
        for behave in (garbage, page, silent, huge_headers, not_http, closes, refuses, endless_line):
            with self.subTest(behave.__name__):
                hostile = self.start_hostile(behave, **{"when-prompt-tokens": 1})
                answer, said = self.ask()
                self.assertEqual(answer.status, 200, said)
                self.assertEqual(answer.getheader("X-Potluck-Upstream-Failed"), "cloud")
                self.assertIsNone(answer.getheader("X-Potluck-Upstream"))
                self.assertEqual((len(hostile.asked), self.left("fell_back")), (1, 1))
                self.err.wait_for(r"the upstream 'cloud' does not answer: ")
                self.no_secret()
                self.stop(self.server)

    def test_a_model_by_name_is_answered_or_refused(self):
        hostile = self.start_hostile(refuses, **{"when-model": True})
        answer, said = self.ask(chat(STORY, model="large"))
        self.assertEqual((answer.status, answer.getheader("X-Potluck-Upstream-Failed")), (503, "cloud"))
        self.assertNotIn(SECRET[:8], json.dumps(said))
        self.assertIn("Bearer " + SECRET, hostile.asked[0][0])

    def test_a_stream_that_breaks_off_is_not_gone_on_with(self):
        self.start_hostile(middle, **{"when-prompt-tokens": 1})
        _, stream = self.stream("/v1/chat/completions", chat(STORY))
        self.assertEqual(stream.getheader("X-Potluck-Upstream"), "cloud")
        *_, last = events_of(stream)
        self.assertIn("broke off", json.loads(last)["error"]["message"])
        answer, said = self.ask(chat(STORY, max_tokens=4, potluck_local=True))
        self.assertEqual(answer.status, 200, said)

    def test_an_endless_answer_ends(self):
        self.start_hostile(endless, **{"when-model": True})
        answer, said = self.ask(chat(STORY, model="large"))
        self.assertEqual(answer.status, 503, str(said)[:500])
        self.assertRegex(said["error"]["message"], "too long|timed out")

    def test_a_slow_answer_ends(self):
        hostile = self.start_hostile(slow, **{"when-prompt-tokens": 1, "answer-seconds": 4})
        began = time.monotonic()
        answer, said = self.ask()
        self.assertEqual((answer.status, answer.getheader("X-Potluck-Upstream-Failed")), (200, "cloud"), said)
        self.assertLess(time.monotonic() - began, PATIENCE_SECONDS)
        self.err.wait_for(r"the upstream 'cloud' does not answer: .*timed out")
        self.assertTrue(hostile.gone.wait(PATIENCE_SECONDS))
        # For a while it is not tried again.
        answer, _ = self.ask()
        self.assertIsNone(answer.getheader("X-Potluck-Upstream-Failed"))
        self.assertEqual(len(hostile.asked), 1)

    def test_a_client_that_goes_ends_it(self):
        hostile = self.start_hostile(endless, **{"when-model": True})
        connection, stream = self.stream("/v1/chat/completions", chat(STORY, model="large"))
        self.assertTrue(stream.readline())
        stream.close()
        connection.close()
        self.assertTrue(hostile.gone.wait(PATIENCE_SECONDS))
        wait_for(lambda: self.metric('potluck_upstream_requests_running{upstream="cloud"}') == 0, "an ended call")

    def test_redirections_are_not_followed(self):
        other = Hostile(self, endless)
        location = f"http://127.0.0.1:{other.port}/v1/chat/completions".encode()
        self.start_hostile(lambda stream: stream.sendall(
            b"HTTP/1.1 307 Go\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n"), **{"when-model": True})
        answer, said = self.ask(chat(STORY, model="large"))
        self.assertEqual(answer.status, 503)
        self.assertIn("redirections are not followed", said["error"]["message"])
        self.assertEqual(other.asked, [])

    def test_certificates_are_verified(self):
        authority, certificate, key = make_certificates(self.home / "tls")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        hostile = self.start_hostile(lambda stream: (well(stream), stream.unwrap()), context, "https", **{"when-model": True})
        answer, said = self.ask(chat(STORY, model="large"))
        self.assertEqual(answer.status, 503)
        self.assertIn("certificate is not trusted", said["error"]["message"])
        self.assertEqual(hostile.asked, [])
        self.stop(self.server)
        self.configure(f"https://127.0.0.1:{hostile.port}/v1", **{"when-model": True, "ca-file": str(authority)})
        self.start_pool("--ctx", "4096")
        answer, said = self.ask(chat(STORY, model="large"))
        self.assertEqual((answer.status, said["choices"][0]["message"]["content"]), (200, "drip "))

    def test_faults_of_the_configuration(self):
        for more, said in (({"when-model": 1}, "expected true or false"), ({"when": "always"}, "no such key"),
                           ({"address": "http://10.0.0.1/v1"}, "could be read on the way"),
                           ({"key-file": "missing.key", "when-model": True}, "missing.key")):
            self.configure(**{"address": "http://127.0.0.1:9/v1", **more})
            done = self.potluck("serve", TALETELLER, "--listen", "127.0.0.1:0")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(said, done.stderr)
        # Without a rule nothing leaves, and no key is read.
        self.configure("http://127.0.0.1:9/v1", **{"key-file": "missing.key"})
        self.start_pool("--ctx", "4096")
        self.assertNotIn("leave this pool", self.err.text)
        self.assertIsNone(self.left())


if __name__ == "__main__":
    unittest.main()
