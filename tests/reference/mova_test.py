"""MOVA (norms across heads): sgl-project/sglang:python/sglang/multimodal_gen/runtime/models/dits/
mova_video_dit.py, SelfAttention, and bridges/mova_dual_tower.py, ConditionalCrossAttention."""
import reference
from formulas import across_heads, rms_norm_of_kernels, rope_complex, rope_halves_in_fp32


class Video(reference.Family):
    """A norm kernel; then products of complex numbers (the model's are of double, rounded once)."""
    shape = reference.Shape(40, 40, 128, 128, "interleaved", 1e-6)
    rounding = "split"
    fields = {"norm_scope": "token"}
    axes = (44, 42, 42)

    def model(self, x, weight, cos, sin, eps):
        return rope_complex(across_heads(rms_norm_of_kernels, x, weight, eps), cos, sin)


class Audio(Video):
    shape = reference.Shape(12, 12, 128, 128, "interleaved", 1e-6)
    axes = ()


class Bridge(reference.Family):
    """Between the towers: halves, and cosines rounded to q's dtype before they are fp32 again."""
    shape = reference.Shape(12, 12, 128, 128, "neox", 1e-6)
    rounding = "split"
    fields = {"norm_scope": "token"}
    table_in_dtype = True

    def model(self, x, weight, cos, sin, eps):
        return rope_halves_in_fp32(across_heads(rms_norm_of_kernels, x, weight, eps), cos, sin)


if __name__ == "__main__":
    reference.main()
