"""A norm kernel followed by a rotation kernel, as engines run models before they fuse the two: the
order x * (r * w). Shapes of other sizes than the models'."""
import reference
from formulas import rms_norm_of_kernels, rope_halves, rope_halves_in_fp32, rope_pairs
from pytorch import torch


class Split(reference.Family):
    shape = reference.Shape(6, 2, 256, 256, "neox", 1e-6)
    rounding = "split"

    def model(self, x, weight, cos, sin, eps):
        return rope_halves_in_fp32(rms_norm_of_kernels(x, weight, eps), cos, sin)


class SplitPairs(reference.Family):
    shape = reference.Shape(5, 3, 64, 48, "interleaved", 1e-5)
    rounding = "split"

    def model(self, x, weight, cos, sin, eps):
        x = rms_norm_of_kernels(x, weight, eps)
        turned = rope_pairs(x[..., :self.shape.rope_dim], cos, sin)
        return torch.cat((turned, x[..., self.shape.rope_dim:]), -1)


class Eager(reference.Family):
    """The norm by a kernel, the rotation by PyTorch's operations."""
    shape = reference.Shape(7, 7, 64, 32, "neox", 1e-6)
    rounding = "eager"
    table_in_dtype = True

    def model(self, x, weight, cos, sin, eps):
        return rope_halves(rms_norm_of_kernels(x, weight, eps), cos, sin)


if __name__ == "__main__":
    reference.main()
