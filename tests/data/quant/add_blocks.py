"""Adds a block format to quants.gguf: its blocks, and the values that they stand for.

    python3 tests/data/quant/add_blocks.py NAME NUMBER COLUMNS BLOCKS VALUES

NAME and NUMBER are the format's in GGUF. BLOCKS is a file of blocks, rows of COLUMNS values one after
the other; VALUES has the float32 values, little-endian, that another implementation decodes from them.
"""

import pathlib
import struct
import sys

FIXTURE = pathlib.Path(__file__).with_name("quants.gguf")
ALIGNMENT = 32
TEXT, F32 = 8, 0  # kinds of metadata and of tensors


def padded(data):
    return data + bytes(-len(data) % ALIGNMENT)


def text(name):
    return struct.pack("<Q", len(name)) + name.encode()


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, form):
        (value,) = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return value

    def text(self):
        length = self.number("Q")
        self.at += length
        return self.data[self.at - length:self.at].decode()


def tensor(name, kind, columns, rows, offset):
    return text(name) + struct.pack("<IQQIQ", 2, columns, rows, kind, offset)


def add(data, name, number, columns, blocks, values):
    rows = len(values) // 4 // columns
    if not rows or rows * columns * 4 != len(values) or len(blocks) % rows:
        sys.exit(f"{len(blocks)} bytes of blocks and {len(values)} of values are no rows of {columns} values")
    reader = Reader(data)
    magic, count, pairs = reader.number("Q"), reader.number("Q"), reader.number("Q")
    for _ in range(pairs):
        reader.text()
        if reader.number("I") != TEXT:
            sys.exit(f"{FIXTURE}: its metadata are expected to be texts")
        reader.text()
    for _ in range(count):
        if reader.text() == name + ".blocks":
            sys.exit(f"{FIXTURE} has {name} already")
        reader.at += 4 + 8 + 8 + 4 + 8
    head = data[24:reader.at]
    tensors = padded(data[reader.at + -reader.at % ALIGNMENT:])
    at = len(tensors)
    head += tensor(name + ".f32", F32, columns, rows, at)
    head += tensor(name + ".blocks", number, columns, rows, at + len(padded(values)))
    head = struct.pack("<QQQ", magic, count + 2, pairs) + head
    return padded(head) + tensors + padded(values) + padded(blocks)


def main():
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    name, number, columns, blocks, values = sys.argv[1:]
    FIXTURE.write_bytes(add(FIXTURE.read_bytes(), name, int(number), int(columns),
                            pathlib.Path(blocks).read_bytes(), pathlib.Path(values).read_bytes()))


if __name__ == "__main__":
    main()
