"""scripts/check: what runs, when it stops, and what it says. Run by ctest; also:
python3 tests/style/check_script_test.py
"""

import contextlib
import importlib.machinery
import importlib.util
import io
import pathlib
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts/check"


def load():
    loader = importlib.machinery.SourceFileLoader("check_script", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("check_script", loader))
    loader.exec_module(module)
    return module


check = load()
MINUTE = 60


class FakeProcesses:
    """Commands are [minutes, exit code]: time passes, but never beyond what was given."""

    def __init__(self):
        self.now = 0.0
        self.ran = []

    def clock(self):
        return self.now

    def run(self, command, environment, log_path, seconds):
        self.ran.append(log_path.stem)
        minutes, code = command
        if float(minutes) * MINUTE > seconds:
            self.now += seconds
            return None
        self.now += float(minutes) * MINUTE
        return int(code)


def step(name, minutes, code=0, **more):
    limit = more.pop("limit", check.LONGEST_STEP)
    return check.Step(name, limit, [[str(minutes), str(code)]], **more)


class RunSteps(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.logs = pathlib.Path(folder.name)

    def run_steps(self, steps, ci_gone=None):
        self.fake = FakeProcesses()
        runner = check.Runner(self.fake, self.fake.clock, ci_gone, self.logs)
        self.printed = io.StringIO()
        with contextlib.redirect_stdout(self.printed):
            runner.run(steps)
        return runner

    def results(self, runner):
        return [result for result, _, _ in runner.results.values()]

    def test_all_pass(self):
        runner = self.run_steps([step("a", 1), step("b", 2)])
        self.assertEqual(self.results(runner), [check.PASSED, check.PASSED])
        self.assertFalse(runner.failed())

    def test_a_failure_does_not_stop_the_others_but_what_needs_it(self):
        runner = self.run_steps([step("a", 1, 3), step("b", 1, needs=["a"]), step("c", 1)])
        self.assertEqual(self.results(runner), [check.FAILED, check.LEFT_OUT, check.PASSED])
        self.assertEqual(self.fake.ran, ["a", "c"])
        self.assertTrue(runner.failed())
        self.assertIn("exit code 3", runner.summary())
        self.assertIn("needs a", runner.summary())

    def test_a_step_that_reaches_its_limit_has_failed(self):
        runner = self.run_steps([step("a", 30, limit=5 * MINUTE)])
        self.assertEqual(self.results(runner), [check.FAILED])
        self.assertEqual(self.fake.now, 5 * MINUTE)
        self.assertIn("not done after 5 minutes", runner.summary())

    def test_the_limit_is_of_all_commands_together(self):
        both = check.Step("a", 5 * MINUTE, [["3", "0"], ["3", "0"]])
        self.assertEqual(self.results(self.run_steps([both])), [check.FAILED])
        self.assertEqual(self.fake.now, 5 * MINUTE)

    def test_ci_starts_no_step_after_40_minutes(self):
        runner = self.run_steps([step("a", 20), step("b", 19), step("c", 5), step("d", 1)], ci_gone=0)
        self.assertEqual(self.fake.ran, ["a", "b", "c"])
        self.assertEqual(self.results(runner), [check.PASSED] * 3 + [check.LEFT_OUT])
        self.assertIn("d left out: 44 minutes have gone", self.printed.getvalue())
        self.assertFalse(runner.failed())

    def test_ci_counts_what_had_gone_before(self):
        self.run_steps([step("a", 10), step("b", 1)], ci_gone=30 * MINUTE)
        self.assertEqual(self.fake.ran, ["a"])

    def test_ci_ends_within_the_hour_whatever_hangs(self):
        for gone in range(0, 40):
            hangs = [step("suite", gone, limit=60 * MINUTE)]
            hangs += [step(name, 1000) for name in "abc"]
            self.run_steps(hangs, ci_gone=0)
            self.assertLess(self.fake.now, 60 * MINUTE)
        self.run_steps([step("suite", 1000, limit=60 * MINUTE), step("a", 1000)], ci_gone=10 * MINUTE)
        self.assertLess(self.fake.now, 55 * MINUTE)

    def test_ci_leaves_out_what_is_not_done_in_time_but_not_the_suite(self):
        steps = [step("suite", 1, essential=True), step("clang", 50), step("fuzz", 1, needs=["clang"])]
        runner = self.run_steps(steps, ci_gone=0)
        self.assertEqual(self.results(runner), [check.PASSED, check.LEFT_OUT, check.LEFT_OUT])
        self.assertFalse(runner.failed())
        runner = self.run_steps([step("suite", 90, limit=60 * MINUTE, essential=True)], ci_gone=0)
        self.assertTrue(runner.failed())

    def test_ci_leaves_out_what_needs_tools_that_cannot_be_installed(self):
        steps = [step("tools", 1, 100, optional=True), step("tidy", 1, needs=["tools"])]
        runner = self.run_steps(steps, ci_gone=0)
        self.assertEqual(self.results(runner), [check.LEFT_OUT, check.LEFT_OUT])
        self.assertFalse(runner.failed())
        self.assertTrue(self.run_steps(steps).failed())

    def test_a_failed_check_fails_ci(self):
        self.assertTrue(self.run_steps([step("a", 1), step("b", 1, 1)], ci_gone=0).failed())

    def test_a_chosen_step_brings_what_it_needs(self):
        names = [s.name for s in check.choose(check.all_steps(), ["fuzz"], [])]
        self.assertEqual(names, ["tools", "clang", "fuzz"])
        with self.assertRaises(SystemExit):
            check.choose(check.all_steps(), ["nonsense"], [])

    def test_what_takes_long_runs_only_if_it_is_named(self):
        steps = check.all_steps()
        self.assertNotIn("arm64-all", [s.name for s in check.choose(steps, [], [])])
        self.assertEqual([s.name for s in check.choose(steps, ["arm64-all"], [])],
                         ["arm64-tools", "arm64", "arm64-all"])


def is_alive(stat):
    try:
        return stat.read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class RealProcesses(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.log = pathlib.Path(folder.name) / "log"
        self.log.write_bytes(b"")

    def run_shell(self, script, seconds):
        shown = io.TextIOWrapper(io.BytesIO())
        with contextlib.redirect_stdout(shown):
            code = check.Processes().run(["sh", "-c", script], {"GREETING": "hello"}, self.log,
                                         seconds)
        return code, shown.buffer.getvalue().decode()

    def test_output_is_shown_and_kept(self):
        code, shown = self.run_shell("echo $GREETING; exit 7", 60)
        self.assertEqual((code, shown), (7, "hello\n"))
        self.assertEqual(self.log.read_text(), "hello\n")

    def test_children_end_with_what_hangs(self):
        begin = time.monotonic()
        code, shown = self.run_shell("sleep 300 & echo $!; wait", 1)
        self.assertIsNone(code)
        self.assertLess(time.monotonic() - begin, 60)
        child = pathlib.Path("/proc") / str(int(shown)) / "stat"
        while is_alive(child):  # killed, and gone when the kernel comes to it
            self.assertLess(time.monotonic() - begin, 60)
            time.sleep(0.01)


class ClosingLines(unittest.TestCase):
    def test_the_last_summary(self):
        output = "1/2 ok\n100% tests passed, 0 of 1\nagain\n50% tests passed, 1 of 2\n\nTotal 3\n"
        self.assertEqual(check.closing_lines(output), "50% tests passed, 1 of 2\n\nTotal 3")
        self.assertEqual(check.closing_lines("no rule"), "ctest did not end")


if __name__ == "__main__":
    unittest.main()
