"""Stable Diffusion 3.5 (norm only): huggingface/diffusers:src/diffusers/models/attention_processor.py,
JointAttnProcessor2_0, whose RMSNorm is that of normalization.py."""
import reference
from formulas import rms_norm_rounded_before_weight


class StableDiffusion35(reference.Family):
    shape = reference.Shape(38, 38, 64, 0, "interleaved", 1e-6)
    rounding = "hf"

    def model(self, x, weight, cos, sin, eps):
        return rms_norm_rounded_before_weight(x, weight, eps)


if __name__ == "__main__":
    reference.main()
