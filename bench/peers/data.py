"""What every contender works on, and the check of what it made of it."""
from dataclasses import dataclass

import torch

from peers.cases import Case
from peers.formula import norm_rope

ROTATED_BYTES = 600e6  # ten times an H200's L2: no launch finds what an earlier one left there
TABLE_ROWS = 131_072
ATOL, RTOL = 8e-2, 1e-2  # one rounding step of bf16 where a path rounds twice; a wrong rotation is off by 1 and more
CHUNK = 4096             # tokens checked at once, so that float64 fits beside the data


@dataclass(frozen=True)
class BufferSet:
    """The tensors of one launch. q and k lie in one allocation, so that a copy of both is one kernel."""
    both: torch.Tensor
    q: torch.Tensor
    k: torch.Tensor
    positions: torch.Tensor


class Data:
    def __init__(self, case: Case, device: str = "cuda"):
        torch.manual_seed(1)
        self.case = case
        size = case.elements
        count = max(2, -(-int(ROTATED_BYTES) // (2 * size)))
        split = case.tokens * case.heads_q * case.head_dim
        # One for all sets, as all layers of a model share theirs.
        positions = torch.randint(TABLE_ROWS, (case.tokens,), device=device)
        self.sets = []
        for both in torch.randn(count, size, device=device, dtype=torch.bfloat16):
            q = both[:split].view(case.tokens, case.heads_q, case.head_dim)
            k = both[split:].view(case.tokens, case.heads_k, case.head_dim)
            self.sets.append(BufferSet(both, q, k, positions))
        self.pristine = self.sets[0].both.clone()
        self.q_weight, self.k_weight = (0.5 + torch.rand(2, case.head_dim, device=device)).bfloat16()
        half = case.rope_dim // 2
        frequency = 10_000.0 ** (-torch.arange(half, device=device, dtype=torch.float64) / half)
        angle = torch.arange(TABLE_ROWS, device=device, dtype=torch.float64)[:, None] * frequency
        self.table = torch.cat((angle.cos(), angle.sin()), -1).float()

    def reset(self) -> None:
        """The first set as it was; the others may hold any earlier result, since only time is taken there."""
        self.sets[0].both.copy_(self.pristine)

    def check(self, q: torch.Tensor, k: torch.Tensor) -> dict:
        """The results of the first set against the formula in float64, every element."""
        first, case = self.sets[0], self.case
        split = first.q.numel()
        worst, wrong = 0.0, 0
        for got, start, weight in ((q, self.pristine[:split], self.q_weight),
                                   (k, self.pristine[split:], self.k_weight)):
            start = start.view(got.shape)
            for at in range(0, case.tokens, CHUNK):
                chunk = slice(at, at + CHUNK)
                rows = self.table[first.positions[chunk]]
                expected = norm_rope(start[chunk], weight, rows, case.neox, torch.float64)
                error = (got[chunk].double() - expected).abs()
                wrong += int((~(error <= ATOL + RTOL * expected.abs())).sum())  # so that a NaN is wrong too
                worst = max(worst, error.nan_to_num(nan=float("inf")).max().item())
        return {"correct": wrong == 0, "wrong_elements": wrong, "max_abs_error": worst}
