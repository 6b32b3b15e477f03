"""A store on disk that was damaged, filled up or left half built: the same text comes out, and the
message says what happened. (Workers: test_pool.py.)"""

import signal
import time
import unittest

from support import TALETELLER, PotluckTest

PROMPT = ["-p", "Once upon a time", "-n", "60", "--seed", "7", "--raw"]


class DamagedStore(PotluckTest):
    def setUp(self):
        super().setUp()
        self.store = self.home / "store"
        self.streamed = ["--ram", "6MiB", "--store", self.store, "--threads", "1"]

    def tell(self, *arguments):
        done = self.potluck("run", TALETELLER, *PROMPT, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def segments(self):
        return sorted(self.store.rglob("segments/*.grains"))

    def damage(self, every):
        """Flips a bit now and then, in place."""
        for segment in self.segments():
            with open(segment, "r+b") as file:
                for offset in range(1234, segment.stat().st_size, every):
                    file.seek(offset)
                    value = file.read(1)[0]
                    file.seek(offset)
                    file.write(bytes([value ^ 0x10]))

    def test_altered_grains_are_cut_again(self):
        text = self.tell("--threads", "1").stdout
        self.assertEqual(self.tell(*self.streamed).stdout, text)
        self.damage(every=1 << 20)
        done = self.tell(*self.streamed)
        self.assertEqual(done.stdout, text)
        self.assertRegex(done.stderr, r"segments/\d+\.grains.*cut again from the model file")
        again = self.tell(*self.streamed)
        self.assertEqual(again.stdout, text)

    def test_altered_while_it_is_read(self):
        text = self.tell(*self.streamed).stdout
        process = self.start("run", TALETELLER, *PROMPT, *self.streamed, "--sim-disk", "100MB/s")
        first = process.stdout.read(4)
        self.damage(every=1 << 16)
        rest, err = process.communicate(timeout=600)
        self.assertEqual(process.returncode, 0, err)
        self.assertEqual((first + rest).decode(), text)
        self.assertIn(b"cut again from the model file", err)
        self.assertIn(b"further ones are not reported", err)

    def test_cut_and_missing_segments_are_built_again(self):
        text = self.tell(*self.streamed).stdout
        segment = self.segments()[0]
        with open(segment, "r+b") as file:
            file.truncate(segment.stat().st_size // 2)
        done = self.tell(*self.streamed)
        self.assertEqual(done.stdout, text)
        self.assertRegex(done.stderr, r"store: \d+ of 1152 grains were dropped: their place is not in")
        segment.unlink()
        done = self.tell(*self.streamed)
        self.assertEqual(done.stdout, text)
        self.assertRegex(done.stderr, r"store: 1152 of 1152 grains were dropped")

    def test_a_lost_index_is_built_again(self):
        text = self.tell(*self.streamed).stdout
        for content in (b"", b"no index at all" * 1000):
            (self.store / "index").write_bytes(content)
            done = self.tell(*self.streamed)
            self.assertEqual(done.stdout, text)
            self.assertRegex(done.stderr, r"/index was missing, empty or damaged: \d+ bytes that it does not name "
                                          r"were removed from \d+ segments")

    def test_killed_while_building(self):
        text = self.tell("--threads", "1").stdout
        kills = 0
        for seconds in (0.1, 0.2, 0.3, 0.4):
            process = self.start("run", TALETELLER, *PROMPT, *self.streamed)
            time.sleep(seconds)
            kills += process.poll() is None
            process.send_signal(signal.SIGKILL)
            process.wait()
        self.assertGreater(kills, 0)
        self.assertEqual(self.tell(*self.streamed).stdout, text)

    def test_a_disk_too_small_is_named_before_building(self):
        disk = self.small_disk(272)  # 256 MiB stay free
        done = self.potluck("run", TALETELLER, *PROMPT, "--ram", "6MiB", "--store", disk / "store")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"--store: .*/disk/store has room for \S+ MiB, the experts need "
                                      r"\S+ MiB more")


if __name__ == "__main__":
    unittest.main()
