"""Gemma 3 (the weight is 1 + w, multiplied in before the rounding): huggingface/transformers:
src/transformers/models/gemma3/modeling_gemma3.py, Gemma3RMSNorm and apply_rotary_pos_emb."""
import reference
from formulas import over_rms, rope_halves, upcast


class Gemma3(reference.TwoCalls):
    """Weights w of which 1 + w is exact in the dtype, so that the library may be given the sum."""
    shape = reference.Shape(8, 4, 256, 256, "neox", 1e-6)
    rounding = "late_weight"

    def weight(self, source, exact):
        return (128 * 0.3 * source.normal(self.shape.head_dim)).round().clamp(-64, 127) / 128

    def stored(self, given):
        sums = {name: None if w is None else 1 + w
                for name, w in (("q_weight", given.q_weight), ("k_weight", given.k_weight))}
        return super().stored(given) | sums

    def model(self, x, weight, cos, sin, eps):
        normed = (over_rms(x, eps) * (1.0 + upcast(weight))).to(x.dtype)
        return rope_halves(normed, cos, sin)


if __name__ == "__main__":
    reference.main()
