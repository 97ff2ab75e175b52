"""Wan (the norm is across heads): huggingface/diffusers:src/diffusers/models/transformers/
transformer_wan.py, WanAttention and WanAttnProcessor."""
import reference
from formulas import across_heads, rms_norm_of_kernels, rms_norm_rounded_once, rope_pairs


class Diffusers(reference.Family):
    """torch.nn.RMSNorm over dim_head * heads; products and sum of the rotation in fp32."""
    shape = reference.Shape(12, 12, 128, 128, "interleaved", 1e-6)
    rounding = "late_weight"
    fields = {"norm_scope": "token"}
    axes = (44, 42, 42)

    def model(self, x, weight, cos, sin, eps):
        return rope_pairs(across_heads(rms_norm_rounded_once, x, weight, eps), cos, sin)


class Served(Diffusers):
    """A norm kernel followed by a rotation kernel, with the heads of the 14B model."""
    shape = reference.Shape(40, 40, 128, 128, "interleaved", 1e-6)
    rounding = "split"

    def model(self, x, weight, cos, sin, eps):
        return rope_pairs(across_heads(rms_norm_of_kernels, x, weight, eps), cos, sin)


if __name__ == "__main__":
    reference.main()
