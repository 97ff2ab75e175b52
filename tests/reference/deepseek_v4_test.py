"""DeepSeek-V4, keys and values (the last 64 of 512 elements are rotated): huggingface/transformers:src/
transformers/models/deepseek_v4/modeling_deepseek_v4.py, DeepseekV4RMSNorm and apply_rotary_pos_emb.
The norm of its queries rounds the root itself, which no rounding mode does."""
import reference
from formulas import over_rms, rope_pairs
from pytorch import torch


class KeysAndValues(reference.Family):
    """The weights are fp32."""
    shape = reference.Shape(2, 1, 512, 64, "interleaved", 1e-6)
    rounding = "late_weight"
    fields = {"placement": "tail", "weight_dtype": "fp32"}
    weight_dtype = torch.float32

    def model(self, x, weight, cos, sin, eps):
        normed = (weight * over_rms(x, eps)).to(x.dtype)
        return torch.cat((normed[..., :-64], rope_pairs(normed[..., -64:], cos, sin)), -1)


if __name__ == "__main__":
    reference.main()
