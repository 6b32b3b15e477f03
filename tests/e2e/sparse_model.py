"""Writes model files with large experts that take no space on disk: everything in them is zero.
Metadata and tokenizer are those of the small Qwen3-MoE fixture."""

import struct

STRING, ARRAY, U32 = 8, 9, 4
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
F32, F16, Q8_0 = 0, 1, 8
BYTES = {F32: (1, 4), F16: (1, 2), Q8_0: (32, 34)}


def metadata_of(path):
    """The key-value pairs of a GGUF file, each as (key, bytes of type and value)."""
    data = path.read_bytes()
    count = struct.unpack_from("<Q", data, 16)[0]
    position = 24

    def string_end(at):
        return at + 8 + struct.unpack_from("<Q", data, at)[0]

    def value_end(kind, at):
        if kind == STRING:
            return string_end(at)
        if kind != ARRAY:
            return at + SIZES[kind]
        inner, length = struct.unpack_from("<IQ", data, at)
        at += 12
        if inner != STRING:
            return at + length * SIZES[inner]
        for _ in range(length):
            at = string_end(at)
        return at

    pairs = []
    for _ in range(count):
        end = string_end(position)
        key = data[position + 8:end].decode()
        kind = struct.unpack_from("<I", data, end)[0]
        stop = value_end(kind, end + 4)
        pairs.append((key, data[end:stop]))
        position = stop
    return pairs


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def write(fixture, path, hidden=512, width=768, experts=32, layers=4, experts_type=F16):
    """About 2 * 3 * hidden * width * experts * layers bytes of experts (in F16)."""
    heads, kv_heads, head = 8, 2, 64
    numbers = {"embedding_length": hidden, "expert_feed_forward_length": width,
               "expert_count": experts, "expert_used_count": 4, "block_count": layers,
               "attention.head_count": heads, "attention.head_count_kv": kv_heads,
               "attention.key_length": head, "attention.value_length": head,
               "context_length": 8192}
    pairs = dict(metadata_of(fixture))
    for key, value in numbers.items():
        pairs["qwen3moe." + key] = struct.pack("<II", U32, value)
    tensors = [("token_embd", [hidden, 512], F16), ("output", [hidden, 512], F16),
               ("output_norm", [hidden], F32)]
    for layer in range(layers):
        tensors += [(f"blk.{layer}.{name}", shape, kind) for name, shape, kind in (
            ("attn_norm", [hidden], F32), ("ffn_norm", [hidden], F32),
            ("attn_q", [hidden, heads * head], Q8_0), ("attn_k", [hidden, kv_heads * head], Q8_0),
            ("attn_v", [hidden, kv_heads * head], Q8_0),
            ("attn_output", [heads * head, hidden], Q8_0), ("attn_q_norm", [head], F32),
            ("attn_k_norm", [head], F32), ("ffn_gate_inp", [hidden, experts], F32),
            ("ffn_gate_exps", [hidden, width, experts], experts_type),
            ("ffn_up_exps", [hidden, width, experts], experts_type),
            ("ffn_down_exps", [width, hidden, experts], experts_type))]
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs))
    header += b"".join(text(key) + value for key, value in pairs.items())
    offset = 0
    for name, shape, kind in tensors:
        header += text(name + ".weight") + struct.pack("<I", len(shape))
        header += struct.pack(f"<{len(shape)}QIQ", *shape, kind, offset)
        elements = 1
        for dimension in shape:
            elements *= dimension
        block, size = BYTES[kind]
        offset = (offset + elements // block * size + 31) // 32 * 32
    with open(path, "wb") as out:
        out.write(header + bytes(-len(header) % 32))
        out.truncate(out.tell() + offset)
    return path
