"""Every script in Python starts: it answers --help. Run by ctest; also: python3 tests/style/scripts_test.py"""

import pathlib
import subprocess
import sys
import unittest

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"


class Scripts(unittest.TestCase):
    def test_they_answer_to_help(self):
        tried = 0
        for path in sorted(SCRIPTS.iterdir()):
            if path.is_dir() or b"python3" not in path.read_bytes().split(b"\n", 1)[0]:
                continue
            done = subprocess.run([sys.executable, path, "--help"], capture_output=True, text=True, timeout=60,
                                  check=False)
            self.assertEqual(done.returncode, 0, f"{path.name}: {done.stderr}")
            self.assertIn("usage", done.stdout, path.name)
            tried += 1
        self.assertGreater(tried, 5)


if __name__ == "__main__":
    unittest.main()
