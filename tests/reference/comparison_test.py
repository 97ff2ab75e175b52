"""The comparisons themselves: what is wrong in a call or in its spec does not pass."""
import dataclasses

import reference
from formulas import rms_norm_rounded_before_weight, rope_pairs
from pytorch import torch


class Comparison(reference.Reference):
    shape = reference.Shape(4, 2, 64, 64, "interleaved", 1e-6)
    rounding = "hf"

    def model(self, x, weight, cos, sin, eps):
        return rope_pairs(rms_norm_rounded_before_weight(x, weight, eps), cos, sin)

    def assert_seen(self, given, wrong, **fields):
        """`wrong` is what the library is given in place of `given`, `fields` are in its spec."""
        with self.assertRaises(AssertionError):
            self.assert_bits(self.run_call(wrong, **{"rounding": "hf"} | fields),
                             self.expected(given, given.q.dtype))
        if "rounding" not in fields:
            with self.assertRaises(AssertionError):
                self.assert_near(self.run_call(wrong, **{"rounding": "fused"} | fields),
                                 self.expected(given, torch.float64))

    def test_what_is_wrong_is_seen(self):
        for dtype in reference.HALVES:
            given = self.inputs(33, dtype, torch.int64)
            self.assert_bits(self.computed(given), self.expected(given, dtype))
            weight = given.k_weight.clone()
            weight[5] = weight[6]
            for name, wrong in {"eps": {"eps": 1e-5},
                                "weights": {"q_weight": given.k_weight, "k_weight": given.q_weight},
                                "one weight": {"k_weight": weight},
                                "positions": {"positions": given.positions + 1},
                                "direction": {"sin": -given.sin}}.items():
                with self.subTest(name, dtype=dtype):
                    positions = wrong.get("positions", given.positions).clamp(max=len(given.cos) - 1)
                    self.assert_seen(given, dataclasses.replace(given, **wrong | {"positions": positions}))
            for fields in ({"layout": "neox"}, {"norm": "none"}, *(
                    {"rounding": mode} for mode in ("fused", "split", "eager", "late_weight"))):
                with self.subTest(dtype=dtype, **fields):
                    wrong = given
                    if "norm" in fields:
                        wrong = dataclasses.replace(given, q_weight=None, k_weight=None)
                    self.assert_seen(given, wrong, **fields)

    def test_one_element_some_units_off_is_seen(self):
        given = self.inputs(9, torch.bfloat16)
        wanted = self.expected(given, torch.bfloat16)
        off = {name: want.clone() for name, want in wanted.items()}
        off["k"][-1, -1, -2] += off["k"][-1, -1, -2:].float().norm() * 2**-5
        with self.assertRaisesRegex(AssertionError, "units in the last place.* k"):
            self.assert_bits(off, wanted)


if __name__ == "__main__":
    reference.main()
