"""`potluck` alone: at a terminal it asks three questions and serves; elsewhere it is help."""

import fcntl
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import struct
import subprocess
import termios
import unittest
import urllib.request

from support import BINARY, TALETELLER, PotluckTest, wait_for


class FirstRun(PotluckTest):
    def setUp(self):
        super().setUp()
        self.folder = self.home / "models here"
        self.folder.mkdir()
        shutil.copy(TALETELLER, self.folder / "tale.gguf")
        (self.folder / "broken.gguf").write_bytes(b"no model")
        self.screen = b""

    def begin(self):
        ours, theirs = pty.openpty()
        self.keyboard = ours
        self.addCleanup(os.close, ours)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 200, 0, 0))
        os.set_blocking(ours, False)
        self.process = subprocess.Popen([BINARY], env=self.environment(TERM="xterm"), stdin=theirs,
                                        stdout=theirs, stderr=theirs, cwd=self.folder,
                                        start_new_session=True)
        os.close(theirs)
        self.addCleanup(self.stop, self.process)

    def shown(self):
        try:
            self.screen += os.read(self.keyboard, 65536)
        except (BlockingIOError, OSError):
            pass
        return re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", self.screen).decode(errors="replace")

    def wait_for_text(self, pattern):
        try:
            return wait_for(lambda: re.search(pattern, self.shown()), pattern)
        except AssertionError as error:
            raise AssertionError(f"{error}; the screen:\n{self.shown()}") from error

    def answer(self, question, keys):
        self.wait_for_text(rf"{question}[^\n]*: *$")
        self.screen = b""
        os.write(self.keyboard, keys + b"\r")

    def test_three_questions_and_it_serves(self):
        self.begin()
        self.wait_for_text(r"1  tale  37\.9 MiB, about [0-9.]+ tokens/s on this machine alone")
        self.wait_for_text(r"-  broken.*GGUF")
        self.answer("model", b"")
        self.answer("who", b"1")
        self.answer("where", b"127.0.0.1:0")
        self.wait_for_text(r"\$ potluck serve tale\.gguf --workers 1 --listen localhost:\d+ --no-beacon "
                           r"--invitations 0 --host 127\.0\.0\.1 --port 0")
        url = self.wait_for_text(r"listening on (http://127\.0\.0\.1:\d+)").group(1)
        request = urllib.request.Request(f"{url}/v1/completions", method="POST",
                                         headers={"Content-Type": "application/json"},
                                         data=json.dumps({"prompt": "Once", "max_tokens": 4}).encode())
        with urllib.request.urlopen(request, timeout=120) as reply:
            self.assertTrue(json.load(reply)["choices"][0]["text"])
        os.write(self.keyboard, b"\x03")  # Ctrl-C
        self.process.send_signal(signal.SIGTERM)
        wait_for(lambda: self.shown() and self.process.poll() is not None, "the end")
        kept = json.loads((self.home / "first-run.json").read_text())
        self.assertEqual(kept, {"listen": "127.0.0.1:0", "model": "tale.gguf", "who": 1})

    def test_ctrl_c_ends_the_questions(self):
        self.begin()
        self.answer("model", b"no-such-file")
        self.wait_for_text("there is no file no-such-file")
        self.wait_for_text(r"model \[1\]: $")
        self.process.send_signal(signal.SIGINT)
        wait_for(lambda: self.shown() is not None and self.process.poll() is not None, "the end")
        self.assertEqual(self.process.returncode, 130)
        self.assertFalse((self.home / "first-run.json").exists())

    def test_elsewhere_it_is_help(self):
        done = self.potluck()
        self.assertEqual(done.returncode, 2)
        self.assertIn("serve", done.stderr)


class Doctor(PotluckTest):
    def examine(self, *arguments, **extra):
        done = self.potluck("doctor", *arguments, "--json", **extra)
        self.assertIn(done.returncode, (0, 1, 3), done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual(done.returncode, {"ok": 0, "advice": 3, "problem": 1}[report["verdict"]])
        return report

    @staticmethod
    def of(report, subject):
        return [finding for finding in report["findings"] if finding["subject"] == subject]

    def test_one_line_for_each_finding(self):
        done = self.potluck("doctor", "--port", "0")
        self.assertIn(done.returncode, (0, 1, 3), done.stderr)
        for line in done.stdout.splitlines():
            self.assertRegex(line, r"^(ok|advice|problem) +[A-Za-z- ]+: .+")
        for subject in ("clock", "port", "firewall", "file system", "disk", "memory", "locked memory",
                        "huge pages", "processor", "coordinator", "Wi-Fi", "open files"):
            self.assertRegex(done.stdout, re.compile(rf"^\w+ +{subject}: ", re.M))

    def test_facts_and_a_clean_folder(self):
        store = self.home / "store"
        store.mkdir()
        report = self.examine("--store", store)
        self.assertGreater(report["disk_bytes_per_second"], 1e6)
        self.assertEqual(list(store.iterdir()), [])
        self.assertIn("none is known", self.of(report, "coordinator")[0]["found"])

    def test_a_taken_port_is_a_problem(self):
        taken = self.start("serve", TALETELLER, "--listen", "127.0.0.1:0", "--invitations", "0",
                           POTLUCK_HOME=str(self.home / "other"))
        announced = re.search(rb"http://127\.0\.0\.1:(\d+)", wait_for(taken.stderr.readline, "the API"))
        port = announced.group(1).decode()
        report = self.examine("--port", port)
        self.assertEqual(report["verdict"], "problem")
        finding = [f for f in self.of(report, "port") if f" {port} " in f["found"]]
        self.assertEqual(finding[0]["level"], "problem")
        self.assertIn("--port", finding[0]["advice"])
        linked = self.examine("--coordinator", f"127.0.0.1:{port}", "--port", "0")
        self.assertLess(linked["round_trip_seconds"], 1)
        self.assertIn("0 % of 20 lost", self.of(linked, "coordinator")[0]["found"])
        compared = self.examine("--api", f"127.0.0.1:{port}", "--port", "0")
        self.assertEqual(self.of(compared, "clock")[0]["found"], "in step with the coordinator's")

    def test_a_coordinator_that_is_away(self):
        report = self.examine("--coordinator", "127.0.0.1:1", "--port", "0")
        self.assertEqual(self.of(report, "coordinator")[0]["level"], "problem")
        self.assertIn("refused", self.of(report, "coordinator")[0]["found"])
        self.assertEqual(self.potluck("doctor", "--coordinator", "nowhere").returncode, 2)


if __name__ == "__main__":
    unittest.main()
