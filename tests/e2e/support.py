"""What the end-to-end tests share: a home directory of their own, and the binary under test."""

import hashlib
import json
import os
import pathlib
import signal
import struct
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("POTLUCK_BINARY", str(ROOT / "build/release/potluck"))
TALETELLER = ROOT / "demo/taleteller-Q4_K_M.gguf"
FIXTURE = ROOT / "tests/data/arch/qwen3moe"
SHARED = pathlib.Path(os.environ.get("POTLUCK_SHARED", ROOT.parent / "shared"))

# A loaded machine is slow; a hang is longer than this.
PATIENCE_SECONDS = 120


def wait_for(condition, what):
    """Polls until condition() is true and returns its value."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited in vain for {what}")


def children_of(process_id):
    """Process ids of the living children."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == process_id and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return sorted(found)


def resident_bytes(process_id):
    for line in pathlib.Path(f"/proc/{process_id}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def digest_of(report):
    """SHA-256 over the bits of the last logits (f32) and the greedy tokens (i32)."""
    digest = hashlib.sha256()
    logits = report["last_logits"]
    digest.update(struct.pack(f"<{len(logits)}f", *logits))
    digest.update(struct.pack(f"<{len(report['greedy'])}i", *report["greedy"]))
    return digest.hexdigest()


class PotluckTest(unittest.TestCase):
    """Every test has a POTLUCK_HOME of its own; every process it starts ends with it."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="potluck-e2e-")
        self.addCleanup(directory.cleanup)
        self.home = pathlib.Path(directory.name)

    def environment(self, **extra):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("POTLUCK_")}
        environment["POTLUCK_HOME"] = str(self.home)
        environment["XDG_STATE_HOME"] = str(self.home / "state")  # what is typed is kept there
        environment["POTLUCK_PORT"] = "0"  # of the HTTP API: several coordinators run side by side
        environment["POTLUCK_BEACON_PORT"] = str(20000 + os.getpid() % 20000)  # nor meet others'
        environment.update(extra)
        return environment

    def potluck(self, *arguments, **extra):
        """Runs to the end and returns the finished process (text mode)."""
        return subprocess.run([BINARY, *map(str, arguments)], env=self.environment(**extra),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=5 * PATIENCE_SECONDS)

    def report(self, *arguments):
        """Runs with --json and returns the object; standard output must hold nothing else."""
        done = self.potluck(*arguments, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.splitlines()
        self.assertEqual(len(lines), 1, done.stdout)
        return json.loads(lines[0])

    def start(self, *arguments, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, namespace=None,
              binary=BINARY, **extra):
        """Starts a process that is ended, with its children, after the test."""
        inside = ["ip", "netns", "exec", namespace] if namespace else []
        process = subprocess.Popen([*inside, str(binary), *map(str, arguments)],
                                   env=self.environment(**extra), stdin=stdin,
                                   stdout=subprocess.PIPE, stderr=stderr, bufsize=0)
        self.addCleanup(self.end, process)
        return process

    def small_disk(self, mebibytes):
        """A file system of its own, where the user may mount one."""
        disk = self.home / "disk"
        disk.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", disk],
                                 capture_output=True, check=False)
        if mounted.returncode != 0:
            self.skipTest("mounting a small file system needs root")
        self.addCleanup(subprocess.run, ["umount", disk], check=True)
        return disk

    def stop(self, process):
        for child in children_of(process.pid):
            try:
                os.kill(child, signal.SIGCONT)
            except ProcessLookupError:
                pass
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def end(self, process):
        self.stop(process)
        process.stdout.close()
        if process.stderr is not None:
            process.stderr.close()
        if process.stdin is not None:
            process.stdin.close()
