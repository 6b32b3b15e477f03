"""Tools: the bundled model calls them, a command answers, and the conversation goes on; solo and with
workers, in `run` and in `serve`."""

import json
import unittest

from pool_support import PoolTest
from support import TALETELLER, PotluckTest, wait_for

WEATHER = [{"type": "function", "function": {
    "name": "get_weather", "description": "Get the weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}},
                   "required": ["city"]}}}]
ASK = ["run", TALETELLER, "-p", "What is the weather in Paris?", "--temp", "0"]
CALL = {"name": "get_weather", "arguments": {"city": "Paris"}}


class Tools(PotluckTest):
    def setUp(self):
        super().setUp()
        self.tools = self.home / "tools.json"
        self.tools.write_text(json.dumps(WEATHER))
        self.ask = [*ASK, "--tools", self.tools]

    def answer_with(self, command):
        return [*self.ask, "--tool-command", command]

    def test_an_open_call_is_the_result(self):
        done = self.potluck(*self.ask)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout), CALL)
        report = self.report(*self.ask)
        self.assertEqual(report["finish_reason"], "tool_calls")
        self.assertEqual(report["text"], "")
        call, = report["tool_calls"]
        self.assertEqual((call["name"], json.loads(call["arguments"])),
                         (CALL["name"], CALL["arguments"]))

    def test_a_command_answers(self):
        told = self.home / "told"
        command = f"cat > {told}; echo '{{\"temperature\": 21, \"sky\": \"sunny\"}}'"
        done = self.potluck(*self.answer_with(command))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(told.read_text()), CALL)
        self.assertIn("21", done.stdout)
        self.assertIn('call get_weather {"city": "Paris"}', done.stderr)
        self.assertIn("sunny", done.stderr)
        report = self.report(*self.answer_with(command))
        self.assertEqual(report["text"], done.stdout)
        self.assertIn("sunny", report["tool_calls"][0]["result"])
        pooled = self.report(*self.answer_with(command), "--workers", "2", "--slices", "2")
        self.assertEqual((pooled["text"], pooled["tokens"]), (report["text"], report["tokens"]))
        self.assertGreater(pooled["remote_expert_calls"], 0)

    def test_commands_that_fail(self):
        done = self.report(*self.answer_with("echo broken; exit 3"))
        self.assertEqual(done["tool_calls"][0]["result"],
                         "error: the tool failed with exit code 3: broken")
        silent = self.report(*self.answer_with("exec <&-; true"))  # reads nothing, says nothing
        self.assertEqual(silent["tool_calls"][0]["result"], "")
        endless = self.potluck(*self.answer_with("yes"))
        self.assertEqual(endless.returncode, 1)
        self.assertIn("--tool-command", endless.stderr)

    def test_files_that_hold_no_tools_are_named(self):
        for text, saying in (("{", "not JSON"), ("{}", "list"), ("[{}]", "tool 1"),
                             ('[{"name": "x"}, {"name": 3}]', "tool 2")):
            self.tools.write_text(text)
            done = self.potluck(*self.ask)
            self.assertNotEqual(done.returncode, 0, text)
            self.assertIn(str(self.tools), done.stderr)
            self.assertIn(saying, done.stderr)
        done = self.potluck(*ASK, "--tool-command", "true")
        self.assertEqual(done.returncode, 2)
        self.assertIn("--tools", done.stderr)

    def test_lines_of_standard_input_are_turns(self):
        process = self.start("run", TALETELLER, "-i", "--temp", "0", stdin=-1)
        turns = ["Tell me a story about a fox and a well.", "What is the fox called?"]
        output, errors = process.communicate("\n".join(turns).encode() + b"\n")
        self.assertEqual(process.returncode, 0, errors)
        story, name = output.decode().strip().rsplit("\n", 1)
        self.assertIn(name.rstrip(".").rsplit(" ", 1)[1], story)


class Serve(PoolTest):
    def test_serve_answers_as_run_does(self):
        template = self.home / "shout.jinja"
        template.write_text("{{ messages[-1].content }}!")
        for flags in ([], ["--chat-template-file", template], ["--raw"]):
            server, out, _ = self.serve(*flags)
            self.next_token(out)
            before = self.ask(server, out, "Who are you?")
            if flags:
                wait_for(lambda: len(out.text) > before + 5, "an answer")
            else:  # only through its template does it know
                wait_for(lambda: "taleteller" in out.text[before:], "its name")
            self.stop(server)
        done = self.potluck("serve", TALETELLER, "--raw", "--system", "x")
        self.assertEqual(done.returncode, 2)


if __name__ == "__main__":
    unittest.main()
