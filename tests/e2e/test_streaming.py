"""Experts that are streamed from disk: from the model file itself, or from a copy where one is wanted or
there. The same text, nothing written without being asked, and a file that changes meanwhile is noticed.
(Damaged copies: test_damaged_store.py.)"""

import os
import shutil
import unittest

from support import TALETELLER, PotluckTest

PROMPT = ["-p", "Once upon a time", "-n", "40", "--seed", "7", "--raw", "--threads", "1"]


class Streaming(PotluckTest):
    def setUp(self):
        super().setUp()
        self.model = self.home / "tale.gguf"
        shutil.copy(TALETELLER, self.model)
        self.usual = self.home / "tale.gguf.potluck"

    def tell(self, *arguments, model=None):
        done = self.potluck("run", model or self.model, *PROMPT, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def test_the_same_text_and_no_copy(self):
        text = self.tell().stdout
        before = sorted(self.home.iterdir())
        for extra in (["--ram", "1MiB"], ["--ram", "6MiB"], ["--ram", "6MiB", "--prefetch", "on"],
                      ["--ram", "6MiB", "--sim-disk", "500MB/s"], ["--ram", "6MiB", "--read-depth", "1"]):
            self.assertEqual(self.tell(*extra).stdout, text, extra)
        self.assertEqual(sorted(self.home.iterdir()), before)
        self.assertEqual(self.tell("--ram", "6MiB", "--store", self.home / "store").stdout, text)
        self.assertTrue((self.home / "store/segments").is_dir())

    def test_less_than_one_expert(self):
        done = self.potluck("run", self.model, *PROMPT, "--ram", "64KiB")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"--ram: 64\.0 KiB are not enough for one expert .*--store DIR")

    def test_a_complete_copy_is_used(self):
        text = self.tell("--ram", "6MiB", "--store", self.usual).stdout
        segment = sorted((self.usual / "segments").iterdir())[0]
        with open(segment, "r+b") as file:
            for offset in range(0, segment.stat().st_size, 1 << 20):
                file.seek(offset)
                file.write(bytes(16))
        done = self.tell("--ram", "6MiB")
        self.assertEqual(done.stdout, text)
        self.assertIn("cut again from the model file", done.stderr)

    def test_a_copy_of_another_file_is_left_alone(self):
        text = self.tell("--ram", "6MiB", "--store", self.usual).stdout
        held = {path: path.stat().st_size for path in self.usual.rglob("*") if path.is_file()}
        os.utime(self.model)
        self.assertEqual(self.tell("--ram", "6MiB").stdout, text)
        self.assertEqual({path: path.stat().st_size for path in self.usual.rglob("*") if path.is_file()}, held)

    def change(self, change):
        process = self.start("run", self.model, "-p", "Once", "-n", "4000", "--raw", "--ignore-eos",
                             "--ram", "6MiB", "--sim-disk", "100MB/s")
        process.stdout.read(4)
        change()
        _, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 1, err)
        self.assertIn(b"tale.gguf", err)
        return err.decode()

    def test_a_file_that_is_written_to(self):
        err = self.change(lambda: os.utime(self.model))
        self.assertIn("the file was changed while the model was in use", err)

    def test_a_file_that_is_cut(self):
        err = self.change(lambda: os.truncate(self.model, 20 << 20))
        self.assertRegex(err, "was changed while the model was in use|the file ends at")

    def test_a_file_that_is_replaced_keeps_its_place(self):
        """What is open stays what it was."""
        text = self.tell().stdout
        process = self.start("run", self.model, *PROMPT, "--ram", "6MiB", "--sim-disk", "20MB/s")
        first = process.stdout.read(4)
        other = self.home / "other"
        other.write_bytes(bytes(1000))
        os.replace(other, self.model)
        rest, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 0, err)
        self.assertEqual((first + rest).decode(), text)

    def test_a_file_system_in_memory(self):
        disk = self.small_disk(64)
        shutil.copy(TALETELLER, disk / "tale.gguf")
        self.assertEqual(self.tell("--ram", "6MiB", model=disk / "tale.gguf").stdout, self.tell().stdout)


if __name__ == "__main__":
    unittest.main()
