"""LTX-2 (norms across heads): huggingface/diffusers:src/diffusers/models/transformers/transformer_ltx2.py,
LTX2Attention (torch.nn.RMSNorm) and apply_split_rotary_emb, whose products are fp32."""
import reference
from formulas import across_heads, rms_norm_rounded_once
from pytorch import torch


class Text(reference.Family):
    """Attention to the prompt is not rotated."""
    shape = reference.Shape(32, 32, 128, 0, "neox", 1e-6)
    rounding = "late_weight"
    fields = {"norm_scope": "token"}

    def model(self, x, weight, cos, sin, eps):
        return across_heads(rms_norm_rounded_once, x, weight, eps)


class Split(Text):
    """apply_split_rotary_emb with one table for all heads; cosines and sines are bf16 or fp16."""
    shape = reference.Shape(32, 32, 64, 64, "neox", 1e-6)
    table_in_dtype = True

    def model(self, x, weight, cos, sin, eps):
        normed = super().model(x, weight, cos, sin, eps)
        wide = normed if x.dtype == torch.float64 else normed.float()
        first, second = wide.chunk(2, -1)
        cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
        return torch.cat((first * cos - sin * second, second * cos + sin * first), -1).to(x.dtype)


if __name__ == "__main__":
    reference.main()
