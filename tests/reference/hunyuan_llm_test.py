"""Hunyuan's language models (the norm comes after the rotation): huggingface/transformers:src/
transformers/models/hunyuan_v1_dense/modeling_hunyuan_v1_dense.py, HunYuanDenseV1Attention."""
import dataclasses

import reference
from formulas import rms_norm_rounded_before_weight, rope_halves
from pytorch import torch


class Hunyuan(reference.SameBits):
    """Two calls: eager without a norm, then hf without rotation."""
    shape = reference.Shape(32, 8, 128, 128, "neox", 1e-5)
    rounding = "hf"
    table_in_dtype = True

    def inputs(self, tokens, dtype, positions=None, exact=False):
        """Quarter turns where sums are to be exact: they keep every square."""
        given = super().inputs(tokens, dtype, positions, exact)
        if not exact:
            return given
        quarters = torch.arange(given.cos.numel()).reshape(given.cos.shape)
        return dataclasses.replace(given, cos=torch.tensor([1., 0., -1., 0.])[quarters % 4],
                                   sin=torch.tensor([0., 1., 0., -1.])[quarters % 4])

    def computed(self, given):
        bare = dataclasses.replace(given, q_weight=None, k_weight=None)
        turned = self.run_call(bare, norm="none", rounding="eager")
        return self.run_call(dataclasses.replace(given, **turned), rope_dim=0, rounding=self.rounding)

    def model(self, x, weight, cos, sin, eps):
        return rms_norm_rounded_before_weight(rope_halves(x, cos, sin), weight, eps)


if __name__ == "__main__":
    reference.main()
