"""Hunyuan's language models (the norm comes after the rotation): huggingface/transformers:src/
transformers/models/hunyuan_v1_dense/modeling_hunyuan_v1_dense.py, HunYuanDenseV1Attention."""
import dataclasses

import reference
from formulas import rms_norm_rounded_before_weight, rope_halves
from pytorch import torch


class Hunyuan(reference.SameBits):
    """HunYuanDenseV1RMSNorm over what apply_rotary_pos_emb gives."""
    shape = reference.Shape(32, 8, 128, 128, "neox", 1e-5)
    rounding = "hf_eager"
    fields = {"norm_order": "after"}
    table_in_dtype = True

    def inputs(self, tokens, dtype, positions=None, exact=False):
        """Quarter turns where sums are to be exact: they keep every square."""
        given = super().inputs(tokens, dtype, positions, exact)
        if not exact:
            return given
        quarters = torch.arange(given.cos.numel()).reshape(given.cos.shape)
        return dataclasses.replace(given, cos=torch.tensor([1., 0., -1., 0.])[quarters % 4],
                                   sin=torch.tensor([0., 1., 0., -1.])[quarters % 4])

    def model(self, x, weight, cos, sin, eps):
        return rms_norm_rounded_before_weight(rope_halves(x, cos, sin), weight, eps)


if __name__ == "__main__":
    reference.main()
