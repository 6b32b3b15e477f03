"""The log in its forms, and the trace of a request."""

import json
import pathlib
import unittest

from support import FIXTURE, PotluckTest

EVAL = ["eval", FIXTURE / "model.gguf", "--greedy", "2", "--json"]


class Logging(PotluckTest):
    def setUp(self):
        super().setUp()
        self.tokens = self.home / "tokens.json"
        self.tokens.write_text("[1, 2, 3, 4]")

    def evaluate(self, *flags):
        done = self.potluck(*EVAL, "--tokens", self.tokens, *flags)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def test_json_goes_to_a_file_and_people_see_what_they_always_see(self):
        log = self.home / "log"
        plain = self.evaluate("--workers", "2")
        logged = self.evaluate("--workers", "2", "--log-level", "debug", "--log-format", "json",
                               "--log-file", log)
        self.assertEqual(logged.stdout, plain.stdout)
        self.assertIn("context of ", logged.stderr)
        self.assertNotIn('{"component"', logged.stderr)
        events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        for event in events:
            self.assertEqual(sorted(event), ["component", "fields", "level", "message", "time"])
            self.assertRegex(event["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        joined = [event for event in events if event["message"].endswith(" joined")]
        self.assertEqual(len(joined), 2)
        self.assertIn("debug", [event["level"] for event in events])

    def test_standard_error_can_be_json_and_quiet_is_quiet(self):
        lines = self.evaluate("--log-format", "json").stderr.splitlines()
        self.assertTrue(lines)
        for line in lines:
            json.loads(line)
        self.assertEqual(self.evaluate("--quiet", "--log-level", "debug").stderr, "")
        self.assertEqual(self.evaluate("--log-level", "warning").stderr, "")

    def test_errors_are_json_too(self):
        done = self.potluck("eval", "nothing.gguf", "--tokens", self.tokens, "--log-format", "json")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(json.loads(done.stderr)["level"], "error")

    def test_a_log_file_that_cannot_be_written_is_said_once(self):
        expected = self.evaluate().stdout
        paths = [self.home / "no/such/folder/log", self.home]
        if pathlib.Path("/dev/full").exists():
            paths.append("/dev/full")
        for path in paths:
            done = self.evaluate("--log-file", path, "--log-level", "debug")
            self.assertEqual(done.stdout, expected)
            self.assertEqual(done.stderr.count("--log-file"), 1, done.stderr)

    def test_variables_and_wrong_values(self):
        log = self.home / "log"
        done = self.potluck(*EVAL, "--tokens", self.tokens, "--log-level", "loud")
        self.assertEqual(done.returncode, 2)
        self.assertIn("--log-level", done.stderr)
        self.evaluate("--log-file", log)
        self.assertIn(" info command: context of ", log.read_text())


class Trace(PotluckTest):
    def spans(self, *flags):
        tokens = self.home / "tokens.json"
        tokens.write_text("[1, 2, 3, 4]")
        trace = self.home / "trace.json"
        done = self.potluck(*EVAL, "--tokens", tokens, "--trace", trace, *flags)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [event for event in json.loads(trace.read_text()) if event["ph"] == "X"]

    def check_nesting(self, spans):
        threads = {}
        for span in spans:
            threads.setdefault((span["pid"], span["tid"]), []).append(span)
        for thread in threads.values():
            thread.sort(key=lambda span: (span["ts"], -span["dur"]))
            open_ends = []
            for span in thread:
                end = span["ts"] + span["dur"]
                while open_ends and open_ends[-1] <= span["ts"] + 0.002:
                    open_ends.pop()
                if open_ends:
                    self.assertLessEqual(end, open_ends[-1] + 0.002, span)
                open_ends.append(end)

    def check_layers(self, spans):
        layers = [span["args"]["layer"] for span in spans if span["name"] == "layer"]
        expected = sorted(set(layers))
        self.assertTrue(expected)
        self.assertEqual(len(layers) % len(expected), 0)
        self.assertEqual(layers, expected * (len(layers) // len(expected)))
        for name in ("attention", "dispatch", "shared", "wait"):
            self.assertEqual([span["args"]["layer"] for span in spans if span["name"] == name],
                             layers, name)

    def test_every_layer_with_two_workers(self):
        spans = self.spans("--workers", "2")
        self.check_layers(spans)
        self.check_nesting(spans)
        workers = {span["pid"] for span in spans if span["name"] == "compute"}
        self.assertEqual(workers, {2, 3})
        self.assertEqual({span["pid"] for span in spans if span["name"] == "read"}, {2, 3})

    def test_every_layer_without_workers(self):
        spans = self.spans()
        self.check_layers(spans)
        self.check_nesting(spans)
        self.assertEqual({span["pid"] for span in spans}, {1})

    def test_a_trace_that_cannot_be_written_is_an_error(self):
        tokens = self.home / "tokens.json"
        tokens.write_text("[1, 2]")
        done = self.potluck(*EVAL, "--tokens", tokens, "--trace", self.home / "no/folder/trace")
        self.assertEqual(done.returncode, 1)
        self.assertIn("--trace", done.stderr)


if __name__ == "__main__":
    unittest.main()
