"""Hunyuan's language models (the norm comes after the rotation): huggingface/transformers:src/
transformers/models/hunyuan_v1_dense/modeling_hunyuan_v1_dense.py, HunYuanDenseV1Attention."""
import reference
from formulas import rms_norm_rounded_before_weight, rope_halves
from quarter_turns import QuarterTurns


class Hunyuan(QuarterTurns, reference.SameBits):
    """HunYuanDenseV1RMSNorm over what apply_rotary_pos_emb gives."""
    shape = reference.Shape(32, 8, 128, 128, "neox", 1e-5)
    rounding = "hf_eager"
    fields = {"norm_order": "after"}
    table_in_dtype = True

    def model(self, x, weight, cos, sin, eps):
        return rms_norm_rounded_before_weight(rope_halves(x, cos, sin), weight, eps)


if __name__ == "__main__":
    reference.main()
