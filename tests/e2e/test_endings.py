"""How commands end: by Ctrl-C and SIGTERM, at any point; and how prompts are read."""

import json
import os
import pty
import signal
import subprocess
import time
import unittest

from support import BINARY, PATIENCE_SECONDS, TALETELLER, PotluckTest, wait_for

LONG = ["-n", "100000", "--ctx", "100000", "--temp", "0", "--ignore-eos"]
STOPPED = {signal.SIGINT: 130, signal.SIGTERM: 143}


class Signals(PotluckTest):
    def test_a_generation_ends_with_the_text_so_far(self):
        whole = self.potluck("run", TALETELLER, "--raw", "-p", "Once", "-n", "600", "--temp", "0",
                             "--ignore-eos").stdout.encode()
        for number, code in STOPPED.items():
            for workers in ([], ["--workers", "2"]):
                process = self.start("run", TALETELLER, "--raw", "-p", "Once", *LONG, *workers)
                text = os.read(process.stdout.fileno(), 64)
                process.send_signal(number)
                text += process.stdout.read()
                self.assertEqual(process.wait(60), code)
                length = min(len(text), len(whole))
                self.assertEqual(text[:length], whole[:length])
                text.decode()  # no character is cut

    def test_json_says_that_it_was_interrupted(self):
        process = self.start("run", TALETELLER, "--raw", "-p", "Once", *LONG, "--json")
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
        report = json.loads(output)
        self.assertEqual(report["finish_reason"], "interrupted")
        self.assertEqual(process.returncode, 130)

    def test_the_first_signal_is_enough_whatever_is_done(self):
        """Reading standard input, loading, evaluating, measuring: nothing waits for a second one."""
        tokens = self.home / "tokens.json"
        tokens.write_text(json.dumps([100] * 1500))
        for arguments in (["run", TALETELLER], ["run", TALETELLER, "--raw"],
                          ["eval", TALETELLER, "--tokens", tokens, "--greedy", "100000",
                           "--ctx", "200000"],
                          ["bench", TALETELLER, "--generate", "100000", "--ctx", "200000"]):
            for number, code in STOPPED.items():
                process = self.start(*arguments, stdin=-1)
                time.sleep(0.7)
                process.send_signal(number)
                self.assertEqual(process.wait(60), code, arguments)

    def test_daemons_end_in_order(self):
        process = self.start("serve", TALETELLER, "--listen", "127.0.0.1:0", stdin=-1)
        os.read(process.stdout.fileno(), 8)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(60), 0)


class Prompts(PotluckTest):
    def tokens(self, text):
        process = self.start("run", TALETELLER, "--raw", "-n", "8", "--temp", "0", "--json",
                             stdin=-1)
        output, errors = process.communicate(text)
        self.assertEqual(process.returncode, 0, errors)
        return json.loads(output)["tokens"]

    def test_the_line_end_of_echo_is_no_part_of_the_prompt(self):
        named = self.report("run", TALETELLER, "--raw", "-p", "The sea", "-n", "8", "--temp", "0")
        for text in (b"The sea", b"The sea\n", b"The sea\r\n"):
            self.assertEqual(self.tokens(text), named["tokens"])

    def test_bytes_that_are_no_text_are_named(self):
        process = self.start("run", TALETELLER, "-n", "8", stdin=-1)
        _, errors = process.communicate(b"The \xff sea\n")
        self.assertEqual(process.returncode, 1)
        self.assertIn(b"UTF-8", errors)

    def test_input_without_an_end_is_refused(self):
        script = 'ulimit -v 4000000; exec "$@" </dev/zero'
        done = subprocess.run(["sh", "-c", script, "sh", BINARY, "run", TALETELLER, "--raw"],
                              env=self.environment(), capture_output=True, text=True,
                              timeout=PATIENCE_SECONDS)
        self.assertEqual(done.returncode, 1)
        self.assertIn("the prompt on standard input: expected at most", done.stderr)

    def test_a_terminal_is_told_what_to_do(self):
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        process = self.start("run", TALETELLER, "--raw", "-n", "4", stdin=theirs)
        os.close(theirs)
        os.set_blocking(process.stderr.fileno(), False)
        notes = bytearray()
        wait_for(lambda: notes.extend(process.stderr.read() or b"") or b"Ctrl-D" in notes, "a hint")
        os.write(ours, b"Once\n\x04")
        self.assertEqual(process.wait(60), 0)


if __name__ == "__main__":
    unittest.main()
