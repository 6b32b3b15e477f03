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
from terminal_support import COLORS, Screen
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
        self.talk()

    def talk(self, *arguments, **extra):
        """Begins a conversation."""
        ours, theirs = pty.openpty()
        self.keyboard = ours
        self.addCleanup(os.close, ours)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        os.set_blocking(ours, False)
        self.process = self.start("run", self.model, *GREEDY, *arguments, stdin=theirs,
                                  stderr=theirs, **{"TERM": "xterm", "NO_COLOR": "", **extra})
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

    def command(self, keys, shown):
        """Something for the program: nothing is answered."""
        self.screen = b""
        before = len(self.answers)
        os.write(self.keyboard, keys + b"\r")
        self.wait_for(lambda: shown in self.screen, shown)
        self.wait_for_prompt()
        self.assertEqual(self.answers[before:], b"")

    def leave(self):
        os.write(self.keyboard, b"\x04")
        self.assertEqual(self.process.wait(60), 0)
        self.look()

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
        self.screen = b""
        self.process.send_signal(signal.SIGINT)
        self.wait_for(lambda: b"once more" in self.screen, "a hint")
        self.wait_for_prompt()
        # Something typed in between: the next one is the first again.
        self.assertEqual(self.say(b"Hello"), self.raw(
            f"[user] Hello\n[assistant] {self.first('Hello')[:-1]}\n[user] Hello\n[assistant] "))
        for _ in range(2):
            self.screen = b""
            self.process.send_signal(signal.SIGINT)
            self.wait_for(lambda: self.process.poll() is not None or (
                b"once more" in self.screen and b"> " in self.screen), "the end or a hint")
        self.assertEqual(self.process.wait(60), 130)

    def test_ctrl_d_ends(self):
        os.write(self.keyboard, b"\x04")
        self.assertEqual(self.process.wait(60), 0)
        self.look()
        self.assertIn(b"\x1b[?2004l", self.screen)  # pasting works as before in the shell

    def test_sigterm_ends(self):
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(60), 143)

    def test_several_lines_are_one_message(self):
        self.assertEqual(self.say(b"one\\\rtwo"), self.first("one\ntwo"))
        self.command(b"/new", b"a new conversation")
        self.assertEqual(self.say(b'"""\rone\r\rtwo\r"""'), self.first("one\n\ntwo"))
        self.command(b"/clear", b"a new conversation")
        # Half a block is no message.
        os.write(self.keyboard, b'"""one\r')
        self.wait_for(lambda: b"... " in self.screen, "the second line")
        self.screen = b""
        self.process.send_signal(signal.SIGINT)
        self.wait_for_prompt()
        self.assertEqual(self.say(b"two"), self.first("two"))

    def test_commands_are_not_sent(self):
        self.command(b"/help", b"/regenerate")
        self.command(b"/frobnicate the lot", b"no command /frobnicate")
        self.command(b"/stat", b"/stats")
        self.command(b"/stats", b"nothing has been answered")
        self.command(b"/system Be kind", b"the system message: Be kind")
        self.assertEqual(self.say(b"Hello"), self.raw("[system] Be kind\n[user] Hello\n[assistant] "))
        self.command(b"/stats", b"tokens/s")
        self.command(b"/set temp 9999", b"/set temp")
        self.command(b"/set", b"temp 0")
        self.command(b"/system -", b"no system message")
        self.command(b"/undo", b"forgotten")
        self.assertEqual(self.say(b"/usr/bin is a path"), self.first("/usr/bin is a path"))
        self.command(b"/new", b"a new conversation")
        self.assertEqual(self.say(b" /help"), self.first(" /help"))
        os.write(self.keyboard, b"/bye\r")
        self.assertEqual(self.process.wait(60), 0)

    def test_regenerate(self):
        self.command(b"/regenerate", b"no message that could be answered again")
        first = self.say(b"Hello")
        # Greedy: the same again, and the conversation has it once.
        self.assertEqual(self.say(b"/regenerate"), first)
        self.assertEqual(self.say(b"Again"), self.raw(
            f"[user] Hello\n[assistant] {first[:-1]}\n[user] Again\n[assistant] "))
        self.command(b"/set temp 5", b"temp 5")
        self.assertNotEqual(self.say(b"/regenerate"), self.say(b"/regenerate"))

    def test_a_saved_conversation_goes_on_as_it_would_have(self):
        saved = self.home / "talk.json"
        self.say(b"Hello")
        self.command(f"/save {saved}".encode(), b"2 messages written")
        second = self.say(b"Again")
        self.command(f"/save {self.home / 'chat.gguf'}".encode(), b"not replaced")
        self.assertEqual(saved.stat().st_mode & 0o777, 0o600)
        self.leave()
        self.talk()
        self.command(b"/load /no/such/file", b"/load: ")
        self.command(f"/load {saved}".encode(), b"2 messages read")
        self.assertEqual(self.say(b"Again"), second)

    def test_what_was_typed_is_there_the_next_time(self):
        history = self.home / "state/potluck/history"
        self.say(b"\x1b[200~one\ntwo\x1b[201~")
        self.leave()
        self.assertEqual(history.stat().st_mode & 0o777, 0o600)
        self.talk()
        self.assertEqual(self.say(b"\x1b[A"), self.first("one\ntwo"))
        self.leave()
        kept = history.read_bytes()
        self.talk("--no-history")
        self.say(b"secret")
        self.leave()
        self.assertEqual(history.read_bytes(), kept)
        # A file that cannot be written costs the conversation nothing.
        history.unlink()
        history.mkdir()
        self.talk()
        self.assertEqual(self.say(b"Hello"), self.first("Hello"))
        self.assertIn(b"not kept", self.screen)


class WholeTerminal(PotluckTest):
    """Everything on one terminal, with the keys that make signals."""

    def setUp(self):
        super().setUp()
        self.model = model_with_template(self.home / "chat.gguf", TEMPLATE)

    def test_ctrl_c_stops_an_answer_and_another_question_is_answered(self):
        screen = Screen(self, "run", self.model, "-n", "100000", "--temp", "0", "--ignore-eos")
        screen.wait_for(rb"> $")
        screen.press(b"Hello\r")
        wait_for(lambda: len(screen.look()) > 600, "an answer under way")
        screen.press(b"\x03")
        screen.wait_for(rb"\n> $")
        self.assertIsNone(screen.poll())
        screen.press(b"/set max-tokens 4\r")
        screen.wait_for(rb"max-tokens 4\r\n> $")
        screen.forget()
        screen.press(b"Again\r")
        screen.wait_for(rb"Again[\s\S]+\n> $")
        screen.press(b"/stats\r")
        screen.wait_for(rb"4 tokens, [\d.]+ tokens/s")
        screen.wait_for(rb"> $")
        for _ in range(2):
            screen.forget()
            screen.press(b"\x03")
            wait_for(lambda: screen.poll() is not None
                     or screen.look().count(b"> ") > 0, "the end or a prompt")
        self.assertEqual(screen.wait(), 130)
        self.assertTrue(screen.is_as_found())

    def test_two_signals_at_once_leave_the_terminal_as_it_was(self):
        screen = Screen(self, "run", self.model)
        screen.wait_for(rb"> $")
        self.assertFalse(screen.is_as_found())
        os.kill(screen.pid, signal.SIGSTOP)
        screen.signal(signal.SIGINT)
        screen.signal(signal.SIGTERM)
        os.kill(screen.pid, signal.SIGCONT)
        self.assertIn(screen.wait(), (130, 143))
        self.assertTrue(screen.is_as_found())
        self.assertGreater(screen.seen.rfind(b"\x1b[?2004l"), screen.seen.rfind(b"\x1b[?2004h"))

    def test_no_colors_where_none_are_wanted(self):
        for extra in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            screen = Screen(self, "run", self.model, "-n", "4", "--temp", "0", **extra)
            screen.wait_for(rb"> $")
            screen.press(b"Hello\r")
            screen.wait_for(rb"Hello[\s\S]+\n> $")
            screen.press(b"\x04")
            self.assertEqual(screen.wait(), 0)
            self.assertNotRegex(screen.seen, COLORS)
            if "TERM" in extra:
                self.assertNotIn(b"\x1b", screen.seen)

    def test_a_long_prompt_shows_how_far_it_is_and_leaves_no_trace(self):
        screen = Screen(self, "run", self.model, "-p", "word " * 6000, "-n", "2", "--temp", "0",
                        "--ctx", "16384", "--prefill-chunk", "64")
        self.assertEqual(screen.wait(), 0)
        shown = re.findall(rb"\r\x1b\[Kreading the prompt: (\d+) %, [\d.]+ tokens/s", screen.seen)
        if not shown:
            self.skipTest("this machine reads 6,000 tokens in a second")
        numbers = [int(number) for number in shown]
        self.assertEqual(numbers, sorted(numbers))
        behind = screen.seen[screen.seen.rindex(b"reading the prompt"):]
        self.assertRegex(behind, rb"tokens/s\r\x1b\[K")
        piped = self.potluck("run", self.model, "-p", "word " * 6000, "-n", "2", "--temp", "0",
                             "--ctx", "16384", "--prefill-chunk", "64")
        self.assertNotIn("reading the prompt", piped.stderr)


if __name__ == "__main__":
    unittest.main()
