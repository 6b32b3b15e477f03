"""Hosts on one machine: network namespaces behind one switch, each with a link of its own (delay, rate,
loss ..), in which real processes run. For tests, demos and measurements; needs root and Linux with TAP
devices, and build/release/tools/link_shaper (scripts/build release link_shaper).

    with Hosts(["coordinator", "worker1"], Link.between(delay_ms=1, rate_mbit=100)) as hosts:
        hosts.start("coordinator", ["potluck", "serve", ..])
        hosts.link_down("worker1")

All namespaces, processes and devices are gone when it ends, however it ends: what a killed run has left
behind, the next one removes."""

import ctypes
import dataclasses
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHAPER = os.environ.get("POTLUCK_LINK_SHAPER", str(ROOT / "build/release/tools/link_shaper"))
PREFIX = "potluck"
NETWORK = "10.88.0."
NETWORK6 = "fd88::"
MTU = 1500
CLONE_NEWNET = 0x40000000
NAMESPACES = pathlib.Path("/run/netns")
RUN = pathlib.Path("/run")  # of root


class HostsError(Exception):
    """Hosts cannot be made or asked; the text is for people."""


@dataclasses.dataclass(frozen=True)
class Link:
    """A host's link to the switch. A packet between two hosts takes both of their links."""

    delay_ms: float = 0
    jitter_ms: float = 0
    up_mbit: float = 0  # 0: without bound
    down_mbit: float = 0
    loss: float = 0  # share of packets, each way
    queue_ms: float = 200

    @classmethod
    def between(cls, delay_ms=0, rate_mbit=0, jitter_ms=0, loss=0, **more):
        """What two hosts with such links have between them, one way."""
        return cls(delay_ms / 2, jitter_ms / 2, rate_mbit, rate_mbit, 1 - (1 - loss) ** 0.5, **more)

    def settings(self):
        return [f"delay_ms={self.delay_ms}", f"jitter_ms={self.jitter_ms}",
                f"up={self.up_mbit * 1e6 / 8:.0f}", f"down={self.down_mbit * 1e6 / 8:.0f}",
                f"loss={self.loss}", f"queue_ms={self.queue_ms}"]


def why_not():
    """What is missing for hosts on this machine, for people; None if nothing is."""
    if os.geteuid() != 0:
        return "hosts are network namespaces, which need root: run it with sudo"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "hosts need /dev/net/tun, which this system does not have"
    if shutil.which("ip") is None:
        return "hosts need the command ip, of the package iproute2"
    if not os.access(SHAPER, os.X_OK):
        return f"{SHAPER} is not there: scripts/build release link_shaper"
    return None


def run_ip(*arguments, check=True):
    done = subprocess.run(["ip", *map(str, arguments)], capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise HostsError(f"ip {' '.join(map(str, arguments))}: {done.stderr.strip()}")
    return done.stdout


def remove_namespace(name):
    """With all processes in it, asked first and then ended."""
    for how, patience in ((signal.SIGTERM, 3), (signal.SIGKILL, 3)):
        processes = run_ip("netns", "pids", name, check=False).split()
        for process in processes:
            try:
                os.kill(int(process), signal.SIGCONT)
                os.kill(int(process), how)
            except ProcessLookupError:
                pass
        deadline = time.monotonic() + patience
        while processes and time.monotonic() < deadline:
            time.sleep(0.02)
            processes = run_ip("netns", "pids", name, check=False).split()
    run_ip("netns", "delete", name, check=False)


def remove_leftovers():
    """Namespaces of runs that were killed; returns their names."""
    removed = []
    for path in NAMESPACES.glob(f"{PREFIX}-*-*"):
        owner = re.match(rf"{PREFIX}-(\d+)-", path.name)
        if owner and not pathlib.Path(f"/proc/{owner.group(1)}").exists():
            remove_namespace(path.name)
            removed.append(path.name)
    for path in RUN.glob(f"{PREFIX}-hosts-*-*"):
        if not pathlib.Path(f"/proc/{path.name.split('-')[2]}").exists():
            shutil.rmtree(path, ignore_errors=True)
    return removed


def running_hosts():
    """Process ids of those that have hosts at present, and their control sockets."""
    return {int(path.parent.name.split("-")[2]): path
            for path in RUN.glob(f"{PREFIX}-hosts-*-*/control")}


class Hosts:
    """Named hosts 10.88.0.1, .2 .. (and fd88::1, ..) at one switch, each with the link it is given, or
    all with the same. Any thread."""

    def __init__(self, names, link=Link(), links=None, seed=1):
        reason = why_not()
        if reason:
            raise HostsError(reason)
        self.names = list(names)
        self.seed = seed
        self.links = {name: (links or {}).get(name, link) for name in self.names}
        self.addresses = {name: f"{NETWORK}{i}" for i, name in enumerate(self.names, 1)}
        self.last_address = len(self.names)
        self.processes = []
        self.shaper = None
        self.made = []
        self.directory = None

    def __enter__(self):
        try:
            self.open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *what):
        self.close()

    def namespace(self, host):
        return f"{PREFIX}-{os.getpid()}-{host}"

    def open(self):
        remove_leftovers()
        self.directory = tempfile.TemporaryDirectory(prefix=f"{PREFIX}-hosts-{os.getpid()}-", dir=RUN)
        for host in self.names:
            run_ip("netns", "add", self.namespace(host))
            self.made.append(host)
        # Many segments of a connection in one frame are cheap to carry, but lost all at once.
        offload = all(link.loss == 0 for link in self.links.values())
        places = [",".join([self.namespace(host), *self.links[host].settings()]) for host in self.names]
        # It ends with its standard input, so also when this process is killed. Ctrl-C is not for it.
        self.shaper = subprocess.Popen(
            [SHAPER, f"offload={int(offload)}", f"seed={self.seed}",
             f"control={self.control_path()}", *places],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True)
        if self.shaper.stdout.readline() != "ready\n":
            raise HostsError("no TAP devices: " + self.shaper.stderr.read().strip())
        for number, host in enumerate(self.names, 1):
            self.inside(host, "link", "set", "lo", "up")
            self.inside(host, "link", "set", "eth0", "mtu", MTU, "txqueuelen", 2000, "up")
            self.inside(host, "addr", "add", f"{self.addresses[host]}/24", "brd", "+", "dev", "eth0")
            # Without IPv6 in the kernel there is none.
            run_ip("-n", self.namespace(host), "addr", "add", f"{NETWORK6}{number:x}/64", "dev", "eth0",
                   "nodad", check=False)

    def close(self):
        for host in self.made:
            remove_namespace(self.namespace(host))
        self.made = []
        for process in self.processes:
            process.poll()
        if self.shaper is not None:
            self.shaper.stdin.close()
            try:
                self.shaper.wait(5)
            except subprocess.TimeoutExpired:
                self.shaper.kill()
                self.shaper.wait()
            self.shaper.stdout.close()
            self.shaper.stderr.close()
            self.shaper = None
        if self.directory is not None:
            self.directory.cleanup()
            self.directory = None

    # --- processes ---

    def command(self, host, arguments):
        """As which a command runs in a host; the process that is started becomes the command."""
        return ["ip", "netns", "exec", self.namespace(host), *map(str, arguments)]

    def start(self, host, arguments, **how):
        """A subprocess.Popen in a host; it ends with the hosts at the latest."""
        process = subprocess.Popen(self.command(host, arguments), **how)
        self.processes.append(process)
        return process

    def run(self, host, arguments, **how):
        return subprocess.run(self.command(host, arguments), **how)

    def connect(self, host, address, timeout=None):
        """A TCP connection of this process that leaves from the host."""
        found = {}

        def inside():
            # A socket belongs to the namespace of the thread that made it, for good.
            try:
                with open(NAMESPACES / self.namespace(host), "rb") as name_space:
                    enter = ctypes.CDLL(None, use_errno=True).setns
                    if enter(name_space.fileno(), CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), "setns")
                found["socket"] = socket.socket()
            except OSError as error:
                found["error"] = error
        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        if "error" in found:
            raise found["error"]
        connection = found["socket"]
        connection.settimeout(timeout)
        try:
            connection.connect(address)
        except OSError:
            connection.close()
            raise
        return connection

    # --- the network ---

    def control_path(self):
        return pathlib.Path(self.directory.name) / "control"

    def tell(self, command):
        """Says a line to the link shaper; its answer. The commands are in tools/link_shaper/commands.h."""
        return tell(self.control_path(), command)

    def set_link(self, host, link):
        self.links[host] = link
        self.tell(" ".join(["link", self.namespace(host), *link.settings()]))

    def link_down(self, host):
        """From now on all from and to this host is lost, without a word to either side."""
        self.tell(f"down {self.namespace(host)}")

    def link_up(self, host):
        self.tell(f"up {self.namespace(host)}")

    def reset(self, host, seconds):
        """Like a cut of so many seconds that is noticed: all connections of the host are reset."""
        self.tell(f"reset {self.namespace(host)}")
        time.sleep(seconds)
        self.link_up(host)

    def change_address(self, host, address=None):
        """The host's old IPv4 address is gone, as after a DHCP server has changed its mind; returns the
        new one."""
        if address is None:
            self.last_address += 1
            address = f"{NETWORK}{self.last_address}"
        self.inside(host, "addr", "add", f"{address}/24", "brd", "+", "dev", "eth0")
        self.inside(host, "addr", "del", f"{self.addresses[host]}/24", "dev", "eth0")
        # Deleting the first address of a network deletes the others with it.
        run_ip("-n", self.namespace(host), "addr", "add", f"{address}/24", "brd", "+", "dev", "eth0",
               check=False)
        self.addresses[host] = address
        return address

    def inside(self, host, *arguments):
        return run_ip("-n", self.namespace(host), *arguments)

    def counts(self):
        """For each host, what the link shaper has counted: sent, received, received_bytes, lost, dropped."""
        table = {}
        for line in self.tell("status").splitlines():
            name, state, *fields = line.split()
            values = dict(field.split("=") for field in fields)
            table[name.split("-", 2)[2]] = {"state": state,
                                            **{key: float(value) for key, value in values.items()}}
        return table


def tell(control_path, command):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
        control.settimeout(5)
        control.connect(str(control_path))
        control.send(command.encode())
        answer = control.recv(1 << 20).decode()
    if answer.startswith("error"):
        raise HostsError(f"{command}: {answer}")
    return answer
