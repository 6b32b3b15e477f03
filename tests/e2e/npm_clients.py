"""The npm clients of tests/e2e/clients and tests/e2e/agents, installed once beside the binaries under test."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import unittest

from support import PATIENCE_SECONDS, ROOT

SOURCES = ROOT / "tests/e2e/clients"
SCRIPTED_SERVER = pathlib.Path(os.environ.get(
    "POTLUCK_SCRIPTED_SERVER", ROOT / "build/release/tests/scripted_server"))
OLDEST_NODE = 20  # what the clients ask for
INSTALL_SECONDS = 300


def node_version():
    """The major version, or 0 where there is no node."""
    if shutil.which("node") is None:
        return 0
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout
    return int(said.lstrip("v").split(".")[0] or 0)


def install_clients(sources=SOURCES):
    """Returns a folder with the clients and what they need. Skips the test where that cannot be had."""
    if node_version() < OLDEST_NODE or shutil.which("npm") is None:
        raise unittest.SkipTest(f"needs node {OLDEST_NODE} or newer, and npm")
    folder = SCRIPTED_SERVER.parent / sources.name
    folder.mkdir(parents=True, exist_ok=True)
    for source in sources.iterdir():
        shutil.copy(source, folder / source.name)
    # Packages with a part for each system have no lock that holds on all of them.
    locked = (sources / "package-lock.json").exists()
    lock = (sources / ("package-lock.json" if locked else "package.json")).read_text()
    install = ["ci"] if locked else ["install", "--no-package-lock"]
    stamp = folder / "installed.json"
    if stamp.exists() and json.loads(stamp.read_text()) == lock:
        return folder
    try:
        done = subprocess.run(["npm", *install, "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder,
                              capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise unittest.SkipTest("npm did not fetch the clients in time") from None
    if done.returncode != 0:
        raise unittest.SkipTest(f"npm cannot fetch the clients: {done.stderr.strip()[-300:]}")
    stamp.write_text(json.dumps(lock))
    return folder


def cases_of(source):
    """The names of the cases in a file of tests/e2e/clients."""
    return re.findall(r"^  async (\w+)\(\)", (SOURCES / source).read_text(), re.M)


class ClientTest(unittest.TestCase):
    """Real clients against the HTTP API, with a scripted service behind it."""

    @classmethod
    def setUpClass(cls):
        cls.clients = install_clients()

    def serve(self, *arguments):
        """Starts a scripted server and returns it with its address."""
        server = subprocess.Popen([SCRIPTED_SERVER, *arguments], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end, server)
        return server, server.stdout.readline().strip()

    def end(self, server):
        if not server.stdin.closed:
            server.stdin.close()
        server.wait(PATIENCE_SECONDS)
        server.stdout.close()

    def cancelled(self, server):
        """Ends the server and says how many requests it was told to cancel."""
        server.stdin.close()
        return len(re.findall(r"^cancelled \d+$", server.stdout.read(), re.M))

    def run_cases(self, source, url, cases):
        done = subprocess.run(["node", source, url, *cases], cwd=self.clients,
                              capture_output=True, text=True, timeout=5 * PATIENCE_SECONDS, check=False)
        said = {line.split()[1].rstrip(":"): line for line in done.stdout.splitlines()}
        for case in cases:
            with self.subTest(case):
                self.assertEqual(said.get(case), f"ok {case}", done.stderr)
