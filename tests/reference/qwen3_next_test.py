"""Qwen3-Next (1 + w; a quarter of the head is rotated): huggingface/transformers:src/transformers/models/
qwen3_next/modeling_qwen3_next.py, Qwen3NextRMSNorm and apply_rotary_pos_emb."""
import reference
from formulas import over_rms, rope_halves, rope_halves_in_fp32, upcast


class Transformers(reference.Family):
    """Cosines, sines and products of the rotation in q's dtype. Weights around 0."""
    shape = reference.Shape(16, 2, 256, 64, "neox", 1e-6)
    rounding = "late_weight_eager"
    fields = {"weight": "one_plus"}
    table_in_dtype = True
    theta = 1e7

    def weight(self, source, exact):
        return super().weight(source, exact) - 1

    def normed(self, x, weight, eps):
        return (over_rms(x, eps) * (1.0 + upcast(weight))).to(x.dtype)

    def model(self, x, weight, cos, sin, eps):
        return rope_halves(self.normed(x, weight, eps), cos, sin)


class Served(Transformers):
    """The rotation in fp32, as serving engines' kernels have it."""
    rounding = "late_weight"
    table_in_dtype = False

    def model(self, x, weight, cos, sin, eps):
        return rope_halves_in_fp32(self.normed(x, weight, eps), cos, sin)


if __name__ == "__main__":
    reference.main()
