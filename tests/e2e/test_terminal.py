"""A person at a terminal: the line editor, pasted text, mistakes that must not end a conversation."""

import os
import pty
import re
import signal
import struct
import fcntl
import termios
import unittest

from support import TALETELLER, PotluckTest, wait_for
from test_chat import model_with_template

# Answers with what it was told, as far as a prompt can: the reader of the prompt is the test.
TEMPLATE = """
{%- for message in messages %}
    {{- '[' ~ message.role ~ '] ' ~ message.content ~ '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '[assistant] ' }}{% endif %}
"""
GREEDY = ["-n", "4", "--temp", "0", "--ignore-eos"]


class Terminal(PotluckTest):
    """Standard input and standard error are one terminal; answers go to a pipe."""

    def setUp(self):
        super().setUp()
        self.model = model_with_template(self.home / "chat.gguf", TEMPLATE)
        ours, theirs = pty.openpty()
        self.keyboard = ours
        self.addCleanup(os.close, ours)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        os.set_blocking(ours, False)
        self.process = self.start("run", self.model, *GREEDY, stdin=theirs, stderr=theirs,
                                  TERM="xterm")
        os.close(theirs)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.screen = b""
        self.answers = b""
        self.wait_for_prompt()

    def look(self):
        try:
            self.screen += os.read(self.keyboard, 65536)
        except (BlockingIOError, OSError):
            pass
        self.answers += self.process.stdout.read() or b""

    def wait_for(self, condition, what):
        def holds():
            self.look()
            return condition()
        wait_for(holds, what)

    def wait_for_prompt(self):
        self.wait_for(lambda: re.search(rb"> (\x1b\[[0-9;?]*[A-Za-z])*$", self.screen),
                      "a prompt")

    def say(self, keys):
        """What is answered to these keys and Enter."""
        before = len(self.answers)
        self.screen = b""
        rest = keys + b"\r"
        while rest:  # a terminal takes some kilobytes at a time
            try:
                rest = rest[os.write(self.keyboard, rest):]
            except BlockingIOError:
                pass
            self.look()
        self.wait_for(lambda: self.answers[before:].endswith(b"\n") or b"not sent" in self.screen
                      or b"context" in self.screen, "an answer")
        self.wait_for_prompt()
        return self.answers[before:].decode()

    def raw(self, prompt):
        return self.potluck("run", self.model, "--raw", "-p", prompt, *GREEDY).stdout + "\n"

    def first(self, message):
        return self.raw(f"[user] {message}\n[assistant] ")

    def test_keys_edit_the_line(self):
        # Left, left, insert; backspace; the start of the line; the arrow up brings the last one.
        self.assertEqual(self.say(b"Hllo\x1b[D\x1b[D\x1b[De\x05!x\x7f"), self.first("Hello!"))

    def test_history(self):
        answer = self.say(b"Hello")
        again = self.say(b"\x1b[A")
        self.assertEqual(again, self.raw(f"[user] Hello\n[assistant] {answer[:-1]}\n"
                                         "[user] Hello\n[assistant] "))

    def test_pasted_lines_are_one_message(self):
        self.assertEqual(self.say(b"\x1b[200~one\ntwo\rthree\n\x1b[201~"),
                         self.first("one\ntwo\nthree"))

    def test_alt_enter_begins_a_new_line(self):
        self.assertEqual(self.say(b"one\x1b\rtwo"), self.first("one\ntwo"))

    def test_long_lines_are_whole(self):
        message = "word " * 1000 + "end"
        self.assertEqual(self.say(message.encode()), self.first(message))

    def test_characters_are_whole_and_bad_bytes_do_no_harm(self):
        self.assertEqual(self.say("Grüße 日本 👋".encode()), self.first("Grüße 日本 👋"))
        self.screen = b""
        os.write(self.keyboard, b"/new\r")
        self.wait_for(lambda: b"a new conversation" in self.screen, "a new conversation")
        self.wait_for_prompt()
        self.assertEqual(self.say(b"a\xffb"), self.first("a\ufffdb"))

    def test_a_message_beyond_the_context_costs_nothing(self):
        self.assertEqual(self.say(b"\x1b[200~" + b"word " * 3000 + b"\x1b[201~"), "")
        self.assertIn(b"/new", self.screen)
        self.assertEqual(self.say(b"Hello"), self.first("Hello"))

    def test_ctrl_c_drops_a_line_and_then_ends(self):
        os.write(self.keyboard, b"half a line")
        self.wait_for(lambda: b"half a line" in self.screen, "what was typed")
        self.process.send_signal(signal.SIGINT)
        self.wait_for(lambda: self.screen.count(b"> ") >= 2, "a new prompt")
        self.assertEqual(self.say(b"Hello"), self.first("Hello"))
        self.process.send_signal(signal.SIGINT)
        self.assertEqual(self.process.wait(60), 130)

    def test_ctrl_d_ends(self):
        os.write(self.keyboard, b"\x04")
        self.assertEqual(self.process.wait(60), 0)
        self.look()
        self.assertIn(b"\x1b[?2004l", self.screen)  # pasting works as before in the shell

    def test_sigterm_ends(self):
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(60), 143)


if __name__ == "__main__":
    unittest.main()
