"""A worker takes no more of its device than it may: it gives memory back while that is short, writes no more a
day than its owner allows, and outlives the memory card that its store is on. The text stays the same."""

import json
import os
import re
import subprocess
import unittest
from pathlib import Path

from support import resident_bytes, wait_for
from test_api import SEA, STORY, ApiTest

MIB = 1 << 20


class Gentle(ApiTest):
    def workers(self):
        done = self.potluck("status", "--json")
        return json.loads(done.stdout)["workers"] if done.returncode == 0 else []

    def worker(self, store):
        """What a worker says of itself."""
        done = self.potluck("status", "--worker", "--store", self.home / store, "--json")
        return json.loads(done.stdout) if done.returncode == 0 else None

    def wait_for_worker(self, store, condition, what):
        return wait_for(lambda: (seen := self.worker(store)) and condition(seen) and seen, what)

    def metrics(self):
        connection = self.connect()
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()

    def two_tokens(self):
        first = self.next_token(self.out)
        return first, self.next_token(self.out, {first})


class Memory(Gentle):
    def test_it_is_given_back_while_short_and_taken_again(self):
        said = self.home / "health.json"
        plenty = {"memory_total": 4096 * MIB, "memory_available": 3000 * MIB}
        said.write_text(json.dumps(plenty))
        self.start_api(workers=0)
        process, err = self.join(self.next_token(self.out), "a", "--ram", "64MiB", "--health-file", said)
        wait_for(self.units_ready, "experts")
        text = self.run_text("-p", STORY)
        self.assertEqual(self.told(STORY), text)
        full = self.wait_for_worker("a", lambda w: w["resident_bytes"] > 16 * MIB, "a cache in use")
        before = resident_bytes(process.pid)
        said.write_text(json.dumps({**plenty, "memory_available": 0}))
        err.wait_for(r"memory is short: keeps 8\.0 MiB of experts instead of 64")
        short = self.wait_for_worker("a", lambda w: w["resident_bytes"] <= 8 * MIB, "a smaller cache")
        self.assertEqual(short["memory_shrinks"], 1)
        self.assertEqual(short["health"]["use"]["cache_bytes"], 8 * MIB)
        self.assertGreaterEqual(short["memory_given_back_bytes"], full["resident_bytes"] - 8 * MIB)
        # It is the system's again, and not only unused.
        given = full["resident_bytes"] - short["resident_bytes"]
        wait_for(lambda: resident_bytes(process.pid) < before - given // 2, "memory of the process")
        wait_for(lambda: [w for w in self.workers() if w["health"]["use"]["cache_bytes"] == 8 * MIB],
                 "what is left of the memory in the pool's status")
        self.assertIn("memory is short: keeps 8.0 MiB of 64.0 MiB", self.potluck("status").stdout)
        self.assertEqual(self.told(STORY), text)
        self.assertLessEqual(self.worker("a")["resident_bytes"], 8 * MIB)
        said.write_text(json.dumps(plenty))
        self.wait_for_worker("a", lambda w: w["health"]["use"]["cache_bytes"] >= 24 * MIB, "a growing cache")
        self.assertEqual(self.told(STORY), text)
        self.wait_for_worker("a", lambda w: w["resident_bytes"] > 8 * MIB, "a cache that grew")


    def group(self):
        """A control group for memory; the files of its limit and of what it uses."""
        for folder, limit, usage in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
                                     ("/sys/fs/cgroup", "memory.max", "memory.current")):
            group = Path(folder) / f"potluck-test-{os.getpid()}"
            try:
                group.mkdir()
            except OSError:
                continue
            # It can be removed once its processes have ended.
            self.addCleanup(lambda made=group: wait_for(lambda: self.removed(made), "an empty group"))
            if (group / limit).exists():
                return group, group / limit, group / usage
        self.skipTest("a control group for memory needs root")

    @staticmethod
    def removed(group):
        try:
            group.rmdir()
        except OSError:
            return False
        return True

    def test_in_a_group_whose_limit_falls_it_is_given_back_before_the_kernel_takes_it(self):
        group, limit, usage = self.group()
        self.start_api(workers=0)
        process, _ = self.join(self.next_token(self.out), "a", "--ram", "64MiB", "--health-file", self.home / "none")
        wait_for(self.units_ready, "experts")
        (group / "cgroup.procs").write_text(str(process.pid))
        text = self.run_text("-p", STORY)
        self.assertEqual(self.told(STORY), text)
        full = self.wait_for_worker("a", lambda w: w["resident_bytes"] > 24 * MIB, "a cache in use")
        limit.write_text(str(int(usage.read_text()) + 4 * MIB))
        short = self.wait_for_worker("a", lambda w: w["memory_shrinks"] > 0, "memory that was given back")
        self.assertLess(short["resident_bytes"], full["resident_bytes"])
        self.assertEqual(self.told(STORY), text)
        self.assertIsNone(process.poll())


class Writes(Gentle):
    def test_what_it_may_not_write_goes_elsewhere(self):
        self.start_api(workers=0)
        first, second = self.two_tokens()
        _, err = self.join(first, "a", "--max-writes-per-day", "4MiB")
        self.join(second, "b")
        err.wait_for(r"it has written [\d.]+ MiB of the 4\.0 MiB that it may write a day")
        self.err.wait_for(r"has room for no more than .* at present, it has written .* a day: what it lacks")
        status = wait_for(lambda: (seen := self.units_ready()) and len(seen["workers"]) == 2 and seen,
                          "all experts on two workers")
        bounded = next(w for w in status["workers"] if w["lacks_room"])
        self.assertRegex(bounded["lacks_room"], "of the 4.0 MiB that it may write a day")
        self.assertLess(bounded["units_ready"], max(w["units_ready"] for w in status["workers"]))
        self.assertIn("has no room: it has written", self.potluck("status").stdout)
        self.assertEqual(self.told(SEA), self.run_text("-p", SEA))
        use = self.wait_for_worker("a", lambda w: w["health"]["use"]["written_bytes"] > 0, "its writes")["health"]["use"]
        self.assertLessEqual(use["written_today_bytes"], 4 * MIB + 256 * 1024)  # and the manifest
        self.assertEqual(use["writes_per_day_bytes"], 4 * MIB)

    def test_each_unit_is_written_once_and_counted_over_restarts(self):
        self.start_api(workers=0)
        process, _ = self.join(self.next_token(self.out), "a")
        wait_for(self.units_ready, "experts")
        written = self.wait_for_worker("a", lambda w: w["health"]["use"]["written_bytes"] >= w["stored_bytes"],
                                       "what was written")
        stored, count = written["stored_bytes"], written["health"]["use"]["written_bytes"]
        self.assertLess(count, stored + stored // 50)  # the index, beside it
        self.stop(process)
        self.join(None, "a")
        again = self.wait_for_worker("a", lambda w: w["pools"] and w["pools"][0]["units_ready"] > 0, "the worker")
        use = self.wait_for_worker("a", lambda w: w["health"]["use"]["written_bytes"] > 0, "its writes")["health"]["use"]
        self.assertEqual(again["stored_bytes"], stored)
        self.assertGreaterEqual(use["written_bytes"], count)
        self.assertLess(use["written_bytes"], count + MIB)
        self.assertEqual(use["written_today_bytes"], use["written_bytes"])
        wait_for(lambda: re.search(r"device_written_bytes_total\{.*\} \d+", self.metrics()), "writes in the metrics")


class Card(Gentle):
    """A store on a block device whose content can be taken away while it is used: reads then fail with EIO."""

    def card(self):
        image, mount = self.home / "card.img", self.home / "card"
        mount.mkdir()
        with open(image, "wb") as file:
            file.truncate(420 * MIB)  # 256 stay free
        commands = [["mkfs.ext4", "-q", "-F", "-O", "^has_journal", image], ["mount", "-o", "loop", image, mount]]
        for command in commands:
            try:
                done = subprocess.run(command, capture_output=True, check=False)
            except FileNotFoundError:
                self.skipTest(f"{command[0]} is not there")
            if done.returncode != 0:
                self.skipTest(f"a disk of its own needs root and a loop device: {done.stderr.decode()}")
        self.addCleanup(subprocess.run, ["umount", "-l", mount], check=False)
        return image, mount

    def pull_out(self, image):
        subprocess.run(["sync", "-f", image.with_suffix("")], check=True)
        content = image.with_suffix(".kept")
        subprocess.run(["cp", "--sparse=always", image, content], check=True)
        size = image.stat().st_size
        with open(image, "r+b") as file:
            file.truncate(0)

        def put_back():
            with open(image, "r+b") as file:
                file.truncate(size)
            subprocess.run(["dd", f"if={content}", f"of={image}", "conv=notrunc,sparse", "bs=64K", "status=none"],
                           check=True)
        return put_back

    def test_it_is_pulled_out_while_it_is_read(self):
        image, mount = self.card()
        self.start_api(workers=0)
        first, second = self.two_tokens()
        process, err = self.join(first, mount / "a", "--ram", "4MiB")
        self.join(second, "b", "--ram", "4MiB")
        wait_for(lambda: (seen := self.units_ready()) and len(seen["workers"]) == 2, "experts on two workers")
        if not all(worker["units_ready"] for worker in self.workers()):
            self.skipTest("the card is so slow that its device was left out")
        text = self.run_text("-p", STORY)
        self.assertEqual(self.told(STORY), text)
        put_back = self.pull_out(image)
        self.assertEqual(self.told(STORY), text)
        # What it needs may be in its memory: other prompts need other experts.
        prompts = (f"{number} {word}" for number in range(1000) for word in ("boats", "kings", "The moon"))

        def noticed():
            self.told(next(prompts))
            return re.search(r"the disk with the store cannot be reached: \d+ units are lost until it is back", err.text)
        wait_for(noticed, "a worker that says what it lost")
        self.assertIsNone(process.poll())
        wait_for(lambda: (seen := self.units_ready()) and
                 sorted(w["lacks_room"] for w in seen["workers"]) == ["", "its disk cannot be reached"],
                 "all experts elsewhere, and a device that says why")
        self.assertEqual(self.told(SEA), self.run_text("-p", SEA))
        put_back()
        wait_for(lambda: not any("cannot be reached" in w["lacks_room"] for w in self.workers()), "a card that is back")
        wait_for(lambda: (seen := self.units_ready()) and all(w["units_ready"] for w in seen["workers"]) and seen,
                 "experts on both again")
        self.assertEqual(self.told(STORY), text)

    def test_files_that_are_cut_while_they_are_used(self):
        self.start_api(workers=0)
        process, err = self.join(self.next_token(self.out), "a", "--ram", "4MiB")
        wait_for(self.units_ready, "experts")
        text = self.run_text("-p", STORY)
        self.assertEqual(self.told(STORY), text)
        for segment in Path(self.home / "a").rglob("segments/*.grains"):
            with open(segment, "r+b") as file:
                file.truncate(segment.stat().st_size // 8192 * 4096)
        self.assertEqual(self.told(STORY), text)
        self.assertIsNone(process.poll())
        self.assertTrue(re.search("fetching it again", err.text) or self.units_ready())
        wait_for(self.units_ready, "experts that were fetched again")
        self.assertEqual(self.told(STORY), text)


if __name__ == "__main__":
    unittest.main()
