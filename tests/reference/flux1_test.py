"""FLUX.1: huggingface/diffusers:src/diffusers/models/transformers/transformer_flux.py, Attention with
qk_norm="rms_norm" and FluxAttnProcessor2_0."""
import reference
from formulas import rms_norm_rounded_before_weight, rope_pairs


class Flux1(reference.Family):
    shape = reference.Shape(24, 24, 128, 128, "interleaved", 1e-6)
    rounding = "hf"
    axes = (16, 56, 56)

    def model(self, x, weight, cos, sin, eps):
        return rope_pairs(rms_norm_rounded_before_weight(x, weight, eps), cos, sin)


if __name__ == "__main__":
    reference.main()
