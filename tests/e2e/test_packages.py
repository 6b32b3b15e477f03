"""What scripts/release made, as people get it: one-file programs start where there is nothing else, packages install,
run by the command lines of their units, and go without a trace. What is missing (dist/, root, build/roots) is said,
and skipped."""

import hashlib
import http.client
import json
import os
import pathlib
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import unittest

from pool_support import Lines, PoolTest
from support import FIXTURE, ROOT, TALETELLER, resident_bytes, wait_for

DIST = pathlib.Path(os.environ.get("POTLUCK_DIST", ROOT / "dist"))
ROOTS = pathlib.Path(os.environ.get("POTLUCK_ROOTS", ROOT / "build/roots"))
EMULATOR = "qemu-aarch64-static"
PROGRAMS = ("potluck", "potluck-worker")
LARGEST = 15 << 20
MOST_IDLE = 12 << 20


def setUpModule():
    if not os.environ.get("POTLUCK_PACKAGES"):
        raise unittest.SkipTest("heavy: POTLUCK_PACKAGES=1, or scripts/check --only packages")


def released(program, architecture="amd64"):
    found = sorted(DIST.glob(f"{program}-[0-9]*-linux-{architecture}"))
    if not found:
        raise unittest.SkipTest(f"{DIST} has no {program} for {architecture}: scripts/release")
    return found[-1]


def package(program, architecture="amd64"):
    found = sorted(DIST.glob(f"{program}_*_{architecture}.deb"))
    if not found:
        raise unittest.SkipTest(f"{DIST} has no package {program} for {architecture}: scripts/release")
    return found[-1]


class Files(unittest.TestCase):
    """Without any root file system."""

    def test_checksums_are_those_of_the_files(self):
        released("potluck")
        lines = (DIST / "SHA256SUMS").read_text().splitlines()
        names = {line.split()[1]: line.split()[0] for line in lines}
        self.assertEqual(set(names), {path.name for path in DIST.iterdir()} - {"SHA256SUMS"})
        for name, digest in names.items():
            self.assertEqual(hashlib.sha256((DIST / name).read_bytes()).hexdigest(), digest, name)

    def test_workers_are_small_and_need_no_library(self):
        for architecture in ("amd64", "arm64"):
            worker = released("potluck-worker", architecture)
            self.assertLess(worker.stat().st_size, LARGEST)
            for program in PROGRAMS:
                file = released(program, architecture)
                dynamic = subprocess.run(["readelf", "--dynamic", "--program-headers", file], check=True,
                                         capture_output=True, text=True).stdout
                self.assertNotIn("NEEDED", dynamic)
                self.assertNotIn("INTERP", dynamic)

    def test_arm_programs_start(self):
        if shutil.which(EMULATOR) is None:
            self.skipTest(f"{EMULATOR} is not there: scripts/setup --arm64")
        for program in PROGRAMS:
            done = subprocess.run([EMULATOR, released(program, "arm64"), "version"], check=True,
                                  capture_output=True, text=True)
            self.assertRegex(done.stdout, rf"^{program} [\d.]+\n.*neon")

    def test_the_bill_names_what_was_linked(self):
        released("potluck")
        for path in DIST.glob("*.spdx.json"):
            bill = json.loads(path.read_text())
            names = {entry["name"]: entry["versionInfo"] for entry in bill["packages"]}
            for name in ("zeromq3", "libsodium-dev", "libcapnp-dev", "libssl-dev", "libc6-dev", "nlohmann-json3-dev"):
                self.assertIn(name, names, path.name)
            identifiers = {entry["SPDXID"] for entry in bill["packages"]}
            self.assertEqual(len(identifiers), len(bill["packages"]))
            for relation in bill["relationships"]:
                self.assertIn(relation["relatedSpdxElement"], identifiers)
            worker = {relation["relatedSpdxElement"] for relation in bill["relationships"]
                      if relation["spdxElementId"] == "SPDXRef-potluck-worker"}
            for name in ("curl", "qrencode", "libboost", "libedit"):
                self.assertFalse([one for one in worker if one.startswith(f"SPDXRef-{name}")], name)

    def test_the_installer_takes_the_right_file_alone(self):
        released("potluck-worker")
        with tempfile.TemporaryDirectory() as folder:
            to = pathlib.Path(folder) / "bin"
            install = ["sh", DIST / "install.sh", "--to", to, "--no-service"]
            subprocess.run(install, check=True, capture_output=True)
            self.assertEqual((to / "potluck-worker").read_bytes(), released("potluck-worker").read_bytes())
            altered = pathlib.Path(folder) / "altered"
            altered.mkdir()
            name = released("potluck-worker").name
            (altered / name).write_bytes(released("potluck-worker").read_bytes() + b"\n")
            (to / "potluck-worker").unlink()
            done = subprocess.run([*install, "--from", altered], check=False, capture_output=True, text=True)
            self.assertEqual(done.returncode, 1)
            self.assertIn("expected the SHA-256", done.stderr)
            self.assertEqual(list(to.iterdir()), [])

    def test_the_tarball_has_all_of_it(self):
        released("potluck")
        names = subprocess.run(["tar", "-tzf", *DIST.glob("*-linux-amd64.tar.gz")], check=True,
                               capture_output=True, text=True).stdout
        for end in ("bin/potluck", "bin/potluck-worker", "man1/potluck-serve.1", "man1/potluck-worker-join.1",
                    "completions/potluck-worker", "fish/vendor_completions.d/potluck.fish", "site-functions/_potluck",
                    "systemd/system/potluck.service", "systemd/user/potluck-worker.service",
                    "sysusers.d/potluck-worker.conf", "doc/potluck/copyright"):
            self.assertRegex(names, rf"(?m)/{re.escape(end)}$")


class InRoots(PoolTest):
    """In root file systems of their own, which takes root."""

    def setUp(self):
        super().setUp()
        if os.geteuid() != 0:
            self.skipTest("another root file system takes root")

    def fresh(self, suite):
        source = ROOTS / suite
        if not (source / "complete").exists():
            self.skipTest(f"{source} is not there: scripts/root-file-systems")
        root = self.home / suite
        subprocess.run(["cp", "--archive", "--reflink=auto", source, root], check=True)
        return root

    def inside(self, root, *command):
        """With /proc, as every system has it."""
        script = f"mount -t proc proc {root}/proc && exec chroot {root} \"$@\""
        done = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", *command], check=False,
                              capture_output=True, text=True,
                              env={"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"})
        self.assertEqual(done.returncode, 0, f"{command}: {done.stderr}")
        return done

    def test_one_file_in_the_oldest_debian(self):
        root = self.fresh("bullseye")
        for program in PROGRAMS:
            shutil.copy(released(program), root / "usr/local/bin" / program)
            self.assertIn(program, self.inside(root, program, "version").stdout)
        shutil.copy(FIXTURE / "model.gguf", root / "model.gguf")
        said = self.inside(root, "potluck", "run", "/model.gguf", "--raw", "-p", "a", "-n", "4", "--temp", "0",
                           "--workers", "2", "--json")
        self.assertEqual(json.loads(said.stdout)["workers"], 2)

    def test_a_worker_where_there_is_nothing_else(self):
        """No libraries, no /tmp, no /etc/resolv.conf, no /proc, no /sys, no /dev."""
        root = self.home / "nothing"
        root.mkdir()
        shutil.copy(released("potluck-worker"), root / "potluck-worker")
        alone = self.alone()
        _, out, err = self.serve("--port", "0", "--verify", "all")
        process = self.start(root, "/potluck-worker", "join", self.next_token(out), "--store", "/store", "--ram",
                             "64MiB", "--disk", "64MiB", "--threads", "1", binary="chroot")
        lines = Lines(process.stderr)
        self.addCleanup(lambda: (self.stop(process), lines.thread.join(5)))
        wait_for(self.units_ready, f"the worker; {lines.text}")
        port = int(err.wait_for(r"http://127\.0\.0\.1:(\d+)").group(1))
        self.assertEqual(self.complete(port), alone)
        self.assertEqual({path.name for path in root.iterdir()}, {"potluck-worker", "store"})

    def test_an_idle_worker_takes_little_memory(self):
        """Beside --ram, of which it has taken nothing: no expert was asked for."""
        _, out, _ = self.serve("--port", "0")
        process = self.start("join", self.next_token(out), "--store", self.home / "idle", "--ram", "64MiB", "--disk",
                             "64MiB", "--threads", "2", "--ignore-health", binary=released("potluck-worker"))
        lines = Lines(process.stderr)
        self.addCleanup(lambda: (self.stop(process), lines.thread.join(5)))
        wait_for(self.units_ready, "the worker")
        wait_for(lambda: resident_bytes(process.pid) < MOST_IDLE, f"{MOST_IDLE} bytes of resident memory at most")

    # --- packages ---

    @staticmethod
    def files_in(root):
        """All but what any package's coming and going leaves behind."""
        kept = re.compile(r"^(var/lib/dpkg|var/log|var/cache|var/backups|etc/(passwd|group|shadow|gshadow|subuid|subgid)-"
                          r"|etc/\.pwd\.lock)")
        return {str(path.relative_to(root)) for path in root.rglob("*")
                if not kept.match(str(path.relative_to(root)))}

    def unit(self, root, name):
        """(user, environment, words of the command line) of a unit."""
        text = (root / f"usr/lib/systemd/system/{name}.service").read_text()
        found = dict(re.findall(r"(?m)^(\w+)=(.*)$", text))
        return found["User"], dict([found["Environment"].split("=", 1)]), shlex.split(found["ExecStart"])

    def start_unit(self, root, name, state=None, **variables):
        """As the unit says, as far as that goes without systemd: its user, its state directory, its words."""
        user, environment, words = self.unit(root, name)
        state = pathlib.Path(state or f"/var/lib/{name}")
        (root / str(state)[1:]).mkdir(parents=True, exist_ok=True)
        self.inside(root, "chown", f"{user}:{user}", str(state))
        environment = {**environment, "POTLUCK_HOME": str(state), **variables}
        words = [variables.get(word[1:], word) if word.startswith("$") else word for word in words]
        script = f"mount -t proc proc {root}/proc && exec chroot --userspec={user}:{user} {root} \"$@\""
        process = self.start("--mount", "sh", "-c", script, "sh", "/usr/bin/env", "-i",
                             *[f"{key}={value}" for key, value in environment.items()], *words, binary="unshare")
        return process, *self.lines_of(process)

    def test_packages_come_work_and_go(self):
        root = self.fresh("bookworm")
        before = self.files_in(root)
        users = (root / "etc/passwd").read_text()
        for program in PROGRAMS:
            shutil.copy(package(program), root / f"{program}.deb")
        self.inside(root, "dpkg", "--install", *[f"/{program}.deb" for program in PROGRAMS])
        for program in PROGRAMS:
            (root / f"{program}.deb").unlink()
            self.assertIn(f"{program}:", (root / "etc/passwd").read_text())
        self.pool_of_units(root)
        self.inside(root, "dpkg", "--purge", *PROGRAMS)
        self.assertEqual(self.files_in(root) - before, set())
        self.assertEqual((root / "etc/passwd").read_text(), users)

    def pool_of_units(self, root):
        alone = self.alone()
        shutil.copy(TALETELLER, root / "var/lib/model.gguf")
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            base = one.getsockname()[1] % 20000 + 30000
        settings = {"MODEL": "/var/lib/model.gguf", "POTLUCK_LISTEN": f"127.0.0.1:{base}", "POTLUCK_PORT": "0",
                    "POTLUCK_INVITATIONS": "2", "POTLUCK_BEACON_PORT": str(base + 5)}
        server, out, err = self.start_unit(root, "potluck", **settings)
        tokens = wait_for(lambda: (found := re.findall(r"potluck join (\S+)\n", out.text)) and len(found) == 2
                          and found, f"two invitations; {err.text}")
        workers = [self.start_unit(root, "potluck-worker", state=f"/var/lib/potluck-worker/{number}",
                                   POTLUCK_TOKEN=token, POTLUCK_RAM="64MiB", POTLUCK_DISK="64MiB")[0]
                   for number, token in enumerate(tokens)]
        self.answers(err, root / "var/lib/potluck", alone)
        self.stop(server)
        server, _, err = self.start_unit(root, "potluck", **settings)
        self.answers(err, root / "var/lib/potluck", alone)
        for process in (*workers, server):  # as systemd does before a package goes
            self.stop(process)
        (root / "var/lib/model.gguf").unlink()

    def answers(self, err, state, expected):
        port = int(err.wait_for(r"http://127\.0\.0\.1:(\d+)").group(1))

        def workers():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", "/ready")
            is_up = connection.getresponse().status == 200
            connection.close()
            if not is_up:
                return False
            done = self.potluck("status", "--json", POTLUCK_HOME=str(state))
            status = json.loads(done.stdout) if done.returncode == 0 else {}
            ready = status.get("units_assigned", 0) > 0 and status["units_ready"] == status["units_assigned"]
            return ready and len([worker for worker in status["workers"] if worker["units_ready"]]) == 2
        wait_for(workers, f"two workers; {err.text}")
        self.assertEqual(self.complete(port), expected)

    def test_units_and_users_are_what_systemd_takes(self):
        if shutil.which("systemd-analyze") is None:
            self.skipTest("systemd-analyze is not there: scripts/setup --packages")
        root = self.fresh("bookworm")
        for program in PROGRAMS:
            subprocess.run(["dpkg-deb", "--extract", package(program), root], check=True)
            subprocess.run(["systemd-sysusers", f"--root={root}", f"{program}.conf"], check=True, capture_output=True)
            self.assertIn(f"{program}:", (root / "etc/passwd").read_text())
            units = []
            for path in sorted((root / "usr/lib/systemd").glob(f"*/{program}.service")):
                # This system has the units that it names, but not the programs.
                units.append(self.home / path.parent.name / path.name)
                units[-1].parent.mkdir(exist_ok=True)
                units[-1].write_text(path.read_text().replace("=/usr/bin/", f"={root}/usr/bin/"))
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], check=False, capture_output=True,
                                  text=True)
            said = [line for line in done.stderr.splitlines() if program in line]
            self.assertEqual((said, done.returncode), ([], 0), done.stderr)

    def test_what_is_in_arm_packages(self):
        for program in PROGRAMS:
            file = package(program, "arm64")
            said = subprocess.run(["dpkg-deb", "--field", file, "Architecture", "Depends"], check=True,
                                  capture_output=True, text=True).stdout
            self.assertEqual(said.strip(), "Architecture: arm64")
            fields = subprocess.run(["dpkg-deb", "--field", file], check=True, capture_output=True, text=True).stdout
            self.assertIn("\nMaintainer: The Potluck project <potluck@project.invalid>\n", fields)
            ours = subprocess.run(["dpkg-deb", "--contents", file], check=True, capture_output=True, text=True).stdout
            other = subprocess.run(["dpkg-deb", "--contents", package(program)], check=True, capture_output=True,
                                   text=True).stdout
            self.assertEqual([line.split()[-1] for line in ours.splitlines()],
                             [line.split()[-1] for line in other.splitlines()])


if __name__ == "__main__":
    unittest.main()
