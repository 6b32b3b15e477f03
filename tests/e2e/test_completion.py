"""Completion in real shells, and manual pages read by the programs that show them."""

import os
import pathlib
import pty
import re
import shutil
import subprocess
import unittest

from support import BINARY, PotluckTest, wait_for

FLAG = re.compile(r"^ {2,4}(?:-\w,)?(--[a-z-]+)", re.M)


def needs(program):
    return unittest.skipUnless(shutil.which(program), f"there is no {program} (scripts/setup --shells)")


class Shell(PotluckTest):
    def setUp(self):
        super().setUp()
        self.scripts = {}
        for shell in ("bash", "zsh", "fish"):
            done = self.potluck("completion", shell)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.scripts[shell] = self.home / f"potluck.{shell}"
            self.scripts[shell].write_text(done.stdout)

    def commands(self):
        return re.findall(r"^  ([a-z]+) ", self.potluck("--help").stdout.split("Subcommands:")[1], re.M)

    def flags(self, command):
        return set(FLAG.findall(self.potluck(command, "--help").stdout)) - {"--help"}

    def type_keys(self, words, keys, pattern):
        """What a shell shows on a terminal once these keys were typed."""
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        os.set_blocking(ours, False)
        environment = self.environment(TERM="xterm", PS1="% ", HOME=str(self.home))
        process = subprocess.Popen(words, env=environment, stdin=theirs, stdout=theirs,
                                   stderr=theirs, cwd=self.home, start_new_session=True)
        os.close(theirs)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        screen = b""

        def look():
            nonlocal screen
            try:
                screen += os.read(ours, 65536)
            except (BlockingIOError, OSError):
                pass
            return screen

        for line in keys:
            before = len(look())
            os.write(ours, line)
            wait_for(lambda start=before: len(look()) > start, "the shell")
        wait_for(lambda: re.search(pattern, look()), f"{pattern} on the screen {screen!r}")


class Bash(Shell):
    def complete(self, *words):
        quoted = " ".join(f"'{word}'" for word in words)
        script = (f"source '{self.scripts['bash']}'; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; "
                  "_potluck; ((${#COMPREPLY[@]})) && printf '%s\\n' \"${COMPREPLY[@]}\"; exit 0")
        done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True,
                              cwd=self.home, check=True)
        self.assertEqual(done.stderr, "")
        return done.stdout.splitlines()

    def test_commands_flags_and_values(self):
        self.assertEqual(sorted(self.complete("potluck", "")), sorted(self.commands()))
        self.assertEqual(self.complete("potluck", "sim"), ["simulate"])
        self.assertEqual(self.complete("potluck", "run", "m", "--prefill"), ["--prefill-chunk"])
        self.assertEqual(self.complete("potluck", "run", "--kv", ""), ["f16", "f32", "q8_0"])
        self.assertEqual(self.complete("potluck", "run", "--kv", "=", "q"), ["q8_0"])
        self.assertEqual(self.complete("potluck", "run", "--kv", "="), ["f16", "f32", "q8_0"])
        self.assertEqual(self.complete("potluck", "run", "--threads", ""), [])
        self.assertEqual(self.complete("potluck", "keys", "re"), ["remove", "rename", "revoke"])
        self.assertEqual(self.complete("potluck", "--no-config", "joi"), ["join"])
        self.assertEqual(self.complete("potluck", "--config", "run", "joi"), ["join"])
        self.assertIn("--print-config", self.complete("potluck", "--"))

    def test_files(self):
        (self.home / "my model.gguf").write_bytes(b"")
        self.assertEqual(self.complete("potluck", "run", "my"), ["my model.gguf"])
        self.assertEqual(self.complete("potluck", "--config", "my"), ["my model.gguf"])

    def test_every_flag_of_every_command(self):
        for command in self.commands():
            offered = set(self.complete("potluck", command, "--"))
            self.assertEqual(offered - {"--help"}, self.flags(command), command)

    def test_keys_on_a_terminal(self):
        self.type_keys(["bash", "--norc", "--noprofile", "-i"],
                       [f"source {self.scripts['bash']}\r".encode(), b"potluck run --prefill\t"],
                       rb"--prefill-chunk ")

    @needs("shellcheck")
    def test_shellcheck_finds_no_error(self):
        done = subprocess.run(["shellcheck", "--severity=error", "--shell=bash", self.scripts["bash"]],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.stdout, "")


class OtherShells(Shell):
    @needs("fish")
    def test_fish(self):
        def complete(line):
            script = f"source {self.scripts['fish']}; complete -C '{line}'"
            done = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, text=True,
                                  env=self.environment(HOME=str(self.home)), check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            return [entry.split("\t")[0] for entry in done.stdout.splitlines()]
        self.assertEqual(sorted(complete("potluck ")), sorted(self.commands()))
        self.assertEqual(sorted(complete("potluck run --kv ")), ["f16", "f32", "q8_0"])
        for command in self.commands():
            self.assertLessEqual(self.flags(command), set(complete(f"potluck {command} --")), command)

    @needs("zsh")
    def test_zsh(self):
        checked = subprocess.run(["zsh", "-n", self.scripts["zsh"]], capture_output=True, text=True,
                                 check=False)
        self.assertEqual((checked.returncode, checked.stderr), (0, ""))
        begin = f"autoload -U compinit; compinit -u -D; source {self.scripts['zsh']}\r".encode()
        self.type_keys(["zsh", "-f", "-i"], [begin, b"potluck run --prefill\t"],
                       rb"prefill-chunk=?")
        self.type_keys(["zsh", "-f", "-i"], [begin, b"potluck simu\t"], rb"potluck simulate")


class Manual(PotluckTest):
    def setUp(self):
        super().setUp()
        done = self.potluck("man", "--directory", self.home / "man1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.pages = sorted((self.home / "man1").iterdir())

    def test_there_is_a_page_for_each_command(self):
        commands = re.findall(r"^  ([a-z]+) ", self.potluck("--help").stdout.split("Subcommands:")[1],
                              re.M)
        self.assertEqual({page.name for page in self.pages},
                         {"potluck.1"} | {f"potluck-{command}.1" for command in commands})
        self.assertEqual(self.potluck("man", "run").stdout, (self.home / "man1/potluck-run.1").read_text())
        wrong = self.potluck("man", "rnu")
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("did you mean 'run'?", wrong.stderr)

    @needs("mandoc")
    def test_mandoc_has_nothing_to_say(self):
        done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", *self.pages], capture_output=True,
                              text=True, check=False)
        self.assertEqual(done.stdout + done.stderr, "")

    @needs("groff")
    def test_groff_has_nothing_to_say(self):
        for page in self.pages:
            done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", page], capture_output=True,
                                  text=True, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""), page)

    @needs("man")
    def test_pages_show_every_flag(self):
        for page in self.pages:
            command = page.stem.removeprefix("potluck").removeprefix("-")
            if not command:
                continue
            shown = subprocess.run(["man", "-l", str(page)], capture_output=True, text=True, check=False,
                                   env=os.environ | {"MANWIDTH": "100", "LC_ALL": "C.UTF-8"}).stdout
            shown = re.sub(r".\x08", "", shown)
            for flag in FLAG.findall(self.potluck(command, "--help").stdout):
                self.assertIn(flag, shown, command)


class PrintedConfig(PotluckTest):
    def test_every_flag_with_its_source(self):
        (self.home / "potluck.toml").write_text("[run]\nram = '2GiB'\n")
        done = self.potluck("run", "--kv", "f32", "--print-config", POTLUCK_CTX="99")
        self.assertEqual(done.returncode, 0, done.stderr)
        for line in (rf'^ram = "2GiB" +# {re.escape(str(self.home))}/potluck.toml:2$', r"^ctx = 99 +# POTLUCK_CTX$",
                     r'^kv = "f32" +# command line$', r"^#prefill-chunk = 0 +# default: 512; "):
            self.assertRegex(done.stdout, re.compile(line, re.M))
        keys = set(re.findall(r"^#?([a-z-]+) =", done.stdout, re.M))
        self.assertEqual(keys, {flag[2:] for flag in FLAG.findall(self.potluck("run", "--help").stdout)} - {"help"})
        whole = self.potluck("--print-config")
        self.assertEqual(whole.returncode, 0, whole.stderr)
        self.assertIn("[serve]\n", whole.stdout)
        copy = self.home / "copy.toml"
        copy.write_text(done.stdout)
        again = self.potluck("--config", copy, "run", "--print-config")
        self.assertIn('kv = "f32"', again.stdout)

    def test_directories_of_the_specification(self):
        home = self.home / "user"
        config = home / "conf/potluck"
        config.mkdir(parents=True)
        (config / "potluck.toml").write_text("[run]\nram = '3GiB'\n")
        variables = {"POTLUCK_HOME": "", "HOME": str(home), "XDG_CONFIG_HOME": str(home / "conf")}
        done = self.potluck("run", "--print-config", **variables)
        self.assertIn(f"{config}/potluck.toml:2", done.stdout)
        keys = self.potluck("keys", "add", "someone", **variables)
        self.assertEqual(keys.returncode, 0, keys.stderr)
        self.assertTrue((home / ".local/share/potluck/coordinator/api-keys").exists())
        (home / ".potluck").mkdir()
        done = self.potluck("run", "--print-config", **variables)
        self.assertNotIn("3GiB", done.stdout)


if __name__ == "__main__":
    unittest.main()
