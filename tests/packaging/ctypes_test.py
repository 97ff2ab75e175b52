#!/usr/bin/env python3
"""Drives the C ABI from Python on host memory, against the formula in double precision.

usage: ctypes_test.py LIBRARY
"""
import ctypes
import math
import random
import re
import sys
import tempfile
import threading
import unittest
from ctypes import byref, c_float, c_int32, c_int64, c_size_t, c_void_p

import qkjit_abi as abi

EPS = 1e-6
lib = abi.load(sys.argv.pop())


def floats(values):
    values = list(values)
    return (c_float * max(1, len(values)))(*values)


def expected_row(x, weight, table_row, rope_dim, layout):
    """RMSNorm of one head, then the rotation of its first rope_dim elements."""
    r = 1 / math.sqrt(sum(v * v for v in x) / len(x) + EPS)
    y = [v * r * w for v, w in zip(x, weight)]
    half = rope_dim // 2
    for i in range(half):
        a, b = (2 * i, 2 * i + 1) if layout == abi.INTERLEAVED else (i, i + half)
        c, s = table_row[i], table_row[half + i]
        y[a], y[b] = y[a] * c - y[b] * s, y[b] * c + y[a] * s
    return y


class Call:
    """Q, K and all else of one call, with random data. Q and K are views of packed rows [q | k | v]."""

    def __init__(self, spec, tokens=3, heads_q=4, heads_k=2, rows=16):
        random.seed(7)
        dim, rope = spec.head_dim, spec.rope_dim
        self.spec, self.tokens, self.heads, self.offset = spec, tokens, {"q": heads_q, "k": heads_k}, 2
        self.token_stride = (heads_q + 2 * heads_k) * dim
        self.start = {"q": 0, "k": heads_q * dim}
        self.packed = floats(random.uniform(-3, 3) for _ in range(tokens * self.token_stride))
        self.weight = {n: floats(random.uniform(0.5, 1.5) for _ in range(dim)) for n in "qk"}
        angles = [[random.uniform(-3, 3) for _ in range(rope // 2)] for _ in range(rows)]
        self.table = floats(f(a) for row in angles for f in (math.cos, math.sin) for a in row)
        kind = c_int32 if spec.positions == abi.POSITIONS_INT32 else c_int64
        self.positions = (kind * max(1, tokens))(*[5 * t % (rows - self.offset) for t in range(tokens)])

        a = self.args = abi.Args(spec=spec, position_offset=self.offset, eps=EPS)
        a.q, a.k = (abi.tensor(self.packed, abi.FP32, [tokens, self.heads[n], dim], [self.token_stride, dim, 1],
                               self.start[n]) for n in "qk")
        a.q_weight, a.k_weight = (abi.tensor(self.weight[n], abi.FP32, [dim]) for n in "qk")
        if rope:
            a.cos_sin_cache = abi.tensor(self.table, abi.FP32, [rows, rope])
            if spec.positions != abi.POSITIONS_IMPLICIT:
                dtype = abi.INT32 if kind is c_int32 else abi.INT64
                a.positions = abi.tensor(self.positions, dtype, [tokens])

    def expected(self):
        """The packed rows as they should be after an in-place call; v is untouched."""
        out, dim, rope = list(self.packed), self.spec.head_dim, self.spec.rope_dim
        for t in range(self.tokens):
            row = self.offset + (t if self.spec.positions == abi.POSITIONS_IMPLICIT else self.positions[t])
            for n in "qk":
                for h in range(self.heads[n]):
                    at = t * self.token_stride + self.start[n] + h * dim
                    out[at:at + dim] = expected_row(out[at:at + dim], self.weight[n],
                                                    self.table[row * rope:(row + 1) * rope], rope, self.spec.layout)
        return out


class CAbi(unittest.TestCase):
    def setUp(self):
        self.cache = tempfile.TemporaryDirectory()
        self.runtime = c_void_p()
        options = abi.Options(cache_dir=self.cache.name.encode())
        self.ok(lib.qkjit_runtime_create(byref(options), byref(self.runtime)))

    def tearDown(self):
        lib.qkjit_runtime_destroy(self.runtime)
        self.cache.cleanup()

    def ok(self, status):
        self.assertEqual(status, abi.OK, lib.qkjit_last_error().decode())

    def fails(self, status, wanted, *words):
        self.assertEqual(lib.qkjit_status_string(status), wanted.encode())
        for word in words:
            self.assertRegex(lib.qkjit_last_error().decode(), rf"\b{word}\b")

    def parse(self, text):
        spec = abi.Spec()
        self.ok(lib.qkjit_spec_parse(text.encode(), byref(spec)))
        return spec

    def launch(self, call):  # holds the call, whose buffers its args only point to
        dispatch = abi.Dispatch()
        return lib.qkjit_launch(self.runtime, byref(call.args), abi.STREAM_HOST, byref(dispatch)), dispatch

    def test_version(self):
        self.assertTrue(re.fullmatch(r"\d+\.\d+\.\d+", lib.qkjit_version().decode()))

    def test_spec_text(self):
        spec = self.parse("dtype=fp32,head_dim=96,layout=neox,positions=int32,rope_dim=40,rounding=fused")
        self.assertEqual((spec.head_dim, spec.rope_dim, spec.layout, spec.dtype, spec.positions),
                         (96, 40, abi.NEOX, abi.FP32, abi.POSITIONS_INT32))
        canonical = b"head_dim=96,rope_dim=40,layout=neox,dtype=fp32,positions=int32"
        size, text = c_size_t(), ctypes.create_string_buffer(b"untouched", len(canonical) + 1)
        self.fails(lib.qkjit_spec_format(byref(spec), text, len(canonical), byref(size)), "invalid_argument")
        self.assertEqual((text.value, size.value), (b"untouched", len(canonical) + 1))
        self.ok(lib.qkjit_spec_format(byref(spec), text, size.value, None))
        self.assertEqual(text.value, canonical)

    def test_bad_spec_text_is_named(self):
        for text, word in (("head_dim=64,rope_dim=64,layout=neox,dtype=fp32,colour=red", "colour"),
                           ("head_dim=64,rope_dim=64,layout=spiral,dtype=fp32", "spiral"),
                           ("head_dim=64,head_dim=64,rope_dim=64,layout=neox,dtype=fp32", "head_dim")):
            self.fails(lib.qkjit_spec_parse(text.encode(), byref(abi.Spec())), "invalid_argument", word)

    def test_supports_gives_the_reason(self):
        for text, status, path, reason in (
                ("head_dim=128,rope_dim=128,layout=interleaved,dtype=bf16", abi.OK, "fused", "none"),
                ("head_dim=100,rope_dim=50,layout=neox,dtype=bf16", abi.OK, "generic", "shape")):
            support = abi.Support()
            self.assertEqual(lib.qkjit_supports(byref(self.parse(text)), byref(support)), status)
            self.assertEqual(lib.qkjit_path_string(support.dispatch.path), path.encode())
            self.assertEqual(lib.qkjit_reason_string(support.dispatch.reason), reason.encode())
            self.assertEqual(support.text == b"", path == "fused")
        too_large = abi.Spec(head_dim=2048, rope_dim=64, dtype=abi.FP32)
        self.fails(lib.qkjit_supports(byref(too_large), byref(support)), "unsupported", "2048")
        self.assertIn(b"2048", support.text)

    def test_launch_matches_the_formula(self):
        for spec in (abi.Spec(head_dim=16, rope_dim=16, dtype=abi.FP32),
                     abi.Spec(head_dim=24, rope_dim=10, layout=abi.NEOX, dtype=abi.FP32,
                              positions=abi.POSITIONS_INT32),
                     abi.Spec(head_dim=7, rope_dim=6, dtype=abi.FP32, positions=abi.POSITIONS_IMPLICIT),
                     abi.Spec(head_dim=64, rope_dim=0, dtype=abi.FP32)):
            with self.subTest(head_dim=spec.head_dim, rope_dim=spec.rope_dim):
                call = Call(spec)
                wanted = call.expected()
                status, dispatch = self.launch(call)
                self.ok(status)
                self.assertEqual((dispatch.path, dispatch.reason), (abi.PATH_CPU, abi.REASON_HOST_MEMORY))
                for got, want in zip(call.packed, wanted):
                    self.assertAlmostEqual(got, want, delta=4e-6)

    def test_computed_angles_match_a_table_of_them(self):
        spec = self.parse("head_dim=16,rope_dim=16,layout=neox,dtype=fp32,angles=computed")
        call = Call(spec)
        turns = [[row * 5e5 ** (-i / 8) / 4 for i in range(8)] for row in range(16)]
        call.table = floats(1.25 * f(a) for row in turns for f in (math.cos, math.sin) for a in row)
        call.args.cos_sin_cache = abi.Tensor()
        call.args.frequencies = abi.Frequencies(base=5e5, linear_factor=4, attention_factor=1.25)
        wanted = call.expected()
        self.ok(self.launch(call)[0])
        for got, want in zip(call.packed, wanted):
            self.assertAlmostEqual(got, want, delta=4e-6)
        call.args.frequencies = abi.Frequencies()
        self.fails(self.launch(call)[0], "invalid_argument", "base")

    def test_out_of_place_leaves_the_input(self):
        call = Call(abi.Spec(head_dim=16, rope_dim=8, dtype=abi.FP32))
        before, wanted, out = list(call.packed), call.expected(), {}
        for n in "qk":
            shape = [call.tokens, call.heads[n], 16]
            out[n] = floats([0] * math.prod(shape))
            setattr(call.args, n + "_out", abi.tensor(out[n], abi.FP32, shape))
        self.ok(self.launch(call)[0])
        self.assertEqual(list(call.packed), before)
        for n in "qk":
            size = call.heads[n] * 16
            for i, got in enumerate(out[n]):
                at = i // size * call.token_stride + call.start[n] + i % size
                self.assertAlmostEqual(got, wanted[at], delta=4e-6)

    def test_bad_calls_write_nothing(self):
        def broken(**changes):
            call = Call(abi.Spec(head_dim=16, rope_dim=16, dtype=abi.FP32))
            for name, value in changes.items():
                setattr(call.args, name, value)
            return call

        for changes, status, word in (
                ({"q": abi.Tensor()}, "invalid_argument", "q"),
                ({"cos_sin_cache": abi.Tensor()}, "invalid_argument", "cos_sin_cache"),
                ({"eps": -1.0}, "invalid_argument", "eps"),
                ({"eps": math.nan}, "invalid_argument", "eps"),
                ({"struct_size": 8}, "invalid_argument", "struct_size")):
            with self.subTest(**changes):
                call = broken(**changes)
                before = list(call.packed)
                self.fails(self.launch(call)[0], status, word)
                self.assertEqual(list(call.packed), before)

        call = broken(path=abi.PATH_FUSED)  # the fused kernel is on no host
        self.assertNotEqual(self.launch(call)[0], abi.OK)

    def test_zero_tokens_is_ok(self):
        status, dispatch = self.launch(Call(abi.Spec(head_dim=16, rope_dim=16, dtype=abi.FP32), tokens=0))
        self.ok(status)
        self.assertEqual(dispatch.path, abi.PATH_NONE)

    def test_last_error_is_of_this_thread(self):
        self.fails(lib.qkjit_spec_parse(b"nonsense", byref(abi.Spec())), "invalid_argument", "nonsense")
        seen = []
        thread = threading.Thread(target=lambda: seen.append(lib.qkjit_last_error()))
        thread.start()
        thread.join()
        self.assertEqual(seen, [b""])

    def test_stats_count_launches(self):
        for _ in range(3):
            self.ok(self.launch(Call(abi.Spec(head_dim=16, rope_dim=16, dtype=abi.FP32)))[0])
        stats = abi.Stats()
        self.ok(lib.qkjit_get_stats(self.runtime, byref(stats)))
        self.assertEqual((stats.cpu, stats.fused, stats.generic, stats.compiled, stats.failed), (3, 0, 0, 0, 0))
        self.assertEqual(stats.reasons[abi.REASON_HOST_MEMORY], 3)

    def test_destroy_takes_null(self):
        lib.qkjit_runtime_destroy(None)


unittest.main()
