"""FLUX.2: huggingface/diffusers:src/diffusers/models/transformers/transformer_flux2.py,
Flux2Attention (torch.nn.RMSNorm) and Flux2AttnProcessor."""
import reference
from formulas import rms_norm_rounded_once, rope_pairs


class Flux2(reference.Family):
    shape = reference.Shape(48, 48, 128, 128, "interleaved", 1e-6)
    rounding = "late_weight"
    axes = (32, 32, 32, 32)
    theta = 2000.0

    def model(self, x, weight, cos, sin, eps):
        return rope_pairs(rms_norm_rounded_once(x, weight, eps), cos, sin)


if __name__ == "__main__":
    reference.main()
