"""Qwen3 (grouped queries): huggingface/transformers:src/transformers/models/qwen3/modeling_qwen3.py."""
import reference
from formulas import rms_norm_rounded_before_weight, rope_halves, rope_halves_in_fp32


class Transformers(reference.Family):
    """Qwen3RMSNorm and apply_rotary_pos_emb."""
    shape = reference.Shape(32, 8, 128, 128, "neox", 1e-6)
    rounding = "hf_eager"
    table_in_dtype = True
    theta = 1e6

    def model(self, x, weight, cos, sin, eps):
        return rope_halves(rms_norm_rounded_before_weight(x, weight, eps), cos, sin)


class Served(reference.Family):
    """Qwen3RMSNorm, and the rotation in fp32, as serving engines' kernels have it."""
    shape = Transformers.shape
    rounding = "hf"
    theta = 1e6

    def model(self, x, weight, cos, sin, eps):
        return rope_halves_in_fp32(rms_norm_rounded_before_weight(x, weight, eps), cos, sin)


class MixtureOfExperts(Transformers):
    """Qwen3MoeRMSNorm and apply_rotary_pos_emb of models/qwen3_moe/modeling_qwen3_moe.py."""
    shape = reference.Shape(64, 4, 128, 128, "neox", 1e-6)


if __name__ == "__main__":
    reference.main()
