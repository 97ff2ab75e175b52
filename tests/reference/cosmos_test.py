"""Cosmos 1.0: huggingface/diffusers:src/diffusers/models/transformers/transformer_cosmos.py,
CosmosAttnProcessor2_0 (apply_rotary_emb with use_real_unbind_dim=-2, in fp32). Cross attention is not rotated."""
import reference
from formulas import rms_norm_rounded_before_weight, rope_halves_in_fp32


class SelfAttention(reference.Family):
    """diffusers' RMSNorm; eps is the default of its Attention."""
    shape = reference.Shape(32, 32, 128, 128, "neox", 1e-5)
    rounding = "hf"
    axes = (44, 42, 42)

    def model(self, x, weight, cos, sin, eps):
        return rope_halves_in_fp32(rms_norm_rounded_before_weight(x, weight, eps), cos, sin)


class CrossAttention(reference.Family):
    shape = reference.Shape(32, 32, 128, 0, "neox", 1e-5)
    rounding = "hf"

    def model(self, x, weight, cos, sin, eps):
        return rms_norm_rounded_before_weight(x, weight, eps)


if __name__ == "__main__":
    reference.main()
