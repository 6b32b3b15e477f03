"""The real npm client of OpenAI against the HTTP API, with a scripted service behind it."""

import hashlib
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from npm_clients import SCRIPTED_SERVER, install_clients  # noqa: E402
from support import PATIENCE_SECONDS, ROOT  # noqa: E402

CASES = re.findall(r"^  async (\w+)\(\)", (ROOT / "tests/e2e/clients/openai_chat.mjs").read_text(), re.M)


class OpenAiClient(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.clients = install_clients()

    def serve(self, *arguments):
        """Starts a scripted server and returns it with its address."""
        server = subprocess.Popen([SCRIPTED_SERVER, *arguments], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end, server)
        return server, server.stdout.readline().strip()

    def end(self, server):
        if not server.stdin.closed:
            server.stdin.close()
        server.wait(PATIENCE_SECONDS)
        server.stdout.close()

    def run_cases(self, url, *cases):
        done = subprocess.run(["node", "openai_chat.mjs", url, *cases], cwd=self.clients,
                              capture_output=True, text=True, timeout=5 * PATIENCE_SECONDS, check=False)
        said = {line.split()[1].rstrip(":"): line for line in done.stdout.splitlines()}
        for case in cases:
            with self.subTest(case):
                self.assertEqual(said.get(case), f"ok {case}", done.stderr)

    def test_every_case(self):
        self.assertGreater(len(CASES), 15)
        _, url = self.serve()
        self.run_cases(url, *(case for case in CASES if case != "keys" and "abort" not in case))

    def test_a_client_that_leaves_is_not_worked_for(self):
        server, url = self.serve()
        self.run_cases(url, "abort", "abort_without_stream")
        server.stdin.close()
        cancelled = re.findall(r"^cancelled \d+$", server.stdout.read(), re.M)
        self.assertEqual(len(cancelled), 2)

    def test_keys(self):
        with tempfile.NamedTemporaryFile("w") as keys:
            keys.write(hashlib.sha256(b"secret").hexdigest() + " ann\n")
            keys.flush()
            _, url = self.serve(keys.name)
            self.run_cases(url, "keys")


if __name__ == "__main__":
    unittest.main()
