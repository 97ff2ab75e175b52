"""MiniMax-M2 (the norm is across heads, half of each head is rotated): huggingface/transformers:src/
transformers/models/minimax_m2/modeling_minimax_m2.py, MiniMaxM2RMSNorm and apply_rotary_pos_emb."""
import reference
from formulas import (across_heads, rms_norm_rounded_before_weight, rope_halves,
                      rope_halves_in_fp32)


class Transformers(reference.Family):
    """Cosines, sines and products of the rotation in q's dtype."""
    shape = reference.Shape(48, 8, 128, 64, "neox", 1e-6)
    rounding = "hf_eager"
    fields = {"norm_scope": "token"}
    table_in_dtype = True
    theta = 5e6

    def model(self, x, weight, cos, sin, eps):
        return rope_halves(across_heads(rms_norm_rounded_before_weight, x, weight, eps), cos, sin)


class Served(reference.Family):
    """The rotation in fp32, as serving engines' kernels have it."""
    shape = Transformers.shape
    rounding = "hf"
    fields = Transformers.fields
    theta = 5e6

    def model(self, x, weight, cos, sin, eps):
        return rope_halves_in_fp32(across_heads(rms_norm_rounded_before_weight, x, weight, eps), cos, sin)


if __name__ == "__main__":
    reference.main()
