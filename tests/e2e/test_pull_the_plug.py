"""Pull the plug: workers killed or frozen in the middle of a generation do not change the text."""

import os
import signal
import unittest

from support import TALETELLER, PotluckTest, children_of, wait_for

TOKENS = 160
ARGUMENTS = ["run", TALETELLER, "--raw", "--ignore-eos", "-p", "Once upon a time", "-n", TOKENS, "--seed", "11",
             "--workers", "4", "--slices", "2"]


class PullThePlug(PotluckTest):
    def setUp(self):
        super().setUp()
        undisturbed = self.report(*ARGUMENTS[:-4])  # solo
        self.text = undisturbed["text"].encode()

    def run_and_signal(self, victims, how, after_bytes=120):
        """Sends `how` to the first `victims` workers once `after_bytes` of text have come."""
        process = self.start(*ARGUMENTS)
        text = b""
        hit = []
        while True:
            piece = os.read(process.stdout.fileno(), 64)
            if not piece:
                break
            text += piece
            if not hit and len(text) >= after_bytes:
                hit = children_of(process.pid)[:victims]
                self.assertEqual(len(hit), victims)
                for worker in hit:
                    os.kill(worker, how)
        self.assertTrue(hit, "the text was over before anything could be killed")
        messages = process.stderr.read().decode()
        self.assertEqual(process.wait(), 0, messages)
        return text, messages

    def test_one_of_four_killed(self):
        text, messages = self.run_and_signal(1, signal.SIGKILL)
        self.assertEqual(text, self.text)
        self.assertIn("1 lost", messages)

    def test_three_of_four_killed(self):
        text, messages = self.run_and_signal(3, signal.SIGKILL)
        self.assertEqual(text, self.text)
        self.assertIn("3 lost", messages)

    def test_all_killed(self):
        text, messages = self.run_and_signal(4, signal.SIGKILL)
        self.assertEqual(text, self.text)
        self.assertIn("4 lost", messages)

    def test_one_frozen(self):
        text, _ = self.run_and_signal(1, signal.SIGSTOP)
        self.assertEqual(text, self.text)

    def test_workers_end_with_the_coordinator(self):
        process = self.start("run", TALETELLER, "-p", "Once upon a time", "-n", "100000",
                             "--ctx", "200000", "--ignore-eos", "--workers", "2")
        os.read(process.stdout.fileno(), 16)
        workers = wait_for(lambda: children_of(process.pid), "workers")
        self.assertEqual(len(workers), 2)
        process.kill()
        process.wait()
        wait_for(lambda: not any(os.path.exists(f"/proc/{w}/exe") for w in workers),
                 "the workers to end")


if __name__ == "__main__":
    unittest.main()
