"""qkjit run --tensors --out: safetensors files in and out, against the formula in plain Python."""

import json
import math
import random
import struct

import qkjit_cli
from qkjit_cli import CliTest

HEAD_DIM, ROPE_DIM, TOKENS, HEADS_Q, HEADS_K, ROWS, EPS = 8, 6, 3, 2, 1, 16, 2**-17
SIZES = {"F32": 4, "F16": 2, "BF16": 2, "I32": 4, "I64": 8}
FORMATS = {"F32": "f", "F16": "e", "I32": "i", "I64": "q"}


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
    angles = [[row * 100 ** (-2 * i / ROPE_DIM) for i in range(ROPE_DIM // 2)] for row in range(ROWS)]
    table = [f(angle) for row in angles for f in (math.cos, math.sin) for angle in row]
    tensors = {"q": normal(tokens, HEADS_Q, HEAD_DIM), "k": normal(tokens, HEADS_K, HEAD_DIM),
               "q_weight": normal(HEAD_DIM), "k_weight": normal(HEAD_DIM),
               "cos_sin_cache": ("F32", [ROWS, ROPE_DIM], stored("F32", table))}
    if positions:
        tensors["positions"] = (positions, [tokens], [(11 + 5 * t) % ROWS for t in range(tokens)])
    return tensors


def reference(tensors, name, layout):
    """RMSNorm and RoPE of `name` in double precision, element by element."""
    _, (tokens, heads, _), x = tensors[name]
    weight = tensors[name + "_weight"][2]
    table = tensors["cos_sin_cache"][2]
    positions = tensors.get("positions", (None, None, range(tokens)))[2]
    out, half = [], ROPE_DIM // 2
    for row in range(tokens * heads):
        head = x[row * HEAD_DIM:(row + 1) * HEAD_DIM]
        scale = 1 / math.sqrt(sum(v * v for v in head) / HEAD_DIM + EPS)
        y = [v * scale * w for v, w in zip(head, weight)]
        rotated = list(y)
        for i in range(half):
            a, b = (2 * i, 2 * i + 1) if layout == "interleaved" else (i, i + half)
            cos, sin = (table[positions[row // heads] * ROPE_DIM + j] for j in (i, i + half))
            rotated[a], rotated[b] = y[a] * cos - y[b] * sin, y[b] * cos + y[a] * sin
        out += rotated
    return out


class RunTensors(CliTest):
    def run_tensors(self, tensors, *arguments, layout="neox", dtype="fp32", eps=EPS, **options):
        write(self.dir / "in.safetensors", tensors)
        spec = f"head_dim={HEAD_DIM},rope_dim={ROPE_DIM},layout={layout},dtype={dtype}"
        return self.qkjit("run", "--spec", spec, "--tensors", "in.safetensors", "--eps", eps, "--out",
                          "out.safetensors", "--device", "cpu", *arguments, **options)

    def test_results_are_the_formula_s(self):
        for layout in ("neox", "interleaved"):
            for positions in ("I64", "I32", None):
                with self.subTest(layout=layout, positions=positions):
                    given = capture(positions=positions)
                    self.run_tensors(given, "--check", layout=layout)
                    result = read(self.dir / "out.safetensors")
                    self.assertEqual(sorted(result), ["k", "q"])
                    for name, (dtype, shape, values) in result.items():
                        self.assertEqual((dtype, shape), given[name][:2])
                        for got, wanted in zip(values, reference(given, name, layout)):
                            self.assertAlmostEqual(got, wanted, delta=2e-6)

    def test_half_precision_keeps_its_dtype(self):
        given = capture("F16")
        self.run_tensors(given, "--check", dtype="fp16")
        for name, (dtype, shape, values) in read(self.dir / "out.safetensors").items():
            self.assertEqual((dtype, shape), given[name][:2])
            for got, wanted in zip(values, reference(given, name, "neox")):
                self.assertAlmostEqual(got, wanted, delta=2**-9)  # results are below 4

    def test_bad_tensors_are_named_and_the_old_result_stays(self):
        result = self.dir / "out.safetensors"
        result.write_bytes(b"precious")
        good = capture()
        for name in ("q", "k", "q_weight", "k_weight", "cos_sin_cache"):
            self.run_tensors({n: t for n, t in good.items() if n != name}, code=2, says=f"'{name}'")
        wrong = {
            "q": [("F32", [TOKENS, HEADS_Q * HEAD_DIM]), ("F32", [TOKENS * HEADS_Q, 1, HEAD_DIM]),
                  ("F32", [TOKENS, HEADS_Q // 2, 2 * HEAD_DIM]), ("F16", [TOKENS, HEADS_Q, HEAD_DIM])],
            "k": [("F32", [1, TOKENS, HEAD_DIM]), ("I32", [TOKENS, HEADS_K, HEAD_DIM])],
            "q_weight": [("F32", [HEAD_DIM, 1]), ("F32", [HEAD_DIM + 1])],
            "k_weight": [("F16", [HEAD_DIM])],
            "cos_sin_cache": [("F32", [ROWS, ROPE_DIM - 2]), ("F16", [ROWS, ROPE_DIM])],
            "positions": [("F32", [TOKENS]), ("I64", [TOKENS + 1])],
        }
        for name, variants in wrong.items():
            for dtype, shape in variants:
                with self.subTest(name=name, dtype=dtype, shape=shape):
                    bad = {name: (dtype, shape, [1] * math.prod(shape))}
                    self.run_tensors(good | bad, code=2, says=[name, "in.safetensors"])
        self.run_tensors(good | {"positions": ("I64", [TOKENS], [0, ROWS, 1])}, code=2,
                         says=["positions", str(ROWS)])
        self.run_tensors(good | {"v": good["k"]}, code=2, says="'v'")
        self.assertEqual(result.read_bytes(), b"precious")

    def test_files_that_are_no_tensors(self):
        command = ["run", "--spec", "head_dim=8,rope_dim=6,layout=neox,dtype=fp32", "--device", "cpu",
                   "--tensors", "in.safetensors"]
        write(self.dir / "in.safetensors", capture())
        good = (self.dir / "in.safetensors").read_bytes()
        for bad in [b"", b"\xff" * 64, good[:-1], good + b"\0", good.replace(b"{", b"[", 1)]:
            (self.dir / "in.safetensors").write_bytes(bad)
            self.qkjit(*command, code=2, says="in.safetensors")

    def test_an_out_that_cannot_be_written(self):
        write(self.dir / "in.safetensors", capture())
        self.qkjit("run", "--spec", "head_dim=8,rope_dim=6,layout=neox,dtype=fp32", "--device", "cpu",
                   "--tensors", "in.safetensors", "--out", "no/such/out", code=4, says="no/such/out")

    def test_a_check_that_does_not_hold_is_1(self):
        """fp32 rounds some rows to the other neighbour than double does. A few among many are
        allowed for; a file of nothing else is not."""
        given = capture("F16", tokens=3000)
        self.run_tensors(given, "--check", dtype="fp16")
        got = read(self.dir / "out.safetensors")["q"][2]
        wanted = stored("F16", reference(given, "q", "neox"))
        row = next(i for i, pair in enumerate(zip(got, wanted)) if pair[0] != pair[1]) // HEAD_DIM
        position = given["positions"][2][row // HEADS_Q]

        odd = given | {
            "q": ("F16", [64, HEADS_Q, HEAD_DIM],
                  given["q"][2][row * HEAD_DIM:][:HEAD_DIM] * 64 * HEADS_Q),
            "k": ("F16", [64, HEADS_K, HEAD_DIM], given["k"][2][:64 * HEADS_K * HEAD_DIM]),
            "positions": ("I64", [64], [position] * 64)}
        done = self.run_tensors(odd, "--check", "--json", dtype="fp16", code=1)
        check = done.json()["calls"][0]["check"]
        self.assertEqual((check["passed"], check["wrong"]), (False, 0))
        self.assertGreaterEqual(check["within"], 64 * HEADS_Q)
        self.run_tensors(odd, dtype="fp16")


if __name__ == "__main__":
    qkjit_cli.main()
