"""Chatting: the model's own template, one from a file, broken ones; turns of a conversation."""

import os
import pty
import signal
import struct
import unittest

from support import TALETELLER, PotluckTest, wait_for

TEMPLATE = """
{%- for message in messages %}
    {{- '[' ~ message.role ~ '] ' ~ message.content ~ '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '[assistant] ' }}{% endif %}
"""


KEY = b"tokenizer.chat_template"


def model_with_template(path, template):
    """A copy of the taleteller with another chat template, filled up to the length of its own with
    spaces inside a comment, so that nothing behind it moves."""
    whole = TALETELLER.read_bytes()
    begin = whole.index(KEY) + len(KEY) + 12  # behind the type and the length of the text
    (length,) = struct.unpack_from("<Q", whole, begin - 8)
    text = template.encode()
    text += b"{#" + b" " * (length - len(text) - 4) + b"#}"
    path.write_bytes(whole[:begin] + text + whole[begin + length:])
    return path


def model_without_template(path):
    path.write_bytes(TALETELLER.read_bytes().replace(KEY, KEY[:-1] + b"_", 1))
    return path


class ChatTest(PotluckTest):
    GREEDY = ["-n", "16", "--temp", "0"]

    def setUp(self):
        super().setUp()
        self.model = model_with_template(self.home / "chat.gguf", TEMPLATE)
        self.plain = model_without_template(self.home / "plain.gguf")

    def raw(self, prompt):
        return self.report("run", TALETELLER, "--raw", "-p", prompt, *self.GREEDY)


class OneTurn(ChatTest):
    def test_one_turn_is_the_written_prompt_completed(self):
        chat = self.report("run", self.model, "-p", "Hello", *self.GREEDY)
        self.assertEqual(chat["tokens"], self.raw("[user] Hello\n[assistant] ")["tokens"])
        plain = self.potluck("run", self.model, "-p", "Hello", *self.GREEDY)
        self.assertEqual(plain.stdout, chat["text"])
        self.assertEqual(self.report("run", self.model, "--raw", "-p", "Hello", *self.GREEDY),
                         self.raw("Hello"))

    def test_system_arguments_and_files(self):
        told = self.report("run", self.model, "-p", "Hi", "--system", "Be kind", *self.GREEDY)
        self.assertEqual(told["tokens"],
                         self.raw("[system] Be kind\n[user] Hi\n[assistant] ")["tokens"])
        path = self.home / "other.jinja"
        path.write_text("{{ messages[0].content ~ (', yes' if yes else ', no') ~ n }}")
        for arguments, prompt in (([], "Hi, no"), (["--template-arg", "yes=true"], "Hi, yes"),
                                  (["--template-arg", "n=[1]"], "Hi, no[1]")):
            other = self.report("run", TALETELLER, "-p", "Hi", "--chat-template-file", path,
                                *arguments, *self.GREEDY)
            self.assertEqual(other["tokens"], self.raw(prompt)["tokens"])

    def test_a_model_without_template_completes(self):
        done = self.report("run", self.plain, "-p", "Hello", *self.GREEDY)
        self.assertEqual(done, self.raw("Hello"))
        refused = self.potluck("run", self.plain, "-p", "Hello", "--system", "x")
        self.assertEqual(refused.returncode, 2)
        self.assertIn("--chat-template-file", refused.stderr)

    def test_broken_templates_are_named_with_a_way_out(self):
        for template, saying in (("a\n{% frob %}", "line 2, column 4: the statement 'frob'"),
                                 ("{{ raise_exception('not you') }}", "refuses: not you"),
                                 ("{% for a in range(9999) %}{% for b in range(9999) %}"
                                  "{% endfor %}{% endfor %}", "steps")):
            broken = model_with_template(self.home / "broken.gguf", template)
            done = self.potluck("run", broken, "-p", "Hello", "-n", "2")
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertEqual(done.stdout, "")
            for part in (saying, "--raw", "--chat-template-file"):
                self.assertIn(part, done.stderr)
            raw = self.potluck("run", broken, "-p", "Hello", "--raw", "-n", "2")
            self.assertEqual(raw.returncode, 0, raw.stderr)

    def test_wrong_use(self):
        for arguments, saying in ((["--raw", "--system", "x"], "--raw"),
                                  (["--template-arg", "x"], "KEY=JSON"),
                                  (["--template-arg", "x=high"], "not JSON"),
                                  (["--template-arg", "=1"], "KEY=JSON")):
            done = self.potluck("run", self.model, "-p", "Hello", *arguments)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(saying, done.stderr)
        missing = self.potluck("run", self.model, "-p", "x", "--chat-template-file", "/no/such")
        self.assertEqual(missing.returncode, 1)
        self.assertIn("/no/such", missing.stderr)

    def test_show_says_whether_there_is_a_usable_template(self):
        self.assertIsNone(self.report("show", self.plain)["chat_template"])
        self.assertEqual(self.report("show", TALETELLER)["chat_template"], "usable")
        self.assertEqual(self.report("show", self.model)["chat_template"], "usable")
        broken = model_with_template(self.home / "broken.gguf", "{{ x | frob }}")
        self.assertEqual(self.report("show", broken)["chat_template"],
                         "unusable: line 1, column 8: the filter 'frob' is not supported")

    def test_reasoning_is_no_part_of_the_answer(self):
        path = self.home / "think.jinja"
        path.write_text("{{ messages[0].content }}<think>\n{# </think> #}")
        report = self.report("run", TALETELLER, "-p", "Once", "--chat-template-file", path,
                             *self.GREEDY)
        self.assertEqual(report["text"], "")
        self.assertNotEqual(report["reasoning"], "")
        plain = self.potluck("run", TALETELLER, "-p", "Once", "--chat-template-file", path,
                             *self.GREEDY)
        self.assertEqual(plain.stdout, "")
        self.assertIn(report["reasoning"], plain.stderr)


class Conversation(ChatTest):
    """At a terminal, without a prompt."""

    def converse(self, *arguments):
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        process = self.start("run", self.model, *arguments, stdin=theirs)
        os.close(theirs)
        os.set_blocking(process.stdout.fileno(), False)
        os.set_blocking(process.stderr.fileno(), False)
        self.output = b""
        self.notes = b""
        return ours, process

    def read(self, process):
        self.output += process.stdout.read() or b""
        return self.output

    def wait_for_prompts(self, process, count):
        def asked():
            self.notes += process.stderr.read() or b""
            return self.notes.count(b"> ") >= count
        wait_for(asked, f"the user's turn, number {count}")

    def test_turns_continue_the_conversation(self):
        keyboard, process = self.converse(*self.GREEDY, "--system", "Be kind")
        os.write(keyboard, b"Hello\n")
        self.wait_for_prompts(process, 2)
        first = self.read(process).decode()
        text = f"[system] Be kind\n[user] Hello\n[assistant] {first[:-1]}\n[user] Again\n[assistant] "
        self.assertEqual(first, self.raw(text.split(first[:-1])[0])["text"] + "\n")
        os.write(keyboard, b"Again\n")
        self.wait_for_prompts(process, 3)
        self.assertEqual(self.read(process).decode()[len(first):], self.raw(text)["text"] + "\n")
        os.write(keyboard, b"\x04")
        self.assertEqual(process.wait(60), 0)
        self.assertIn("Ctrl-D", self.notes.decode())

    def test_ctrl_c_stops_the_answer_and_not_the_conversation(self):
        keyboard, process = self.converse("-n", "100000", "--temp", "0", "--ignore-eos")
        os.write(keyboard, b"Hello\n")
        wait_for(lambda: len(self.read(process)) > 40, "an answer under way")
        process.send_signal(signal.SIGINT)
        wait_for(lambda: self.read(process).endswith(b"\n"), "the end of the answer")
        before = len(self.output)
        os.write(keyboard, b"Again\n")
        wait_for(lambda: len(self.read(process)) > before + 40, "another answer")
        process.terminate()
        self.assertEqual(process.wait(60), 143)


if __name__ == "__main__":
    unittest.main()
