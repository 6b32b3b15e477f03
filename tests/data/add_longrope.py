#!/usr/bin/env python3
"""Makes the fixtures phimoe-longrope-long and phimoe-longrope-short of the fixture phimoe.

    python3 tests/data/add_longrope.py

The model's weights stay; it gets two lists of divisors of rope's frequencies, and a factor for sines and cosines, as files of
Phi-3.5-MoE have them. In a context above the original one, which is 32 or 4096 positions here, the long list counts, else
the short one. What follows is computed here, in float64 and with nothing but the formulas, which are first held against
what the transformers library computed without divisors.
"""

import json
import math
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent / "arch"
FIXED = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
ALIGNMENT = 32
MIXER_THRESHOLD = 0.02
FACTOR = 1.19


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        value = struct.unpack_from("<" + form, self.data, self.at)[0]
        self.at += struct.calcsize("<" + form)
        return value

    def text(self):
        size = self.take("Q")
        self.at += size
        return self.data[self.at - size:self.at].decode()

    def value(self, kind):
        if kind == 8:
            return self.text()
        if kind != 9:
            return self.take(FIXED[kind])
        inner, count = self.take("I"), self.take("Q")
        return [self.value(inner) for _ in range(count)]


def halves(data, count):
    return list(struct.unpack_from(f"<{count}e", data))


def read(path):
    """Metadata and tensors, and where in the file both lists and the data begin."""
    reader = Reader(path.read_bytes())
    assert reader.take("I") == 0x46554747
    assert reader.take("I") == 3
    tensor_count, pair_count = reader.take("Q"), reader.take("Q")
    metadata, places = {}, {}
    for _ in range(pair_count):
        key = reader.text()
        kind = reader.take("I")
        places[key] = reader.at
        metadata[key] = reader.value(kind)
    tensors_at = reader.at
    infos = []
    for _ in range(tensor_count):
        name = reader.text()
        shape = [reader.take("Q") for _ in range(reader.take("I"))]
        infos.append((name, shape, reader.take("I"), reader.take("Q")))
    listed = reader.at
    data_at = (listed + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
    tensors = {}
    for name, shape, kind, offset in infos:
        count, begin = math.prod(shape), data_at + offset
        raw = reader.data[begin:begin + count * (4 if kind == 0 else 2)]
        assert kind in (0, 1), name
        tensors[name] = list(struct.unpack(f"<{count}f", raw)) if kind == 0 else halves(raw, count)
    return reader.data, metadata, tensors, places, tensors_at, listed, data_at


def product(matrix, x):
    width = len(x)
    return [sum(map(float.__mul__, matrix[i:i + width], x)) for i in range(0, len(matrix), width)]


def plus(a, b):
    return [x + y for x, y in zip(a, b)]


def layer_norm(x, weight, bias, epsilon):
    mean = sum(x) / len(x)
    deviation = math.sqrt(sum((v - mean) ** 2 for v in x) / len(x) + epsilon)
    return [(v - mean) / deviation * w + b for v, w, b in zip(x, weight, bias)]


class Model:
    def __init__(self, metadata, tensors, divisors, factor):
        self.tensors = tensors
        key = metadata["general.architecture"] + "."
        self.layers = metadata[key + "block_count"]
        self.heads = metadata[key + "attention.head_count"]
        self.kv_heads = metadata[key + "attention.head_count_kv"]
        self.hidden = metadata[key + "embedding_length"]
        self.size = self.hidden // self.heads
        self.epsilon = metadata[key + "attention.layer_norm_rms_epsilon"]
        self.experts = metadata[key + "expert_count"]
        self.used = metadata[key + "expert_used_count"]
        base = metadata[key + "rope.freq_base"]
        self.frequencies = [base ** (-2 * i / self.size) / divisors[i] for i in range(self.size // 2)]
        self.factor = factor
        self.keys = [[] for _ in range(self.layers)]
        self.values = [[] for _ in range(self.layers)]

    def weights(self, name):
        return self.tensors[name]

    def turned(self, head, position):
        half, out = self.size // 2, head[:]
        for i, frequency in enumerate(self.frequencies):
            cosine = math.cos(position * frequency) * self.factor
            sine = math.sin(position * frequency) * self.factor
            out[i] = head[i] * cosine - head[i + half] * sine
            out[i + half] = head[i + half] * cosine + head[i] * sine
        return out

    def projected(self, block, part, x):
        return plus(product(self.weights(f"{block}.attn_{part}.weight"), x), self.weights(f"{block}.attn_{part}.bias"))

    def attention(self, layer, x, position):
        block = f"blk.{layer}"
        split = lambda flat: [flat[i:i + self.size] for i in range(0, len(flat), self.size)]
        queries = [self.turned(head, position) for head in split(self.projected(block, "q", x))]
        self.keys[layer].append([self.turned(head, position) for head in split(self.projected(block, "k", x))])
        self.values[layer].append(split(self.projected(block, "v", x)))
        mixed = []
        for number, query in enumerate(queries):
            kv = number // (self.heads // self.kv_heads)
            scores = [sum(map(float.__mul__, query, keys[kv])) / math.sqrt(self.size) for keys in self.keys[layer]]
            highest = max(scores)
            parts = [math.exp(score - highest) for score in scores]
            total = sum(parts)
            head = [0.0] * self.size
            for part, values in zip(parts, self.values[layer]):
                head = [h + part / total * v for h, v in zip(head, values[kv])]
            mixed += head
        return self.projected(block, "output", mixed)

    def chosen(self, logits):
        """One expert after the other; its weight is a softmax over what is near it and left."""
        left, pairs = dict(enumerate(logits)), []
        for _ in range(self.used):
            best = max(left, key=lambda e: left[e])
            top = left[best]
            near = [v for v in left.values() if (top - v) / max(abs(v), top) <= MIXER_THRESHOLD]
            pairs.append((best, 1 / sum(math.exp(v - top) for v in near)))
            del left[best]
        return pairs

    def feed_forward(self, layer, x):
        block, out = f"blk.{layer}", [0.0] * self.hidden
        matrices = {part: self.weights(f"{block}.ffn_{part}_exps.weight") for part in ("gate", "up", "down")}
        for expert, weight in self.chosen(product(self.weights(f"{block}.ffn_gate_inp.weight"), x)):
            size = len(matrices["gate"]) // self.experts
            own = {part: matrix[expert * size:(expert + 1) * size] for part, matrix in matrices.items()}
            gate, up = product(own["gate"], x), product(own["up"], x)
            inner = [g / (1 + math.exp(-g)) * u for g, u in zip(gate, up)]
            out = [o + weight * y for o, y in zip(out, product(own["down"], inner))]
        return out

    def norm(self, name, x):
        return layer_norm(x, self.weights(f"{name}.weight"), self.weights(f"{name}.bias"), self.epsilon)

    def step(self, token, position):
        x = self.weights("token_embd.weight")[token * self.hidden:(token + 1) * self.hidden]
        for layer in range(self.layers):
            x = plus(x, self.attention(layer, self.norm(f"blk.{layer}.attn_norm", x), position))
            x = plus(x, self.feed_forward(layer, self.norm(f"blk.{layer}.ffn_norm", x)))
        logits = product(self.weights("output.weight"), self.norm("output_norm", x))
        return plus(logits, self.weights("output.bias")) if "output.bias" in self.tensors else logits


def run(model, prompt, count):
    positions, greedy, last = [], [], []
    for position in range(len(prompt) + count - 1):
        token = prompt[position] if position < len(prompt) else greedy[-1]
        logits = model.step(token, position)
        positions.append(logits)
        if position == len(prompt) - 1:
            last = logits
        if position >= len(prompt) - 1:
            greedy.append(max(range(len(logits)), key=logits.__getitem__))
    return positions, greedy, last


def check(model, reference):
    positions, greedy, last = run(model, reference["prompt"], len(reference["greedy"]))
    worst = max(abs(a - b) for a, b in zip(last, reference["last_logits"]))
    for found, expected in zip(positions, reference["logits_every_position_first16"]):
        worst = max(worst, max(abs(a - b) for a, b in zip(found, expected)))
    print(f"phimoe: differs from transformers by at most {worst:.2g}", file=sys.stderr)
    assert greedy == reference["greedy"]
    assert worst < 1e-3


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def padded(data):
    return data + bytes(-len(data) % ALIGNMENT)


def with_divisors(parsed, original, lists):
    data, metadata, _, places, tensors_at, listed, data_at = parsed
    key = metadata["general.architecture"] + ".rope.scaling."
    data = bytearray(data)
    struct.pack_into("<I", data, places[key + "original_context_length"], original)
    pairs = text(key + "attn_factor") + struct.pack("<If", 6, FACTOR)
    tensors, payload = b"", padded(data[data_at:])
    for name, numbers in lists.items():
        tensors += text(f"rope_factors_{name}.weight") + struct.pack("<IQIQ", 1, len(numbers), 0, len(payload))
        payload = padded(payload + struct.pack(f"<{len(numbers)}f", *numbers))
    tensor_count, pair_count = struct.unpack_from("<QQ", data, 8)
    head = data[:8] + struct.pack("<QQ", tensor_count + len(lists), pair_count + 1)
    head += data[24:tensors_at] + pairs + data[tensors_at:listed] + tensors
    return padded(head) + payload


def main():
    parsed = read(HERE / "phimoe/model.gguf")
    _, metadata, tensors, *_ = parsed
    reference = json.loads((HERE / "phimoe/reference.json").read_text())
    pairs = metadata["phimoe.embedding_length"] // metadata["phimoe.attention.head_count"] // 2
    check(Model(metadata, tensors, [1.0] * pairs, 1.0), reference)
    rounded = lambda number: struct.unpack("<f", struct.pack("<f", number))[0]
    lists = {"long": [rounded(1 + 0.7 * i) for i in range(pairs)], "short": [rounded(1 + 0.05 * i) for i in range(pairs)]}
    for name, original in (("long", 32), ("short", 4096)):
        positions, greedy, last = run(Model(metadata, tensors, lists[name], rounded(FACTOR)), reference["prompt"],
                                      len(reference["greedy"]))
        folder = HERE / f"phimoe-longrope-{name}"
        folder.mkdir(exist_ok=True)
        (folder / "model.gguf").write_bytes(with_divisors(parsed, original, lists))
        made = {"source": "tests/data/add_longrope.py, float64", "prompt": reference["prompt"], "greedy": greedy,
                "last_logits": [round(v, 5) for v in last],
                "logits_every_position_first16": [[round(v, 5) for v in row[:16]] for row in positions]}
        (folder / "reference.json").write_text(json.dumps(made) + "\n")


if __name__ == "__main__":
    main()
