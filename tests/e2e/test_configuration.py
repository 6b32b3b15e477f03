"""Numbers that people write, and the configuration file: the real program, all flags."""

import os
import re
import unittest

from support import TALETELLER, PotluckTest

NUMBER = re.compile(r"(--[a-z-]+) (N|X|SIZE|RATE|DELAY,RATE|PERCENT|CELSIUS)\b(?: \(Env:(\w+)\))?")
BAD = ["-1", "nan", "0x10", "1 ", "18446744073709551616TB", ""]


class Numbers(PotluckTest):
    def least(self, command):
        model = [] if command in ("join", "admit", "leave", "list", "status", "version", "doctor") else [TALETELLER]
        return [command, *model, *{"eval": ["--text", "/no"], "tokenize": ["--text", "x"],
                                   "run": ["-p", "x"]}.get(command, [])]

    def test_every_number_flag_of_every_command(self):
        count = 0
        commands = re.findall(r"^  ([a-z]+) ", self.potluck("--help").stdout.split("Subcommands:")[1], re.M)
        self.assertIn("version", commands)
        for command in commands:
            for flag, kind, variable in NUMBER.findall(self.potluck(command, "--help").stdout):
                count += 1
                for text in BAD[:3] if count % 4 else BAD:
                    done = self.potluck(*self.least(command), flag, text)
                    self.assertEqual(done.returncode, 2, (command, flag, text, done.stderr))
                    self.assertIn(f"{flag}: ", done.stderr)
                    self.assertEqual(done.stdout, "")
                if variable:
                    done = self.potluck(*self.least(command), **{variable: "-3"})
                    self.assertEqual(done.returncode, 2, (command, variable))
                    self.assertIn(f"{variable}: ", done.stderr)
        self.assertGreater(count, 50)

    def test_the_error_names_the_range(self):
        run = ["run", TALETELLER, "-p", "x"]
        for flag, text, saying in (
                ("--seed", "-1", "0 to 18446744073709551615, found '-1'"),
                ("--seed", "18446744073709551616", "0 to 18446744073709551615"),
                ("--threads", "-3", "0 to 256, found '-3'"),
                ("--threads", "010", "0 to 256, found '010'"),
                ("-n", "-1", "0 to 16777216, found '-1'"),
                ("--temp", "inf", "0 to 1000, found 'inf'"),
                ("--ram", "-4GiB", "a size such as 4GiB, found '-4GiB'")):
            done = self.potluck(*run, flag, text)
            self.assertEqual(done.returncode, 2)
            self.assertIn(saying, done.stderr)

    def test_the_largest_seed(self):
        largest = self.report("run", TALETELLER, "-p", "x", "-n", "4", "--ignore-eos",
                              "--seed", str(2**64 - 1))
        self.assertEqual(len(largest["tokens"]), 4)


class Configuration(PotluckTest):
    RUN = ["run", TALETELLER, "-p", "x", "-n", "1", "--quiet"]

    def setUp(self):
        super().setUp()
        self.file = self.home / "potluck.toml"

    def refused(self, *saying, arguments=None):
        done = self.potluck(*(arguments or self.RUN))
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(done.stdout, "")
        for part in saying:
            self.assertIn(part, done.stderr)

    def test_what_has_no_effect_is_an_error(self):
        where = str(self.file)
        for text, saying in (
                (b"threads = 1\n", (":1: threads", "outside of a table")),
                (b"[run]\n\nthreds = 1\n", (":3: threds", "'threads'")),
                (b"[rnu]\nthreads = 1\n", (":1: [rnu]", "'run'")),
                (b"\xef\xbb\xbf[run]\nthreads = 1\n", (":1: ", "byte order mark")),
                (b"[run\nthreads = 1\n", (":1: ",)),
                (b"[run]\nseed = -1\n", (":2: seed", "0 to 18446744073709551615")),
                (b"[join]\nthreads = \"many\"\n", (":2: threads", "0 to 256")),
                (b"\xff\xfe[\0", (":1: ", "UTF-16"))):
            self.file.write_bytes(text)
            self.refused(where, *saying)
            self.refused(where, arguments=["version"])

    def test_what_is_in_it_has_an_effect(self):
        self.file.write_text("[run]\nmax-tokens = 3\nseed = 7\ntemp = 0.5\nraw = true\n")
        report = self.report("run", TALETELLER, "-p", "The old man")
        self.file.unlink()
        flags = self.report("run", TALETELLER, "--raw", "-p", "The old man", "-n", "3", "--seed", "7",
                            "--temp", "0.5")
        self.assertEqual(report["tokens"], flags["tokens"])

    def test_files_that_cannot_be_read(self):
        self.file.mkdir()
        self.refused(str(self.file))
        self.file.rmdir()
        os.mkfifo(self.file)
        self.refused(str(self.file))
        self.file.unlink()
        self.file.write_bytes(b"#" * (2 << 20))
        self.refused(str(self.file), "at most")
        self.refused("/dev/zero", arguments=["--config", "/dev/zero", "version"])
        self.refused("no-such", arguments=["--config", self.home / "no-such.toml", "version"])
        self.file.write_bytes(b"")
        self.assertEqual(self.potluck(*self.RUN).returncode, 0)
        if os.getuid() == 0:
            return  # root reads everything
        self.file.chmod(0)
        self.refused(str(self.file), "Permission denied")

    def test_local_workers_do_not_read_it(self):
        user = self.home / "user"
        (user / ".potluck").mkdir(parents=True)
        (user / ".potluck/potluck.toml").write_text("[join]\nlisten = '127.0.0.1:1'\nthreds = 1\n")
        report = self.potluck("run", TALETELLER, "-p", "x", "-n", "2", "--workers", "1", "--json",
                              HOME=str(user))
        self.assertEqual(report.returncode, 0, report.stderr)

    def test_misspelt_variables_are_told(self):
        done = self.potluck("version", POTLUCK_THREDS="4")
        self.assertEqual(done.returncode, 0)
        self.assertIn("POTLUCK_THREDS: no such variable", done.stderr)
        self.assertIn("POTLUCK_THREADS", done.stderr)
        self.assertEqual(self.potluck(*self.RUN, POTLUCK_THREDS="4").stderr, "")


if __name__ == "__main__":
    unittest.main()
