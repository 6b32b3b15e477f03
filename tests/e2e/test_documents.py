"""What documents tell people to type: requests of the clients' page, configurations, the list of libraries."""

import re
import shutil
import subprocess
import unittest

from pool_support import PoolTest
from support import BINARY, ROOT, TALETELLER

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
ADDRESS = "http://127.0.0.1:8080"
# Of every Debian.
ALWAYS_THERE = {"libc6", "libgcc-s1", "libstdc++6"}


def blocks(document, kind):
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    return [body for found, body in FENCE.findall(text) if found == kind]


def commands_in(script):
    """One a line, but for what is in quotes or goes on behind a backslash."""
    commands, rest = [], ""
    for line in script.splitlines(keepends=True):
        rest += line
        if rest.count("'") % 2 == 0 and not rest.endswith("\\\n"):
            commands.append(rest.strip())
            rest = ""
    return [command for command in commands if command]


class Documents(PoolTest):
    def test_requests_of_the_clients_page(self):
        key = self.potluck("keys", "add", "ann").stdout.strip()
        _, _, err = self.serve("--port", "0", "--ctx", "2048")
        url = "http://" + err.wait_for(r"listening on http://(\S+)/v1").group(1)
        asked = [c for block in blocks("CLIENTS.md", "sh") for c in commands_in(block) if c.startswith("curl")]
        self.assertGreater(len(asked), 3)
        for command in asked:
            with self.subTest(command):
                self.assertIn(ADDRESS, command)
                done = subprocess.run(["bash", "-c", command.replace(ADDRESS, url).replace("curl ", "curl -sS --fail-with-body ")],
                                      env={**self.environment(), "KEY": key}, capture_output=True, text=True, timeout=120,
                                      check=False)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertTrue(done.stdout)

    def test_configurations(self):
        for block in blocks("UPSTREAM.md", "toml"):
            path = self.home / "potluck.toml"
            path.write_text(block)
            shown = self.potluck("--print-config", "--config", path)
            self.assertEqual(shown.returncode, 0, shown.stderr)
            self.assertIn("[[upstream]]\n", shown.stdout)
            # What is shown is such a file again.
            again = self.home / "again.toml"
            again.write_text(shown.stdout)
            self.assertEqual(self.potluck("--print-config", "--config", again).returncode, 0)
        for document in ("PLANNING.md", "MODELS.md"):
            pools = [pool for block in blocks(document, "toml") for pool in re.split(r"\n\n(?=# )", block)]
            self.assertTrue(pools, document)
            for pool in pools:
                (self.home / "pool.toml").write_text(pool)
                done = self.potluck("plan", TALETELLER, "--nodes", self.home / "pool.toml")
                self.assertEqual(done.returncode, 0, pool + done.stderr)

    @unittest.skipUnless(shutil.which("dpkg-query") and shutil.which("ldd"), "needs Debian's dpkg and ldd")
    def test_libraries(self):
        needed = set(re.findall(r"NEEDED\s+(\S+)", subprocess.run(
            ["objdump", "-p", BINARY], capture_output=True, text=True, check=True).stdout))
        packages = set()
        for name, path in re.findall(r"(\S+) => (\S+)", subprocess.run(
                ["ldd", BINARY], capture_output=True, text=True, check=True).stdout):
            if name not in needed:
                continue
            # Of merged folders, dpkg knows one name.
            for place in (path, path.removeprefix("/usr"), "/usr" + path):
                found = subprocess.run(["dpkg-query", "-S", place], capture_output=True, text=True, check=False)
                if found.returncode == 0:
                    packages.add(found.stdout.split(":")[0])
                    break
        listed = re.search(r"apt-get install (libcapnp.*)", "\n".join(blocks("QUICKSTART.md", "sh"))).group(1).split()
        self.assertEqual(sorted(packages - ALWAYS_THERE), sorted(listed))

    @unittest.skipUnless(shutil.which("systemd-analyze"), "needs systemd-analyze")
    def test_the_service(self):
        unit = self.home / "potluck-join.service"
        unit.write_text(blocks("QUICKSTART.md", "ini")[0].replace("%h/potluck/build/release/potluck", BINARY))
        done = subprocess.run(["systemd-analyze", "verify", "--user", "--man=no", unit], capture_output=True, text=True,
                              env={**self.environment(), "XDG_RUNTIME_DIR": str(self.home)}, check=False)
        self.assertNotIn(unit.name, done.stderr)


if __name__ == "__main__":
    unittest.main()
