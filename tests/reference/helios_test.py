"""Helios (the norm is across heads): huggingface/diffusers:src/diffusers/models/transformers/
transformer_helios.py, HeliosAttention (torch.nn.RMSNorm) and apply_rotary_emb_transposed, whose cosines
and products are fp32."""
import reference
from formulas import across_heads, rms_norm_rounded_once
from pytorch import torch


class Helios(reference.Family):
    shape = reference.Shape(40, 40, 128, 128, "interleaved", 1e-6)
    rounding = "late_weight"
    fields = {"norm_scope": "token"}
    axes = (44, 42, 42)

    def model(self, x, weight, cos, sin, eps):
        x = across_heads(rms_norm_rounded_once, x, weight, eps)
        first, second = x.unflatten(-1, (-1, 2)).unbind(-1)
        cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
        turned = (first * cos - second * sin, first * sin + second * cos)
        return torch.stack(turned, -1).flatten(-2).to(x.dtype)


if __name__ == "__main__":
    reference.main()
