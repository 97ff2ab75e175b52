"""Llama 4 (a norm without weight after the rotation): huggingface/transformers:src/transformers/models/
llama4/modeling_llama4.py, apply_rotary_emb and Llama4TextL2Norm."""
import reference
from formulas import over_rms, rope_complex
from quarter_turns import QuarterTurns


class Llama4(QuarterTurns, reference.SameBits):
    shape = reference.Shape(40, 8, 128, 128, "interleaved", 1e-5)
    rounding = "split"
    fields = {"weight": "none", "norm_order": "after"}
    theta = 5e5

    def model(self, x, weight, cos, sin, eps):
        return over_rms(rope_complex(x, cos, sin), eps).to(x.dtype)


if __name__ == "__main__":
    reference.main()
