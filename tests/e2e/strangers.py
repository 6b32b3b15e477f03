"""What strangers on the network do to a coordinator: connections, frames, floods. Plain sockets."""

import os
import pathlib
import socket
import struct
import time

# A greeting of the protocol, with the mechanism that our sockets expect.
GREETING = (b"\xff" + bytes(8) + b"\x7f" + b"\x03\x01" + b"CURVE".ljust(20, b"\0") + b"\0"
            + bytes(31))
MIB = 1 << 20


def command(size):
    """The beginning of a command of so many bytes."""
    return b"\x06" + struct.pack(">Q", size)


class Watched:
    """Figures of a process: what it had at the start, and the worst since."""

    def __init__(self, process_id):
        self.root = pathlib.Path(f"/proc/{process_id}")
        self.start_resident, self.start_open = self.resident(), self.open_files()
        self.begin()

    def begin(self):
        self.start_processor = self.processor_seconds()
        self.started = time.monotonic()
        self.worst_resident, self.worst_open = 0, 0

    def resident(self):
        for line in (self.root / "status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def open_files(self):
        return len(os.listdir(self.root / "fd"))

    def processor_seconds(self):
        fields = (self.root / "stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def look(self):
        self.worst_resident = max(self.worst_resident, self.resident())
        self.worst_open = max(self.worst_open, self.open_files())

    def figures(self):
        busy = self.processor_seconds() - self.start_processor
        return {
            "MiB": (self.worst_resident - self.start_resident) / MIB,
            "descriptors": self.worst_open - self.start_open,
            "processors": busy / (time.monotonic() - self.started),
        }


class Stranger:
    """One connection that is opened again whenever it ends. Says what it is told to."""

    def __init__(self, port, source, opening, filler):
        self.port, self.source, self.opening, self.filler = port, source, opening, filler
        self.socket, self.opened = None, 0

    def step(self):
        try:
            if self.socket is None:
                self.socket = socket.socket()
                self.socket.setblocking(False)
                self.socket.bind((self.source, 0))
                self.socket.connect_ex(("127.0.0.1", self.port))
                self.opened += 1
                self.left = list(self.opening)
            self.speak()
        except OSError:
            self.close()

    def speak(self):
        try:
            while self.socket.recv(4096):
                pass
            self.close()
            return
        except BlockingIOError:
            pass
        try:
            while self.left:
                self.socket.send(self.left[0])
                self.left.pop(0)
            for _ in range(8 if self.filler else 0):
                self.socket.send(self.filler)
        except BlockingIOError:
            pass

    def close(self):
        if self.socket is not None:
            self.socket.close()
        self.socket = None


def attack(watched, ports, connections, addresses, seconds, opening=(), filler=b""):
    """`connections` strangers at each port, from so many addresses; figures of the process."""
    watched.begin()
    strangers = [Stranger(port, f"127.0.{1 + i % addresses // 250}.{1 + i % addresses % 250}",
                          opening, filler)
                 for port in ports for i in range(connections)]
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            for stranger in strangers:
                stranger.step()
            watched.look()
            time.sleep(0.001)
        watched.look()
    finally:
        for stranger in strangers:
            stranger.close()
    figures = watched.figures()
    figures["opened"] = sum(stranger.opened for stranger in strangers)
    return figures
