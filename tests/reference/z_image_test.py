"""Z-Image: huggingface/diffusers:src/diffusers/models/transformers/transformer_z_image.py,
ZSingleStreamAttnProcessor; 30 heads, which is no power of two."""
import reference
from formulas import rms_norm_rounded_before_weight, rope_complex


class ZImage(reference.Family):
    shape = reference.Shape(30, 30, 128, 128, "interleaved", 1e-5)
    rounding = "hf"
    axes = (32, 48, 48)
    theta = 256.0

    def model(self, x, weight, cos, sin, eps):
        return rope_complex(rms_norm_rounded_before_weight(x, weight, eps), cos, sin)


if __name__ == "__main__":
    reference.main()
