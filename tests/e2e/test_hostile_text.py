"""Text from files, paths and other versions: nothing in it ends the program, reaches a terminal as a
command, or makes JSON that is none."""

import json
import os
import pty
import shutil
import struct
import subprocess
import unittest

from support import BINARY, TALETELLER, PotluckTest, wait_for

ESCAPE = "\x1b"
HOSTILE = b"\xff\x1b[31m\xc3\n\xc2\x9bx"


def renamed_model(path, name):
    """A copy of the taleteller whose name begins with these bytes. The pair takes a multiple of the
    alignment, filled up with dots, so that nothing behind it moves against its alignment."""
    key = b"general.name"
    whole = TALETELLER.read_bytes().replace(key, b"general.nam_", 1)
    fixed = 8 + len(key) + 4 + 8
    name += b"." * (-(fixed + len(name)) % 32)
    pair = struct.pack("<Q", len(key)) + key + struct.pack("<IQ", 8, len(name)) + name
    magic, version, tensors, pairs = struct.unpack_from("<4sIQQ", whole)
    path.write_bytes(struct.pack("<4sIQQ", magic, version, tensors, pairs + 1) + pair + whole[24:])
    return path


def model_that_escapes(path):
    """A copy of the taleteller that says ESC for each space: their names change places in the
    vocabulary (byte-level tokens name the bytes 20 and 1b by U+0120 and U+011B)."""
    whole = bytearray(TALETELLER.read_bytes())
    other = str.maketrans("\u0120\u011b", "\u011b\u0120")  # two bytes each
    for key in (b"tokenizer.ggml.tokens", b"tokenizer.ggml.merges"):
        at = whole.index(key) + len(key)
        kind, inner, count = struct.unpack_from("<IIQ", whole, at)
        assert (kind, inner) == (9, 8)
        at += 16
        for _ in range(count):
            length, = struct.unpack_from("<Q", whole, at)
            at += 8
            whole[at:at + length] = whole[at:at + length].decode().translate(other).encode()
            at += length
    path.write_bytes(whole)
    return path


class HostileText(PotluckTest):
    def test_names_in_model_files(self):
        model = renamed_model(self.home / "named.gguf", HOSTILE)
        shown = self.report("show", model)
        self.assertTrue(shown["name"].startswith("\ufffd\x1b[31m\ufffd\n\x9bx"), shown["name"])
        for arguments in (["show", model], ["show", model, "--json"]):
            done = self.potluck(*arguments)
            self.assertEqual(done.returncode, 0, done.stderr)
            for control in (ESCAPE, "\x9b"):
                self.assertNotIn(control, done.stdout + done.stderr)
        self.assertIn("\\xff\\x1b[31m\\xc3\\x0a\\u009bx", self.potluck("show", model).stdout)

    def test_paths(self):
        path = os.fsdecode(os.fsencode(self.home) + b"/bad\xff\x1b[31m\n\xc2\x9bname.gguf")
        for arguments in (["run", path, "-p", "x"], ["show", path], ["tokenize", path, "--text", "x"],
                          ["eval", path, "--text", path], ["--config", path, "version"]):
            done = self.potluck(*arguments)
            self.assertIn(done.returncode, (1, 2), arguments)
            self.assertIn("bad\\xff\\x1b[31m\\x0a\\u009bname.gguf", done.stderr)
            self.assertNotIn(ESCAPE, done.stderr)
        shutil.copy(TALETELLER, path)
        report = self.report("run", path, "-p", "Once", "-n", "2", "--temp", "0")
        self.assertEqual(len(report["tokens"]), 2)

    def test_arguments_and_variables(self):
        hostile = "\x1b]0;owned\x07"
        for arguments in ([hostile], ["run", TALETELLER, hostile], ["run", "--" + hostile],
                          ["run", TALETELLER, "--threads", hostile], ["join", hostile],
                          ["run", TALETELLER, "-p", "x", "--isa", hostile],
                          ["serve", TALETELLER, "--listen", hostile]):
            done = self.potluck(*arguments)
            self.assertIn(done.returncode, (1, 2), arguments)
            self.assertNotIn(ESCAPE, done.stderr, arguments)
        done = self.potluck("version", **{"POTLUCK_" + hostile: "1"})
        self.assertEqual(done.returncode, 0)
        self.assertIn("\\x1b]0;owned\\x07", done.stderr)

    def test_serving_a_path_that_is_no_text(self):
        path = os.fsdecode(os.fsencode(self.home) + b"/bad\xff.gguf")
        shutil.copy(renamed_model(self.home / "named.gguf", HOSTILE), path)
        process = self.start("serve", path, "--listen", "127.0.0.1:0", "--quiet")
        status = self.home / "coordinator/status.json"
        wait_for(lambda: status.exists() or process.poll() is not None, "the status file")
        self.assertIsNone(process.poll())
        self.assertTrue(self.report("status")["file"].endswith("/bad\ufffd.gguf"))
        shown = self.potluck("status")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertNotIn(ESCAPE, shown.stdout)

    def test_status_files_of_other_versions(self):
        folder = self.home / "coordinator"
        folder.mkdir()
        odd = [None, True, -1, 2**63, 1e300, "x", "\x1b[31m", [], [1], [[]], {}, {"a": 1}]
        names = ["process", "model", "units_ready", "written_unix_seconds", "workers"]
        inner = ["number", "name", "key", "software", "fetched"]
        documents = [json.dumps({name: value for name in names}) for value in odd]
        documents += [json.dumps({"workers": [{name: value} for name in inner]}) for value in odd]
        documents += [json.dumps({"workers": [{"fetched": {"peers": [value], "file_bytes": value}}]})
                      for value in odd]
        documents += [json.dumps(value) for value in odd]
        documents += ["", "{", "\0", '{"model":"' + "[" * 9999, "[" * 100_000,
                      '{"a":' * 50_000, '{"process":1e999}']
        documents = [text.encode() for text in documents] + [b'{"model":"\xff"}', b"\xff\xfe{}"]
        for document in documents:
            (folder / "status.json").write_bytes(document)
            plain = self.potluck("status")
            report = self.potluck("status", "--json")
            for done in (plain, report):
                self.assertIn(done.returncode, (0, 1), document[:80])
                self.assertNotIn(ESCAPE, done.stdout + done.stderr)
                self.assertEqual(done.stderr == "", done.returncode == 0)
            if report.returncode == 0:
                self.assertIn("running", json.loads(report.stdout))

    def test_token_files(self):
        path = self.home / "tokens.json"
        for document in (b"[" * 100_000, b'["\xff"]', b"[1e999]", b"[9223372036854775808]",
                         b"[18446744073709551617]", b"[1.0]", b"[[1]]", b"[null]", b"[1]x"):
            path.write_bytes(document)
            done = self.potluck("eval", TALETELLER, "--tokens", path)
            self.assertEqual(done.returncode, 1, document[:40])
            self.assertIn("tokens.json", done.stderr)


class GeneratedText(PotluckTest):
    ARGUMENTS = ["-p", "Once upon a time", "-n", "24", "--temp", "0"]

    def at_a_terminal(self, *arguments):
        master, slave = pty.openpty()
        try:
            process = subprocess.Popen([BINARY, *map(str, arguments)], env=self.environment(),
                                       stdin=subprocess.DEVNULL, stdout=slave,
                                       stderr=subprocess.DEVNULL)
            os.close(slave)
            output = b""
            while True:
                try:
                    piece = os.read(master, 4096)
                except OSError:  # the other side is closed
                    break
                if not piece:
                    break
                output += piece
            self.assertEqual(process.wait(), 0)
            return output.decode()
        finally:
            os.close(master)

    def test_controls_reach_files_but_no_terminal(self):
        model = model_that_escapes(self.home / "escapes.gguf")
        plain = self.potluck("run", model, *self.ARGUMENTS)
        self.assertEqual(plain.returncode, 0, plain.stderr)
        self.assertIn(ESCAPE, plain.stdout)
        self.assertEqual(plain.stdout, self.report("run", model, *self.ARGUMENTS)["text"])
        shown = self.at_a_terminal("run", model, *self.ARGUMENTS)
        self.assertNotIn(ESCAPE, shown)
        expected = plain.stdout.replace(ESCAPE, "\\x1b").replace("\n", "\r\n")
        self.assertEqual(shown, expected + "\r\n")

    def test_ordinary_text_is_the_same_on_both(self):
        plain = self.potluck("run", TALETELLER, *self.ARGUMENTS)
        shown = self.at_a_terminal("run", TALETELLER, *self.ARGUMENTS)
        self.assertEqual(shown, plain.stdout.replace("\n", "\r\n") + "\r\n")


if __name__ == "__main__":
    unittest.main()
