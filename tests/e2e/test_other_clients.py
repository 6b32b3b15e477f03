"""The npm clients of Anthropic, of Ollama and of the AI SDK against the HTTP API, with a scripted
service behind it."""

import hashlib
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from npm_clients import ClientTest, cases_of  # noqa: E402

ANTHROPIC = "anthropic.mjs"
OLLAMA = "ollama.mjs"


class OtherClients(ClientTest):
    def check(self, source, at_least):
        cases = cases_of(source)
        self.assertGreater(len(cases), at_least)
        _, url = self.serve()
        self.run_cases(source, url, [case for case in cases if case not in ("keys", "abort")])

    def test_anthropic(self):
        self.check(ANTHROPIC, 10)

    def test_ollama(self):
        self.check(OLLAMA, 7)

    def test_ai_sdk(self):
        _, url = self.serve()
        self.run_cases("ai_sdk.mjs", url, [f"{provider}_{check}" for provider in ("openai", "anthropic")
                                           for check in ("text", "thoughts", "tools", "errors")])

    def test_a_client_that_leaves_is_not_worked_for(self):
        server, url = self.serve()
        self.run_cases(ANTHROPIC, url, ["abort"])
        self.run_cases(OLLAMA, url, ["abort"])
        self.assertEqual(self.cancelled(server), 2)

    def test_keys(self):
        with tempfile.NamedTemporaryFile("w") as keys:
            keys.write(hashlib.sha256(b"secret").hexdigest() + " ann\n")
            keys.flush()
            _, url = self.serve(keys.name)
            self.run_cases(ANTHROPIC, url, ["keys"])


if __name__ == "__main__":
    unittest.main()
