"""An HTTPS server that behaves like a model hub: it redirects to another host name, serves ranges, and can be told to
throttle, to cut transfers off, to be busy, and to disappear. Its certificate is signed by an authority of its own."""

import http.server
import re
import socketserver
import ssl
import subprocess
import threading
import time


def make_certificates(directory):
    """An authority and a certificate for localhost and 127.0.0.1; returns (authority, certificate, key)."""
    directory.mkdir(exist_ok=True)

    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
    names = directory / "names"
    names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    authority, authority_key = directory / "ca.pem", directory / "ca.key"
    key, request, certificate = directory / "key.pem", directory / "request.pem", directory / "cert.pem"
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", authority_key, "-out", authority,
            "-days", "2", "-subj", "/CN=test authority")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj", "/CN=localhost")
    openssl("x509", "-req", "-in", request, "-CA", authority, "-CAkey", authority_key, "-CAcreateserial",
            "-out", certificate, "-days", "2", "-extfile", names)
    return authority, certificate, key


class Threaded(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # clients are killed


class RangeServer:
    """Serves one file. /hub/NAME redirects to localhost, where /store/NAME gives its ranges."""

    def __init__(self, path, certificate, key):
        self.path = path
        self.served = []  # (first, last) of every range that was sent in full or in part
        self.headers = []  # (path, Authorization) of every request
        self.bytes_per_second = None
        self.cut_every = None  # every n-th transfer ends in the middle
        self.busy_every = None  # every n-th request is answered 429
        self.refusing = False  # 503 for everything
        self.tag = '"v1"'
        self.count = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                outer.answer(self)

        self.server = Threaded(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def address(self):
        return f"https://127.0.0.1:{self.port}/hub/{self.path.name}"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)

    def plain(self, handler, status, **headers):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def answer(self, handler):
        self.count += 1
        self.headers.append((handler.path, handler.headers.get("Authorization")))
        if self.refusing:
            return self.plain(handler, 503, Retry_After="0")
        if self.busy_every and self.count % self.busy_every == 0:
            return self.plain(handler, 429, Retry_After="0")
        if handler.path.startswith("/hub/"):
            target = f"https://localhost:{self.port}/store/{self.path.name}?signature=secret"
            return self.plain(handler, 302, Location=target)
        return self.send_range(handler, self.path)

    def send_range(self, handler, path):
        size = path.stat().st_size
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", handler.headers.get("Range", ""))
        if not asked:
            return self.plain(handler, 400)
        first, last = int(asked[1]), min(int(asked[2]), size - 1)
        with path.open("rb") as file:
            file.seek(first)
            data = file.read(last - first + 1)
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        handler.send_header("Content-Length", str(len(data)))
        handler.send_header("ETag", self.tag)
        handler.end_headers()
        if self.cut_every and self.count % self.cut_every == 0 and len(data) > 1:
            data = data[:len(data) // 2]
            handler.close_connection = True
        self.served.append((first, first + len(data) - 1))
        piece = 64 * 1024
        for at in range(0, len(data), piece):
            handler.wfile.write(data[at:at + piece])
            if self.bytes_per_second:
                time.sleep(piece / self.bytes_per_second)
        return None
