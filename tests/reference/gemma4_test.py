"""Gemma 4 (w, not 1 + w; in global layers a quarter of the pairs turns): huggingface/transformers:src/
transformers/models/gemma4/modeling_gemma4.py, Gemma4RMSNorm and apply_rotary_pos_emb."""
import reference
from formulas import rope_halves, upcast
from pytorch import torch


class Local(reference.Family):
    shape = reference.Shape(16, 8, 256, 256, "neox", 1e-6)
    rounding = "late_weight_eager"
    table_in_dtype = True

    def model(self, x, weight, cos, sin, eps):
        """The root is pow(-0.5), the weight is multiplied in before the rounding."""
        wide = upcast(x)
        normed = wide * torch.pow(wide.pow(2).mean(-1, keepdim=True) + eps, -0.5) * upcast(weight)
        return rope_halves(normed.to(x.dtype), cos, sin)


class Global(Local):
    """Frequencies of the 64 pairs that turn, 0 for the other 192."""
    shape = reference.Shape(16, 2, 512, 512, "neox", 1e-6)

    def table(self, source, rows):
        frequencies = 1e6**(-torch.arange(0, 128, 2).double() / 512)
        angles = source.below(400, rows, 1).double() * torch.cat((frequencies, torch.zeros(192)))
        return angles.cos().float(), angles.sin().float()


if __name__ == "__main__":
    reference.main()
