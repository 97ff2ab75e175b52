"""Qwen-Image: huggingface/diffusers:src/diffusers/models/transformers/transformer_qwenimage.py,
apply_rotary_emb_qwen and RMSNorm."""
import reference
from formulas import rms_norm_rounded_before_weight, rope_complex


class QwenImage(reference.Family):
    shape = reference.Shape(24, 24, 128, 128, "interleaved", 1e-6)
    rounding = "hf"
    axes = (16, 56, 56)

    def model(self, x, weight, cos, sin, eps):
        return rope_complex(rms_norm_rounded_before_weight(x, weight, eps), cos, sin)


if __name__ == "__main__":
    reference.main()
