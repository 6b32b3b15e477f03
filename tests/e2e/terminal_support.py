"""A program on a pseudo-terminal of its own, as a person has it: standard input, output and error,
and the keys that make signals."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios

from support import BINARY, children_of, wait_for

COLORS = re.compile(rb"\x1b\[(?:[1-9][0-9;]*)m")
CSI = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
# The first process of a session takes the terminal with it when it ends, settings and all: a shell
# stays, and tells how the program ended.
HOLD = 'trap : INT; "$@"; echo $? >"$CODE"; exec sleep 1000'


def take_terminal():
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Screen:
    """`test` is a PotluckTest, which ends the program."""

    def __init__(self, test, *arguments, rows=40, columns=120, **extra):
        self.keyboard, self.terminal = pty.openpty()
        test.addCleanup(os.close, self.keyboard)
        test.addCleanup(os.close, self.terminal)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.set_blocking(self.keyboard, False)
        self.found = termios.tcgetattr(self.terminal)
        variables = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "NO_COLOR": "", **extra}
        self.code = test.home / f"code-{self.keyboard}"
        self.code.unlink(missing_ok=True)
        variables["CODE"] = str(self.code)
        self.holder = subprocess.Popen(
            ["sh", "-c", HOLD, "sh", BINARY, *map(str, arguments)],
            env=test.environment(**variables), stdin=self.terminal, stdout=self.terminal,
            stderr=self.terminal, preexec_fn=take_terminal)
        test.addCleanup(self.end)
        self.seen = b""

    @property
    def pid(self):
        return wait_for(lambda: children_of(self.holder.pid), "the program")[0]

    def end(self):
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
        self.holder.kill()
        self.holder.wait()

    def poll(self):
        """What the program ended with, as shells have it; None while it runs."""
        text = self.code.read_text() if self.code.exists() else ""
        return int(text) if text.endswith("\n") else None

    def look(self):
        try:
            self.seen += os.read(self.keyboard, 1 << 16)
        except (BlockingIOError, OSError):
            pass
        return self.seen

    def wait_for(self, pattern):
        """What matched; what was seen before is forgotten by forget()."""
        return wait_for(lambda: re.search(pattern, CSI.sub(b"", self.look())), pattern)

    def forget(self):
        self.look()
        self.seen = b""

    def press(self, keys):
        os.write(self.keyboard, keys)

    def wait(self):
        wait_for(lambda: self.look() is not None and self.poll() is not None, "the end")
        self.look()
        return self.poll()

    def is_as_found(self):
        return termios.tcgetattr(self.terminal) == self.found

    def signal(self, number=signal.SIGTERM):
        os.kill(self.pid, number)
