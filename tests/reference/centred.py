"""For LayerNorms: where sums are to be exact, the mean of every row is 0."""
import dataclasses

from pytorch import torch


class Centred:
    def sizes(self, x):
        """The mean is as exact as the row's largest element, and is subtracted from all."""
        return x.double().abs().amax(-1, keepdim=True).expand_as(x)

    def inputs(self, tokens, dtype, positions=None, exact=False):
        """The second half of a row is the first, negated: sum 0, and the same mean square."""
        given = super().inputs(tokens, dtype, positions, exact)
        if not exact:
            return given
        half = self.shape.head_dim // 2
        q, k = (torch.cat((x[..., :half], -x[..., :half]), -1) for x in (given.q, given.k))
        return dataclasses.replace(given, q=q, k=k)
