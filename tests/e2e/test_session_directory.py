"""`potluck serve --session-dir`: what was computed of a conversation outlives the process, and no
damage on disk changes a text or keeps the program from answering."""

import signal
import unittest

from support import PATIENCE_SECONDS
from test_api import ApiTest

QUESTION = "Tell me a story about a fox and a well. " * 12


class SessionDirectory(ApiTest):
    def ask(self):
        """A text, and how many tokens of the prompt were not computed for it."""
        status, answer = self.request("POST", "/v1/completions", {
            "prompt": QUESTION, "max_tokens": 20, "temperature": 0})
        self.assertEqual(status, 200, answer)
        cached = answer["usage"]["prompt_tokens_details"]["cached_tokens"]
        return answer["choices"][0]["text"], cached

    def start_with_sessions(self, *arguments):
        self.start_api("--session-dir", self.home / "sessions", *arguments, workers=0)

    def end_server(self):
        self.server.send_signal(signal.SIGTERM)
        self.assertEqual(self.server.wait(PATIENCE_SECONDS), 0)

    def test_a_restart_goes_on(self):
        self.start_with_sessions()
        text, cached = self.ask()
        self.assertEqual(cached, 0)
        self.end_server()
        files = [file for file in (self.home / "sessions").iterdir() if file.suffix == ".blocks"]
        self.assertEqual(len(files), 1)
        self.assertEqual(files[0].stat().st_mode & 0o077, 0)

        self.start_with_sessions()
        again, cached = self.ask()
        self.assertEqual(again, text)
        self.assertGreater(cached, 50)
        self.end_server()

        # With another KV type they are of no use, and stay.
        self.start_with_sessions("--kv", "q8_0")
        self.assertEqual(self.ask()[1], 0)
        self.end_server()

        content = bytearray(files[0].read_bytes())
        content[5000] ^= 1
        files[0].write_bytes(content)
        self.start_with_sessions()
        again, cached = self.ask()
        self.assertEqual(again, text)
        self.assertLess(cached, 50)
        self.err.wait_for("is computed again")
        self.end_server()


if __name__ == "__main__":
    unittest.main()
