"""qkjit run --tensors --out: safetensors files in and out, against the formula in plain Python."""

import math

import qkjit_cli
from qkjit_cli import CliTest
from tensors import (EPS, HEAD_DIM, HEADS_K, HEADS_Q, ROPE_DIM, ROWS, TOKENS, capture, read,
                     reference, stored, write)


class RunTensors(CliTest):
    def run_tensors(self, tensors, *arguments, layout="neox", dtype="fp32", norm="norm=rms",
                    out="out.safetensors", **options):
        write(self.dir / "in.safetensors", tensors)
        spec = f"head_dim={HEAD_DIM},rope_dim={ROPE_DIM},layout={layout},dtype={dtype},{norm}"
        return self.qkjit("run", "--spec", spec, "--tensors", "in.safetensors", "--eps", EPS,
                          "--out", out, "--device", "cpu", *arguments, **options)

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

    def test_a_layer_norm_takes_its_biases(self):
        given = capture()
        biased = given | {name: ("F32", [HEAD_DIM], [0.25 * i - 1 for i in range(HEAD_DIM)])
                          for name in ("q_bias", "k_bias")}
        norm = "norm=layer,bias=yes"
        self.run_tensors(biased, "--check", norm=norm)
        for name, (_, _, values) in read(self.dir / "out.safetensors").items():
            for got, wanted in zip(values, reference(biased, name, "neox")):
                self.assertAlmostEqual(got, wanted, delta=2e-6)
        self.run_tensors(given, norm=norm, code=2, says="'q_bias'")
        self.run_tensors(biased, norm="norm=layer", code=2, says="q_bias is given")
        self.run_tensors(biased | {"k_bias": ("F16", [HEAD_DIM], [1] * HEAD_DIM)}, norm=norm, code=2,
                         says="k_bias is fp16")
        weightless = {n: t for n, t in given.items() if not n.endswith("_weight")}
        self.run_tensors(weightless, "--check", norm="weight=none")

    def test_v_and_fp8_outputs(self):
        given = capture() | {"v": capture()["k"]}
        self.run_tensors(given, "--check", norm="v=copy")
        self.assertEqual(list(read(self.dir / "out.safetensors")["v"][2]), given["v"][2])
        self.run_tensors(given, "--check", norm="v=copy,out=fp8_e4m3,out_scale=head")
        result = read(self.dir / "out.safetensors")
        for name in "qkv":
            self.assertEqual(result[name][:2], ("F8_E4M3", given[name][1]))
            values = given[name][2] if name == "v" else reference(given, name, "neox")
            for row, scale in enumerate(result[f"{name}_scale"][2]):
                largest = max(abs(value) for value in values[row * HEAD_DIM:(row + 1) * HEAD_DIM])
                self.assertAlmostEqual(scale, largest / 448, delta=2e-6)

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
                  ("F32", [TOKENS, HEADS_Q // 2, 2 * HEAD_DIM]),
                  ("F16", [TOKENS, HEADS_Q, HEAD_DIM])],
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
        self.run_tensors(good | {"w": good["k"]}, code=2, says="'w'")
        self.run_tensors(good | {"v": good["k"]}, code=2, says="v=copy")
        self.run_tensors(good, norm="v=copy", code=2, says="'v'")
        self.assertEqual(result.read_bytes(), b"precious")

    def test_files_that_are_no_tensors(self):
        command = ["run", "--spec", "head_dim=8,rope_dim=6,layout=neox,dtype=fp32",
                   "--device", "cpu", "--tensors", "in.safetensors"]
        write(self.dir / "in.safetensors", capture())
        good = (self.dir / "in.safetensors").read_bytes()
        for bad in [b"", b"\xff" * 64, good[:-1], good + b"\0", good.replace(b"{", b"[", 1)]:
            (self.dir / "in.safetensors").write_bytes(bad)
            self.qkjit(*command, code=2, says="in.safetensors")

    def test_computed_angles_are_not_in_a_file(self):
        write(self.dir / "in.safetensors", capture())
        self.qkjit("run", "--spec", "head_dim=8,rope_dim=6,layout=neox,dtype=fp32,angles=computed",
                   "--device", "cpu", "--tensors", "in.safetensors", code=3,
                   says=["angles=computed", "--tensors"])

    def test_an_out_that_cannot_be_written(self):
        self.run_tensors(capture(), out="no/such/out", code=4, says="no/such/out")

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
