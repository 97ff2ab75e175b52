"""OLMo-2 (the norm is across heads, those of q and of k): huggingface/transformers:src/transformers/
models/olmo2/modeling_olmo2.py, Olmo2RMSNorm, Olmo2RotaryEmbedding and apply_rotary_pos_emb, whose
cosines, sines and products are fp32."""
import reference
from formulas import across_heads, rms_norm_rounded_once, rope_halves_in_fp32


class Olmo2(reference.Family):
    """The 7B model's heads."""
    shape = reference.Shape(32, 32, 128, 128, "neox", 1e-6)
    rounding = "late_weight"
    fields = {"norm_scope": "token"}
    theta = 5e5

    def model(self, x, weight, cos, sin, eps):
        return rope_halves_in_fp32(across_heads(rms_norm_rounded_once, x, weight, eps), cos, sin)


class GroupedQueries(Olmo2):
    """The 32B model's."""
    shape = reference.Shape(40, 8, 128, 128, "neox", 1e-6)


if __name__ == "__main__":
    reference.main()
