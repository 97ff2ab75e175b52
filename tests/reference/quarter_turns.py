"""For norms after the rotation: where sums are to be exact, pairs are turned by quarters."""
import dataclasses

from pytorch import torch


class QuarterTurns:
    def inputs(self, tokens, dtype, positions=None, exact=False):
        """Quarter turns keep every square."""
        given = super().inputs(tokens, dtype, positions, exact)
        if not exact:
            return given
        quarters = torch.arange(given.cos.numel()).reshape(given.cos.shape)
        return dataclasses.replace(given, cos=torch.tensor([1., 0., -1., 0.])[quarters % 4],
                                   sin=torch.tensor([0., 1., 0., -1.])[quarters % 4])
