"""Captured tensors: safetensors files by hand, and what the operation makes of them."""

import json
import math
import random
import struct

HEAD_DIM, ROPE_DIM, TOKENS, HEADS_Q, HEADS_K, ROWS, EPS = 8, 6, 3, 2, 1, 16, 2**-17
SIZES = {"F32": 4, "F16": 2, "BF16": 2, "I32": 4, "I64": 8, "F8_E4M3": 1}
FORMATS = {"F32": "f", "F16": "e", "BF16": "h", "I32": "i", "I64": "q", "F8_E4M3": "B"}  # BF16, F8: bits


def write(path, tensors):
    """{name: (dtype, shape, values)} as a safetensors file."""
    header, data = {}, b""
    for name, (dtype, shape, values) in tensors.items():
        packed = struct.pack(f"<{len(values)}{FORMATS[dtype]}", *values)
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [len(data), len(data) + len(packed)]}
        data += packed
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def read(path):
    blob = path.read_bytes()
    length, = struct.unpack_from("<Q", blob)
    header = json.loads(blob[8:8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        count = (end - begin) // SIZES[entry["dtype"]]
        values = struct.unpack(f"<{count}{FORMATS[entry['dtype']]}", blob[begin:end])
        tensors[name] = (entry["dtype"], entry["shape"], values)
    return tensors


def stored(dtype, values):
    """The values after rounding to the dtype."""
    form = f"<{len(values)}{FORMATS[dtype]}"
    return list(struct.unpack(form, struct.pack(form, *values)))


def capture(dtype="F32", positions="I64", tokens=TOKENS):
    """Tensors as a PyTorch module would hold them; the table is for ROWS positions."""
    rng = random.Random(7)

    def normal(*shape):
        values = [rng.gauss(0, 1) for _ in range(math.prod(shape))]
        return dtype, list(shape), stored(dtype, values)
    frequencies = [100 ** (-2 * i / ROPE_DIM) for i in range(ROPE_DIM // 2)]
    angles = [[row * frequency for frequency in frequencies] for row in range(ROWS)]
    table = [f(angle) for row in angles for f in (math.cos, math.sin) for angle in row]
    tensors = {"q": normal(tokens, HEADS_Q, HEAD_DIM), "k": normal(tokens, HEADS_K, HEAD_DIM),
               "q_weight": normal(HEAD_DIM), "k_weight": normal(HEAD_DIM),
               "cos_sin_cache": ("F32", [ROWS, ROPE_DIM], stored("F32", table))}
    if positions:
        tensors["positions"] = (positions, [tokens], [(11 + 5 * t) % ROWS for t in range(tokens)])
    return tensors


def reference(tensors, name, layout):
    """The norm and RoPE of `name` in double precision, element by element: LayerNorm if there is a
    bias, else RMSNorm."""
    _, (tokens, heads, _), x = tensors[name]
    weight = tensors[name + "_weight"][2]
    bias = tensors.get(name + "_bias", (None, None, None))[2]
    table = tensors["cos_sin_cache"][2]
    positions = tensors.get("positions", (None, None, range(tokens)))[2]
    out, half = [], ROPE_DIM // 2
    for row in range(tokens * heads):
        head = x[row * HEAD_DIM:(row + 1) * HEAD_DIM]
        if bias:
            head = [v - sum(head) / HEAD_DIM for v in head]
        scale = 1 / math.sqrt(sum(v * v for v in head) / HEAD_DIM + EPS)
        y = [v * scale * w + b for v, w, b in zip(head, weight, bias or [0] * HEAD_DIM)]
        rotated = list(y)
        for i in range(half):
            a, b = (2 * i, 2 * i + 1) if layout == "interleaved" else (i, i + half)
            cos, sin = (table[positions[row // heads] * ROPE_DIM + j] for j in (i, i + half))
            rotated[a], rotated[b] = y[a] * cos - y[b] * sin, y[b] * cos + y[a] * sin
        out += rotated
    return out
