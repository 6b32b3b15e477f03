"""The real npm client of OpenAI against the HTTP API, with a scripted service behind it."""

import hashlib
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from npm_clients import ClientTest, cases_of  # noqa: E402

CHAT = "openai_chat.mjs"
RESPONSES = "openai_responses.mjs"


class OpenAiClient(ClientTest):
    def test_every_case(self):
        cases = cases_of(CHAT)
        self.assertGreater(len(cases), 15)
        _, url = self.serve()
        self.run_cases(CHAT, url, [case for case in cases if case != "keys" and "abort" not in case])

    def test_responses(self):
        cases = cases_of(RESPONSES)
        self.assertGreater(len(cases), 8)
        _, url = self.serve()
        self.run_cases(RESPONSES, url, [case for case in cases if case != "abort"])

    def test_a_client_that_leaves_is_not_worked_for(self):
        server, url = self.serve()
        self.run_cases(CHAT, url, ["abort", "abort_without_stream"])
        self.run_cases(RESPONSES, url, ["abort"])
        self.assertEqual(self.cancelled(server), 3)

    def test_keys(self):
        with tempfile.NamedTemporaryFile("w") as keys:
            keys.write(hashlib.sha256(b"secret").hexdigest() + " ann\n")
            keys.flush()
            _, url = self.serve(keys.name)
            self.run_cases(CHAT, url, ["keys"])


if __name__ == "__main__":
    unittest.main()
