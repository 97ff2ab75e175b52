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
    """apply_split_rotary_emb, with cosines and sines in bf16 or fp16, of each head's own."""
    shape = reference.Shape(32, 32, 64, 64, "neox", 1e-6)
    fields = Text.fields | {"table_heads": "per_head"}
    table_in_dtype = True

    def table(self, source, rows):
        frequencies = self.theta**(-torch.arange(0, 64, 2).double() / 64)
        angles = source.below(400, rows, self.shape.heads_q, 1).double() * frequencies
        return angles.cos().float(), angles.sin().float()

    def model(self, x, weight, cos, sin, eps):
        normed = super().model(x, weight, cos, sin, eps)
        wide = normed if x.dtype == torch.float64 else normed.float()
        first, second = wide.chunk(2, -1)
        return torch.cat((first * cos - sin * second, second * cos + sin * first), -1).to(x.dtype)


if __name__ == "__main__":
    reference.main()
