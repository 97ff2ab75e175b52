"""HunyuanVideo: huggingface/diffusers:src/diffusers/models/transformers/transformer_hunyuan_video.py,
HunyuanVideoAttnProcessor2_0. The text is normalised and not rotated."""
import reference
from formulas import rms_norm_rounded_before_weight, rope_pairs


class Video(reference.Family):
    shape = reference.Shape(24, 24, 128, 128, "interleaved", 1e-6)
    rounding = "hf"
    axes = (16, 56, 56)
    theta = 256.0

    def model(self, x, weight, cos, sin, eps):
        return rope_pairs(rms_norm_rounded_before_weight(x, weight, eps), cos, sin)


class Text(reference.Family):
    shape = reference.Shape(24, 24, 128, 0, "interleaved", 1e-6)
    rounding = "hf"

    def model(self, x, weight, cos, sin, eps):
        return rms_norm_rounded_before_weight(x, weight, eps)


class Video15(Video):
    """HunyuanVideo-1.5: transformer_hunyuan_video15.py, HunyuanVideo15AttnProcessor2_0."""
    shape = reference.Shape(16, 16, 128, 128, "interleaved", 1e-6)


if __name__ == "__main__":
    reference.main()
