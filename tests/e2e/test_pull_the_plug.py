"""Pull the plug: workers killed or frozen in the middle of a generation do not change the text."""

import json
import os
import signal
import threading
import unittest

from support import PATIENCE_SECONDS, TALETELLER, PotluckTest, children_of, wait_for
from test_api import ApiTest, chat, events_of

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


class Streams(ApiTest):
    def told_in_pieces(self, message, begun, got):
        _, answer = self.stream("/v1/chat/completions", chat(message, max_tokens=TOKENS, ignore_eos=True))
        pieces = 0
        for event in events_of(answer):
            if event == b"[DONE]":
                return
            for choice in json.loads(event)["choices"]:
                got[message] += choice["delta"].get("content") or ""
                pieces += 1
            if pieces == 8:
                begun[message].set()

    def test_a_worker_killed_under_three_chats(self):
        """All three texts are what they would have been."""
        messages = ("Tell me a story about a fox and a well.", "Tell me a story about a horse and the sea.",
                    "Tell me a story about a bird and a king.")
        self.start_api("--workers", "3", "--slices", "2", workers=0)
        got = {message: "" for message in messages}
        begun = {message: threading.Event() for message in messages}
        threads = [threading.Thread(target=self.told_in_pieces, args=(message, begun, got)) for message in messages]
        for thread in threads:
            thread.start()
        for message in messages:
            self.assertTrue(begun[message].wait(PATIENCE_SECONDS))
        workers = children_of(self.server.pid)
        self.assertEqual(len(workers), 3)
        self.assertTrue(all(thread.is_alive() for thread in threads), "too late to kill anything")
        os.kill(workers[0], signal.SIGKILL)
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
        for message in messages:
            alone = self.report("run", TALETELLER, "--temp", "0", "--ignore-eos", "-n", TOKENS, "-p", message)
            self.assertEqual(got[message], alone["text"])
        wait_for(lambda: self.status()["workers_lost"] == 1, "a lost worker in the status")

    def status(self):
        return json.loads(self.potluck("status", "--json").stdout)


if __name__ == "__main__":
    unittest.main()
