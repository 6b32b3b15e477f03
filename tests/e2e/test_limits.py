"""What the process may use is less than what the model needs: under every kind of limit a command
streams, works with less or says what is missing. It never aborts and is never killed."""

import json
import os
import pathlib
import resource
import subprocess
import unittest

import sparse_model
from support import BINARY, FIXTURE, TALETELLER, PotluckTest, digest_of, wait_for

MIB = 1 << 20


class Group:
    """A control group of version 1 below this process's own; for root only."""

    def __init__(self, test, controller, **settings):
        folder = None
        for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controller in controllers.split(","):
                folder = pathlib.Path("/sys/fs/cgroup") / controllers / path.lstrip("/")
        if folder is None:
            test.skipTest(f"no control group of version 1 for {controller}")
        self.path = folder / f"potluck-e2e-{os.getpid()}"
        try:
            self.path.mkdir()
            test.addCleanup(self.remove)
            for name, value in settings.items():
                (self.path / name.replace("__", ".")).write_text(str(value))
        except OSError as error:
            test.skipTest(f"control groups cannot be made here: {error}")

    def remove(self):
        wait_for(lambda: not (self.path / "cgroup.procs").read_text(), "an empty control group")
        self.path.rmdir()

    def enter(self):
        (self.path / "cgroup.procs").write_text(str(os.getpid()))


def limit(kind, value):
    return lambda: resource.setrlimit(kind, (value, value))


class Limits(PotluckTest):
    @classmethod
    def setUpClass(cls):
        cls.tokens = json.dumps([5, 9, 3, 7])

    def setUp(self):
        super().setUp()
        self.model = sparse_model.write(FIXTURE / "model.gguf", self.home / "sparse.gguf")
        self.list = self.home / "tokens.json"
        self.list.write_text(self.tokens)

    def under(self, limits, *arguments, **extra):
        """Runs with limits in force, and expects an end that is neither a signal nor an abort."""
        done = subprocess.run([BINARY, *map(str, arguments)], env=self.environment(**extra),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=300, preexec_fn=limits)
        self.assertGreaterEqual(done.returncode, 0, f"{arguments}: {done.stderr}")
        self.assertNotIn("internal error", done.stderr)
        self.assertNotIn("terminate called", done.stderr)
        return done

    def commands(self):
        return (["eval", self.model, "--tokens", self.list, "--greedy", 4, "--json"],
                ["run", self.model, "-p", "x", "-n", 3, "--temp", 0, "--ignore-eos"],
                ["bench", self.model, "--prompt", 8, "--generate", 4])

    def streams(self, limits, source):
        """Every command that computes alone streams by itself and says so in one line."""
        for command in self.commands():
            done = self.under(limits, *command)
            self.assertEqual(done.returncode, 0, f"{command}: {done.stderr}")
            lines = [line for line in done.stderr.splitlines() if "are streamed from" in line]
            self.assertEqual(len(lines), 1, done.stderr)
            for part in ("does not fit into memory", source, "--ram", "--store", "sparse.gguf"):
                self.assertIn(part, lines[0])

    def test_a_memory_group(self):
        group = Group(self, "memory", memory__limit_in_bytes=160 * MIB)
        self.streams(group.enter, "memory.limit_in_bytes")
        # The page cache of earlier runs fills the group, and does not count.
        self.under(group.enter, *self.commands()[0])
        # Nested: the outer group's limit counts.
        inner = group.path / "inner"
        inner.mkdir()
        self.addCleanup(inner.rmdir)
        enter_inner = lambda: (inner / "cgroup.procs").write_text(str(os.getpid()))
        done = self.under(enter_inner, *self.commands()[0])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("are streamed from", done.stderr)
        unlimited = self.report("eval", self.model, "--tokens", self.list, "--greedy", 4)
        self.assertEqual(digest_of(json.loads(done.stdout)), digest_of(unlimited))

    def test_page_cache_is_no_use_of_memory(self):
        group = Group(self, "memory", memory__limit_in_bytes=480 * MIB)
        copy = self.home / "cached"
        # Pages that are read again become active.
        subprocess.run(["sh", "-c", f"head -c 420M /dev/zero > '{copy}'; cat '{copy}' '{copy}' "
                        f"'{copy}' > /dev/null"], check=True, preexec_fn=group.enter)
        cached = (group.path / "memory.usage_in_bytes").read_text()
        self.assertGreater(int(cached), 380 * MIB)
        done = self.under(group.enter, *self.commands()[0])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("are streamed from", done.stderr)

    def test_address_space(self):
        self.streams(limit(resource.RLIMIT_AS, 400 * MIB), "ulimit -v")

    def test_data_segment(self):
        self.streams(limit(resource.RLIMIT_DATA, 220 * MIB), "ulimit -d")

    def test_an_explicit_context_is_held_or_named(self):
        bound = limit(resource.RLIMIT_DATA, 220 * MIB)
        done = self.under(bound, *self.commands()[0], "--ctx", 4096)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("context of 4096 positions", done.stderr)
        done = self.under(bound, *self.commands()[0], "--ctx", 1_000_000)
        self.assertEqual(done.returncode, 1)
        self.assertIn("--ctx 1000000: the KV cache would take", done.stderr)
        self.assertRegex(done.stderr, r"--ctx \d+ would fit")

    def test_a_given_size_that_does_not_fit_is_named(self):
        bound = limit(resource.RLIMIT_DATA, 220 * MIB)
        done = self.under(bound, *self.commands()[0], "--ram", "280MiB")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"--ram: .*ulimit -d.*--ram \d+MiB would fit")
        fitting = done.stderr.rsplit("--ram ", 1)[1].split()[0]
        done = self.under(bound, *self.commands()[0], "--ram", fitting)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_too_little_for_anything_says_how_much_would_do(self):
        done = self.under(limit(resource.RLIMIT_DATA, 60 * MIB), *self.commands()[1])
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"even with the experts on disk the model needs at least")

    def test_no_room_for_the_store(self):
        disk = self.small_disk(64)
        bound = limit(resource.RLIMIT_DATA, 220 * MIB)
        done = self.under(bound, *self.commands()[0], "--store", disk / "new" / "store")
        self.assertEqual(done.returncode, 1)
        self.assertIn("--store", done.stderr)
        self.assertIn("does not fit into memory", done.stderr)
        self.assertEqual(list(disk.iterdir()), [])

    def test_limits_on_file_sizes(self):
        small = limit(resource.RLIMIT_FSIZE, 100 << 10)
        done = self.under(small, *self.commands()[0], "--ram", "64MiB", "--store", self.home / "copy")
        self.assertEqual(done.returncode, 1)
        self.assertIn("copy", done.stderr)
        done = self.under(small, *self.commands()[0], "--ram", "64MiB")  # writes nothing
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_locked_memory(self):
        done = self.under(limit(resource.RLIMIT_MEMLOCK, 0), *self.commands()[0], "--ram", "64MiB")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_workers_share_a_memory_group(self):
        group = Group(self, "memory", memory__limit_in_bytes=300 * MIB)
        done = self.under(group.enter, *self.commands()[0], "--workers", 2)
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual((report["workers"], report["workers_lost"]), (2, 0))
        done = self.under(group.enter, *self.commands()[0], "--workers", 2, "--ram", "250MiB")
        self.assertEqual(done.returncode, 1)
        self.assertIn("--workers 2", done.stderr)
        self.assertIn("memory.limit_in_bytes", done.stderr)
        done = self.under(limit(resource.RLIMIT_DATA, 60 * MIB), "serve", self.model, "--listen",
                          "127.0.0.1:0")
        self.assertEqual(done.returncode, 1)
        self.assertIn("the coordinator needs at least", done.stderr)

    def test_a_device_lends_half_of_what_it_may_use(self):
        group = Group(self, "memory", memory__limit_in_bytes=512 * MIB)
        done = self.under(group.enter, "join", "potluck1.garbage")
        self.assertEqual(done.returncode, 2)
        self.assertIn("256.0 MiB of memory", done.stderr)
        done = self.under(group.enter, "join", "potluck1.garbage", "--ram", "1GiB")
        self.assertEqual(done.returncode, 1)
        self.assertIn("--ram 1GiB: this process may use 512.0 MiB at most", done.stderr)

    def test_what_a_store_holds_is_not_taken_from_its_share(self):
        def share():
            done = self.under(None, "join", "potluck1.garbage", "--store", self.home / "worker")
            size, unit = done.stderr.split(" of disk")[0].split()[-2:]
            return float(size) * {"MiB": 1 / 1024, "GiB": 1, "TiB": 1024}[unit]

        before = share()
        segments = self.home / "worker/segments"
        segments.mkdir(parents=True, exist_ok=True)
        os.truncate(os.open(segments / "000000.grains", os.O_CREAT | os.O_RDWR), 100 << 30)
        self.assertGreater(share(), before + 70)

    def threads_of(self, limits, *arguments):
        process = subprocess.Popen([BINARY, "serve", TALETELLER, "--listen", "127.0.0.1:0",
                                    *map(str, arguments)], env=self.environment(),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, bufsize=0, preexec_fn=limits)
        process.stdin = None
        self.addCleanup(self.end, process)
        self.assertIn(b"potluck join", process.stdout.readline())
        count = len(list(pathlib.Path(f"/proc/{process.pid}/task").iterdir()))
        self.end(process)
        return count

    def test_threads_follow_affinity_and_quota(self):
        if os.cpu_count() < 2:
            self.skipTest("needs two processors")
        alone = self.threads_of(None, "--threads", 1)
        self.assertEqual(self.threads_of(None), alone + len(os.sched_getaffinity(0)) - 1)
        first = min(os.sched_getaffinity(0))
        self.assertEqual(self.threads_of(lambda: os.sched_setaffinity(0, {first})), alone)
        group = Group(self, "cpu", cpu__cfs_quota_us=90_000)
        self.assertEqual(self.threads_of(group.enter), alone)

    def test_threads_that_do_not_start(self):
        group = Group(self, "pids", pids__max=3)
        done = self.under(group.enter, *self.commands()[0], "--threads", 8)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"--threads: \d of 8 threads run: .*pids.max")
        done = self.under(group.enter, *self.commands()[0])
        self.assertEqual(done.returncode, 0, done.stderr)
        done = self.under(group.enter, "serve", self.model, "--threads", 1, "--listen",
                          "127.0.0.1:0")
        self.assertEqual(done.returncode, 1)
        self.assertIn("messages between devices", done.stderr)
        (group.path / "pids.max").write_text("1")
        done = self.under(group.enter, "version")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no further thread", done.stderr)

    def test_no_limit_ends_in_an_abort(self):
        for kind, sizes in ((resource.RLIMIT_AS, range(40, 700, 45)),
                            (resource.RLIMIT_DATA, range(4, 500, 45))):
            for size in sizes:
                for extra in ((), ("--ram", "64MiB"), ("--workers", 1)):
                    done = self.under(limit(kind, size * MIB), "eval", FIXTURE / "model.gguf",
                                      "--tokens", self.list, "--store", self.home / "store", *extra)
                    self.assertNotEqual(done.stdout + done.stderr, "")


if __name__ == "__main__":
    unittest.main()
