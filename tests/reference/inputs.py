"""What a call is given: drawn at random, or so that sums and roots are exact."""
import dataclasses
import itertools
import random
from typing import Optional

from pytorch import torch


@dataclasses.dataclass(frozen=True)
class Shape:
    heads_q: int
    heads_k: int
    head_dim: int
    rope_dim: int
    layout: str
    eps: float = 1e-6


@dataclasses.dataclass(frozen=True)
class Inputs:
    """q and k are [tokens, heads, head_dim]. Without weights there is no norm."""
    q: torch.Tensor
    k: torch.Tensor
    q_weight: Optional[torch.Tensor]
    k_weight: Optional[torch.Tensor]
    cos: torch.Tensor  # [rows, rope_dim/2] float32, as is sin
    sin: torch.Tensor
    positions: Optional[torch.Tensor]  # [tokens]; None: token t is at row t
    eps: float


class Source:
    """Random tensors, the same ones for the same seed."""

    def __init__(self, seed):
        self.generator, self.random = torch.Generator().manual_seed(seed), random.Random(seed)

    def normal(self, *shape):
        return torch.randn(*shape, generator=self.generator)

    def below(self, limit, *shape):
        return torch.randint(0, limit, shape, generator=self.generator)

    def rows(self, *shape):
        """Rows of many sizes, a few of them small enough for eps to matter."""
        return self.normal(*shape) * self.normal(*shape[:-1], 1).mul(2).exp()

    def exact_rows(self, tokens, heads, head_dim):
        """Integers, of which every row's mean square is the square of an integer."""
        drawn = []
        for _ in range(tokens * heads):
            quadruples = self.random.choices(QUADRUPLES[self.random.choice(list(QUADRUPLES))],
                                             k=head_dim // 4)
            drawn += [self.random.choice((-1, 1)) * value
                      for quadruple in quadruples for value in self.random.sample(quadruple, 4)]
        return torch.tensor(drawn, dtype=torch.float32).reshape(tokens, heads, head_dim)


def quadruples_of(rms):
    """All a <= b <= c and d >= 0 with a^2 + b^2 + c^2 + d^2 = (2 rms)^2."""
    roots = {d * d: d for d in range(2 * rms + 1)}
    return [(a, b, c, roots[rest])
            for a, b, c in itertools.combinations_with_replacement(range(2 * rms + 1), 3)
            if (rest := (2 * rms)**2 - a * a - b * b - c * c) in roots]


QUADRUPLES = {rms: quadruples_of(rms) for rms in (3, 5, 7, 11, 13)}
