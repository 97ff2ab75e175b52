"""Gemma 3 (the weight is 1 + w, multiplied in before the rounding): huggingface/transformers:
src/transformers/models/gemma3/modeling_gemma3.py, Gemma3RMSNorm and apply_rotary_pos_emb."""
import reference
from formulas import over_rms, rope_halves, upcast


class Gemma3(reference.Family):
    """Weights around 0."""
    shape = reference.Shape(8, 4, 256, 256, "neox", 1e-6)
    rounding = "late_weight_eager"
    table_in_dtype = True
    fields = {"weight": "one_plus"}

    def weight(self, source, exact):
        return super().weight(source, exact) - 1

    def model(self, x, weight, cos, sin, eps):
        normed = (over_rms(x, eps) * (1.0 + upcast(weight))).to(x.dtype)
        return rope_halves(normed, cos, sin)


if __name__ == "__main__":
    reference.main()
