"""Coding agents without a terminal against the HTTP API, with a scripted service behind it: each runs a
command that the model asks for, and sends back what it said. They are large, so only POTLUCK_AGENTS=1
fetches them."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

from npm_clients import ROOT, ClientTest, install_clients
from support import PATIENCE_SECONDS

MODEL = "taleteller"
# What the scripted service has the agent do, and says of it (scripted_answers.h).
TASK = "Please use the shell."
SHELL_SAID = "said by the shell"
ANSWER = "You said:"


@unittest.skipUnless(os.environ.get("POTLUCK_AGENTS"), "fetches agents of 1.3 GB: POTLUCK_AGENTS=1")
class CodingAgents(ClientTest):
    @classmethod
    def setUpClass(cls):
        cls.clients = install_clients(ROOT / "tests/e2e/agents")

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="potluck-agents-")
        self.addCleanup(directory.cleanup)
        self.home = pathlib.Path(directory.name) / "home"
        self.work = pathlib.Path(directory.name) / "work"
        self.home.mkdir()
        self.work.mkdir()
        _, self.url = self.serve()

    def run_agent(self, command, **variables):
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), **variables}
        done = subprocess.run(list(map(str, command)), cwd=self.work, env=environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=2 * PATIENCE_SECONDS, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        # The command was really run, and its result came back as the model's last answer.
        self.assertEqual((self.work / "shell.txt").read_text(), SHELL_SAID + "\n", done.stdout)
        return events, done.stdout + done.stderr

    def test_codex_by_responses(self):
        settings = self.home / ".codex"
        settings.mkdir()
        (settings / "config.toml").write_text(f"""
model = "{MODEL}"
model_provider = "potluck"
[model_providers.potluck]
name = "Potluck"
base_url = "{self.url}"
wire_api = "responses"
""")
        events, said = self.run_agent(["node", self.clients / "node_modules/@openai/codex/bin/codex.js", "exec",
                                       "--skip-git-repo-check", "--json",
                                       "--dangerously-bypass-approvals-and-sandbox", TASK])
        items = [event["item"] for event in events if event["type"] == "item.completed"]
        commands = [item for item in items if item["type"] == "command_execution"]
        self.assertEqual([(item["exit_code"], item["aggregated_output"]) for item in commands],
                         [(0, SHELL_SAID + "\n")], said)
        texts = [item["text"] for item in items if item["type"] == "agent_message"]
        self.assertIn(ANSWER, texts[-1])
        self.assertIn(SHELL_SAID, texts[-1])
        ended = [event for event in events if event["type"] == "turn.completed"]
        self.assertGreater(ended[-1]["usage"]["output_tokens"], 0)
        self.assertNotIn("turn.failed", [event["type"] for event in events])

    def test_opencode_by_chat_completions(self):
        (self.work / "opencode.json").write_text(json.dumps({
            "autoupdate": False, "share": "disabled", "model": f"potluck/{MODEL}",
            "small_model": f"potluck/{MODEL}",
            "provider": {"potluck": {
                "npm": "@ai-sdk/openai-compatible", "name": "Potluck",
                "options": {"baseURL": self.url, "apiKey": "any"},
                "models": {MODEL: {"name": MODEL, "limit": {"context": 100_000, "output": 1000}}}}}}))
        events, said = self.run_agent([self.opencode(), "run", "--format", "json", "--auto", TASK])
        tools = [event["part"] for event in events if event["type"] == "tool_use"]
        self.assertEqual([(part["tool"], part["state"]["status"]) for part in tools], [("bash", "completed")], said)
        texts = [event["part"]["text"] for event in events if event["type"] == "text"]
        self.assertIn(ANSWER, texts[-1])
        self.assertIn(SHELL_SAID, texts[-1])
        self.assertNotIn("error", [event["type"] for event in events])

    def test_continue_by_chat_completions(self):
        settings = self.home / "config.yaml"
        settings.write_text(f"""
name: Potluck
version: 1.0.0
schema: v1
models:
  - name: Potluck
    provider: openai
    model: {MODEL}
    apiBase: {self.url}
    apiKey: any
    roles: [chat]
""")
        _, said = self.run_agent([self.clients / "node_modules/.bin/cn", "--config", settings, "-p", "--auto", TASK],
                                 CONTINUE_TELEMETRY_ENABLED="0")
        self.assertIn(f"{ANSWER} {SHELL_SAID}", said)

    def test_cline_by_chat_completions(self):
        cline = self.clients / "node_modules/.bin/cline"
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home)}
        subprocess.run([cline, "auth", "--provider", "openai-compatible", "--apikey", "any", "--modelid", MODEL,
                        "--baseurl", self.url], env=environment, cwd=self.work, stdin=subprocess.DEVNULL,
                       capture_output=True, timeout=PATIENCE_SECONDS, check=True)
        events, said = self.run_agent([cline, "--provider", "openai-compatible", "--model", MODEL, "--json", TASK])
        result = [event for event in events if event["type"] == "run_result"][-1]
        self.assertEqual(result["finishReason"], "completed", said)
        self.assertIn(ANSWER, result["text"])
        self.assertIn(SHELL_SAID, result["text"])

    def opencode(self):
        """There is one for processors with AVX2 and one without."""
        for binary in sorted(self.clients.glob("node_modules/opencode-linux-*/bin/opencode"),
                             key=lambda path: "baseline" in str(path)):
            if subprocess.run([binary, "--version"], capture_output=True, check=False).returncode == 0:
                return binary
        self.skipTest("no opencode for this processor")
        return None


if __name__ == "__main__":
    unittest.main()
