"""SANA: huggingface/diffusers:src/diffusers/models/transformers/sana_transformer.py and
transformer_sana_video.py, whose norms are across heads; SANA-Video has a ReLU between norm and rotation."""
import reference
from formulas import across_heads, rms_norm_rounded_before_weight
from pytorch import torch


class Sana(reference.Family):
    """Linear attention: diffusers' RMSNorm, no rotation."""
    shape = reference.Shape(70, 70, 32, 0, "interleaved", 1e-5)
    rounding = "hf"
    fields = {"norm_scope": "token"}

    def model(self, x, weight, cos, sin, eps):
        return across_heads(rms_norm_rounded_before_weight, x, weight, eps)


class CrossAttention(Sana):
    """Also both attentions of SANA-Video."""
    shape = reference.Shape(20, 20, 112, 0, "interleaved", 1e-5)


class VideoRotation(reference.Family):
    """What comes after the ReLU, in SanaLinearAttnProcessor3_0."""
    shape = reference.Shape(20, 20, 112, 112, "interleaved")
    rounding = "split"
    fields = {"norm": "none"}
    axes = (40, 36, 36)

    def model(self, x, weight, cos, sin, eps):
        first, second = x.unflatten(-1, (-1, 2)).unbind(-1)
        cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
        out = torch.empty_like(x)
        out[..., 0::2] = first * cos - second * sin
        out[..., 1::2] = first * sin + second * cos
        return out


if __name__ == "__main__":
    reference.main()
