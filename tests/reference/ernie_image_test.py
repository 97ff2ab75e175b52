"""ERNIE-Image (an angle for every element: each twice, one after the other, where the pairs are halves):
huggingface/diffusers:src/diffusers/models/transformers/transformer_ernie_image.py,
ErnieImageSingleStreamAttnProcessor (torch.nn.RMSNorm)."""
import reference
from formulas import rms_norm_rounded_once, rotate_half
from pytorch import torch


class ErnieImage(reference.Family):
    shape = reference.Shape(32, 32, 128, 128, "neox", 1e-6)
    rounding = "eager"
    fields = {"table_width": "elements"}
    axes = (32, 48, 48)
    theta = 256.0
    table_in_dtype = True
    power_of_two_weights = True

    def lengths(self, x):
        """The elements of a pair turn by two angles, so that neither bounds the other: by the row."""
        return x.double().abs().amax(-1, keepdim=True).expand_as(x)

    def stored(self, given):
        table = torch.cat([t.repeat_interleave(2, -1) for t in (given.cos, given.sin)], -1)
        return super().stored(given) | {"cos_sin_cache": table}

    def model(self, x, weight, cos, sin, eps):
        x = rms_norm_rounded_once(x, weight, eps)
        cos, sin = (t.repeat_interleave(2, -1).unsqueeze(1).to(x.dtype) for t in (cos, sin))
        return x * cos + rotate_half(x) * sin


if __name__ == "__main__":
    reference.main()
