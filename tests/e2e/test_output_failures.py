"""Output that cannot be written: full devices, closed descriptors, pipes that nothing reads."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
import unittest

from pool_support import PoolTest
from support import BINARY, FIXTURE, PATIENCE_SECONDS, TALETELLER, PotluckTest, children_of, wait_for

RUN = ["run", TALETELLER, "-p", "Once upon a time", "-n", "4", "--temp", "0"]


class OutputFailures(PotluckTest):
    def redirected(self, redirection, *arguments):
        """Runs under a shell that redirects as told; standard error is kept unless redirected."""
        script = f'exec "$@" {redirection}'
        return subprocess.run(["sh", "-c", script, "sh", BINARY, *map(str, arguments)],
                              env=self.environment(), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=PATIENCE_SECONDS)

    def every_command(self):
        tokens = self.home / "tokens.json"
        tokens.write_text("[1, 2, 3]")
        folder = self.home / "coordinator"
        folder.mkdir(exist_ok=True)
        (folder / "status.json").write_text('{"process": 1, "model": "m"}')
        (folder / "members").write_text("0" * 40 + " phone\n")
        small = FIXTURE / "model.gguf"
        listed = self.home / "models/user/repo"
        listed.mkdir(parents=True, exist_ok=True)
        shutil.copy(small, listed)
        nodes = self.home / "nodes.toml"
        nodes.write_text("[laptop]\n")
        reports = [["show", TALETELLER], ["list", "--nodes", nodes], ["plan", small, "--nodes", nodes], ["simulate"], ["tokenize", TALETELLER, "--text", "The sea"], ["version"],
                   ["status"], ["keys", "devices"], ["eval", small, "--tokens", tokens],
                   ["bench", small, "--prompt", "2", "--generate", "2"], RUN]
        return reports + [[*command, "--json"] for command in reports] + [["--help"],
                                                                          ["run", "--help"]]

    def test_full_standard_output_is_an_error(self):
        if not pathlib.Path("/dev/full").exists():
            self.skipTest("there is no /dev/full")
        for command in self.every_command():
            done = self.redirected(">/dev/full", *command)
            self.assertEqual(done.returncode, 1, command)
            self.assertIn("standard output: No space left on device", done.stderr, command)

    def test_closed_standard_output_is_an_error(self):
        for command in self.every_command():
            done = self.redirected(">&-", *command)
            self.assertEqual(done.returncode, 1, command)
            self.assertIn("standard output: ", done.stderr, command)

    def test_a_limit_on_file_sizes_is_an_error(self):
        output = self.home / "output"
        done = subprocess.run(["sh", "-c", 'ulimit -f 0; exec "$@" >"$0"', output, BINARY,
                               *map(str, RUN)], env=self.environment(), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=PATIENCE_SECONDS)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("standard output: File too large", done.stderr)

    def test_lost_messages_change_nothing(self):
        expected = self.potluck(*RUN).stdout
        redirections = ["2>&-"]
        if pathlib.Path("/dev/full").exists():
            redirections.append("2>/dev/full")
        for redirection in redirections:
            done = self.redirected(redirection, *RUN)
            self.assertEqual((done.returncode, done.stdout), (0, expected), redirection)
            for wrong, code in ((["frobnicate"], 2), (["run", "/no/such"], 1), ([], 2)):
                self.assertEqual(self.redirected(redirection, *wrong).returncode, code, wrong)

    def test_a_closed_pipe_for_messages_changes_nothing(self):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run([BINARY, *map(str, RUN)], env=self.environment(),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=writer,
                              timeout=PATIENCE_SECONDS)
        os.close(writer)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stdout.decode(), self.potluck(*RUN).stdout)

    def test_closed_descriptors_are_not_given_to_files(self):
        store = self.home / "store"
        arguments = [*RUN, "--ram", "1MiB", "--store", store]
        for closed in ("<&- >&- 2>&-", "<&-", "2>&-", "<&- 2>&-"):
            done = self.redirected(closed, *arguments)
            self.assertEqual(done.returncode, 1 if ">&- 2" in closed else 0, closed)
            after = self.potluck(*arguments)
            self.assertEqual(after.returncode, 0, after.stderr)
            self.assertNotIn("damaged", after.stderr)
            self.assertEqual(after.stdout, self.potluck(*RUN).stdout)

    def test_a_reader_that_has_enough_ends_it_quietly(self):
        for more in ([], ["--workers", "1"]):
            process = self.start("run", TALETELLER, "-p", "Once upon a time", "-n", "100000",
                                 "--ignore-eos", "--temp", "0", "--ctx", "200000", *more)
            self.assertEqual(process.stdout.read(1), self.potluck(*RUN).stdout[:1].encode())
            children = children_of(process.pid)
            process.stdout.close()
            self.assertEqual(process.wait(PATIENCE_SECONDS), 141)  # as a shell shows SIGPIPE
            self.assertNotIn(b"potluck:", process.stderr.read())
            self.assertEqual(len(children), len(more) // 2)
            wait_for(lambda: not any(pathlib.Path(f"/proc/{child}").exists() for child in children),
                     "the workers to end")

    def test_reports_into_a_closed_pipe(self):
        for command in (["show", TALETELLER], ["version", "--json"], ["--help"]):
            reader, writer = os.pipe()
            os.close(reader)
            done = subprocess.run([BINARY, *map(str, command)], env=self.environment(),
                                  stdout=writer, stderr=subprocess.PIPE, timeout=PATIENCE_SECONDS)
            os.close(writer)
            self.assertEqual((done.returncode, done.stderr), (141, b""), command)

    def test_the_result_is_whole_where_nothing_is_wrong(self):
        for command in self.every_command():
            done = self.redirected("", *command)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertNotEqual(done.stdout, "")
            if "--json" in command:
                json.loads(done.stdout)


class StatusFile(PoolTest):
    def test_it_is_said_once_that_it_cannot_be_written(self):
        server, out, err = self.serve()
        status = self.home / "coordinator/status.json"
        wait_for(status.exists, "the status file")
        server.send_signal(signal.SIGSTOP)
        status.unlink()
        status.mkdir()
        server.send_signal(signal.SIGCONT)
        err.wait_for(r"the status file cannot be written: .*status\.json")
        time.sleep(3.5)  # it is written every second
        status.rmdir()
        err.wait_for("the status file can be written again")
        self.assertTrue(status.is_file())
        self.assertEqual(len(re.findall("the status file can", err.text)), 2, err.text)


if __name__ == "__main__":
    unittest.main()
