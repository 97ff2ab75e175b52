"""Qwen3-VL's vision tower, rotation only: huggingface/transformers:src/transformers/models/qwen3_vl/
modeling_qwen3_vl.py, apply_rotary_pos_emb_vision."""
import reference
from formulas import rope_halves_in_fp32


class Vision(reference.Family):
    shape = reference.Shape(16, 16, 72, 72, "neox")
    rounding = "split"
    axes = (36, 36)
    fields = {"norm": "none"}

    def model(self, x, weight, cos, sin, eps):
        return rope_halves_in_fp32(x, cos, sin)


if __name__ == "__main__":
    reference.main()
