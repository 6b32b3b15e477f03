"""What is no HTTP, or no JSON, or too much of either: each is refused with a status or closed, at once,
and others are answered as ever."""

import json
import socket
import threading
import time
import unittest

from support import PATIENCE_SECONDS, resident_bytes
from test_api import ApiTest

MIB = 1 << 20


def post(body, headers=b"", path=b"/v1/chat/completions"):
    return (b"POST %s HTTP/1.1\r\nHost: a\r\n%sContent-Length: %d\r\n\r\n%s"
            % (path, headers, len(body), body))


def raw(headers, body=b"", first=b"POST /v1/completions HTTP/1.1"):
    return first + b"\r\n" + headers + b"\r\n" + body


HOST = b"Host: a\r\n"
CHUNKED = HOST + b"Transfer-Encoding: chunked\r\n"
MESSAGES = b'{"messages": [{"role": "user", "content": "%s"}], "max_tokens": 1}'

# What is sent, and the statuses that may come; 0: closed without a word.
HEADS = {
    "both lengths": (raw(CHUNKED + b"Content-Length: 5\r\n", b"0\r\n\r\n"), {400}),
    "two lengths": (raw(HOST + b"Content-Length: 2\r\nContent-Length: 3\r\n", b"{} "), {400}),
    "a list of lengths": (raw(HOST + b"Content-Length: 2, 2\r\n", b"{}"), {400}),
    "a negative length": (raw(HOST + b"Content-Length: -1\r\n"), {400}),
    "a length with a sign": (raw(HOST + b"Content-Length: +2\r\n", b"{}"), {400}),
    "a length in hexadecimal": (raw(HOST + b"Content-Length: 0x2\r\n", b"{}"), {400}),
    "a length beyond 64 bits": (raw(HOST + b"Content-Length: 99999999999999999999\r\n"), {400}),
    "a large length": (raw(HOST + b"Content-Length: 17000000\r\n"), {413}),
    "chunks twice": (raw(HOST + b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n"), {400, 501}),
    "an unknown encoding": (raw(HOST + b"Transfer-Encoding: gzip\r\n", b"x"), {400, 501}),
    "chunks in HTTP/1.0": (raw(CHUNKED, b"0\r\n\r\n", b"POST / HTTP/1.0"), {400}),
    "no host": (raw(b"", first=b"GET /health HTTP/1.1"), {400}),
    "two hosts": (raw(HOST + HOST, first=b"GET /health HTTP/1.1"), {400}),
    "a chunk that is too large": (raw(CHUNKED, b"ffffffffffffffff1\r\n"), {400, 413}),
    "a chunk of no number": (raw(CHUNKED, b"-1\r\nx\r\n"), {400}),
    "a chunk that does not end": (raw(CHUNKED, b"2\r\n{}xx0\r\n\r\n"), {400}),
    "fields behind the body": (raw(CHUNKED, b"0\r\nX: y\r\n\r\n"), {400}),
    "a blank before the colon": (raw(b"Host : a\r\n", first=b"GET /health HTTP/1.1"), {400}),
    "a bare line feed": (b"GET /health HTTP/1.1\nHost: a\n\n" + b"x" * 20000, {400, 431}),
    "a NUL in a field": (raw(HOST + b"X: a\0b\r\n", first=b"GET /health HTTP/1.1"), {400}),
    "a NUL in the path": (raw(HOST, first=b"GET /\0 HTTP/1.1"), {400}),
    "an unknown version": (raw(HOST, first=b"GET /health HTTP/9.9"), {400, 505}),
    "no version": (b"GET /health\r\n\r\n", {400}),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), {400}),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505}),
    "a huge field": (raw(HOST + b"X: " + b"x" * (64 << 10) + b"\r\n"), {431}),
    "a huge path": (raw(HOST, first=b"GET /" + b"x" * (64 << 10) + b" HTTP/1.1"), {431}),
    "ten thousand fields": (raw(HOST + b"X: y\r\n" * 10000), {431}),
    "a head without an end": (b"GET / HTTP/1.1\r\nX: " + b"x" * (4 * MIB), {431}),
    "a folded field": (raw(HOST + b"X: a\r\n b\r\n", first=b"GET /health HTTP/1.1"), {200, 400}),
    "bytes in a field": (raw(HOST + b"X: \xff\xfe\r\n", first=b"GET /health HTTP/1.1"), {200, 400}),
    "a path out of the root": (raw(HOST, first=b"GET /../../etc/passwd HTTP/1.1"), {404}),
    "a path with bytes": (raw(HOST, first=b"GET /%ff%00%0d%0aX:y HTTP/1.1"), {404}),
}
BODIES = {
    "nothing": (post(b""), {400}),
    "half an object": (post(b'{"messages": ['), {400}),
    "a number": (post(b"7"), {400}),
    "no UTF-8 in a text": (post(MESSAGES % b"\xff\xfe\xc3"), {400}),
    "no UTF-8 in a name": (post(b'{"\xff": 1}'), {400}),
    "half a surrogate": (post(MESSAGES % b"\\ud800"), {200, 400}),
    "a NUL": (post(MESSAGES % b"\\u0000"), {200, 400}),
    "a raw control character": (post(MESSAGES % b"\x01"), {400}),
    "deep arrays": (post(b'{"messages": ' + b"[" * 1_000_000), {400}),
    "deep objects": (post(b'{"a":' * 1_000_000 + b"1" + b"}" * 1_000_000), {400}),
    "deep tools": (post(b'{"messages": [{"role": "user", "content": "x"}], "tools": ' + b"[" * 5000 + b"]" * 5000
                        + b"}"), {400}),
    "a million values": (post(b'{"prompt": [' + b"1," * 2_000_000 + b"1]}", path=b"/v1/completions"), {400}),
    "a number beyond all": (post(b'{"prompt": "x", "max_tokens": 1e999999}', path=b"/v1/completions"), {400}),
    "a number of a megabyte": (post(b'{"prompt": "x", "seed": ' + b"9" * MIB + b"}", path=b"/v1/completions"), {400}),
    "a name twice": (post(b'{"prompt": "x", "max_tokens": 1, "max_tokens": 1}', path=b"/v1/completions"), {200, 400}),
    "16 MiB of blanks": (post(b" " * (16 * MIB)), {400}),
}


class MalformedRequests(ApiTest):
    def setUp(self):
        super().setUp()
        self.start_api(workers=0)

    def send(self, data):
        """The status of the answer, 0 for none, and what the answer says."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS) as client:
            try:
                client.sendall(data)
            except ConnectionError:
                pass  # it has answered before it had all
            answer = b""
            try:
                while b"\r\n\r\n" not in answer:
                    piece = client.recv(65536)
                    if not piece:
                        break
                    answer += piece
            except ConnectionError:
                pass
        return int(answer.split(b" ")[1]) if answer.startswith(b"HTTP/1.1 ") else 0

    def check(self, cases):
        before = resident_bytes(self.server.pid)
        slowest = (0, "")
        for name, (data, statuses) in cases.items():
            with self.subTest(name):
                begun = time.monotonic()
                self.assertIn(self.send(data), statuses)
                slowest = max(slowest, (time.monotonic() - begun, name))
                self.assertEqual(self.request("GET", "/health")[0], 200)
        print(f"slowest: {slowest[1]}, {slowest[0]:.2f} s")
        self.assertLess(slowest[0], 10)
        self.assertLess(resident_bytes(self.server.pid) - before, 300 * MIB)

    def test_heads(self):
        self.check(HEADS)

    def test_bodies(self):
        self.check(BODIES)

    def test_what_never_ends_is_ended(self):
        """Heads that come byte by byte have ten seconds, and cost others nothing."""
        ends = []

        def drip():
            with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS) as client:
                begun = time.monotonic()
                client.settimeout(0.5)
                answer = b""
                while time.monotonic() < begun + 60:
                    try:
                        client.sendall(b"G")
                        if not (piece := client.recv(4096)):
                            break
                        answer += piece
                    except TimeoutError:
                        continue
                    except ConnectionError:
                        break
                ends.append((time.monotonic() - begun, answer[:12]))

        threads = [threading.Thread(target=drip) for _ in range(20)]
        for thread in threads:
            thread.start()
        longest = 0
        while any(thread.is_alive() for thread in threads):
            begun = time.monotonic()
            self.assertEqual(self.request("GET", "/v1/models")[0], 200)
            longest = max(longest, time.monotonic() - begun)
            time.sleep(0.05)
        self.assertEqual({answer for _, answer in ends}, {b"HTTP/1.1 408"})
        self.assertLess(max(taken for taken, _ in ends), 30)
        print(f"/v1/models meanwhile: {1000 * longest:.1f} ms at most")
        self.assertLess(longest, 3)

    def test_large_texts_keep_no_one_waiting(self):
        """A body as large as is taken, on every route that reads one; others are answered meanwhile."""
        text = json.dumps("the sea and the fox " * (15 * MIB // 20)).encode()
        requests = {"/v1/chat/completions": b'{"messages": [{"role": "user", "content": %s}]}' % text,
                    "/v1/completions": b'{"prompt": %s}' % text, "/tokenize": b'{"content": %s}' % text,
                    "/v1/messages/count_tokens": b'{"messages": [{"role": "user", "content": %s}]}' % text,
                    "/v1/responses": b'{"input": %s}' % text,
                    "/api/chat": b'{"messages": [{"role": "user", "content": %s}]}' % text}
        for path, body in requests.items():
            with self.subTest(path):
                statuses = []
                data = post(body, path=path.encode())
                thread = threading.Thread(target=lambda: statuses.append(self.send(data)))
                longest, begun_all = 0, time.monotonic()
                thread.start()
                while thread.is_alive():
                    begun = time.monotonic()
                    self.assertEqual(self.request("GET", "/v1/models")[0], 200)
                    longest = max(longest, time.monotonic() - begun)
                    time.sleep(0.01)
                print(f"{path}: {statuses[0]} after {time.monotonic() - begun_all:.1f} s; /v1/models "
                      f"meanwhile: {1000 * longest:.0f} ms at most")
                self.assertIn(statuses[0], (200, 400))
                self.assertLess(longest, 3)


if __name__ == "__main__":
    unittest.main()
