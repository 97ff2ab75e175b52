"""The formula in PyTorch, eager and compiled, out of place as a model has it."""
import torch

from peers.cases import Case
from peers.contender import Contender, Launch
from peers.data import Data
from peers.formula import qk_norm_rope


class Eager(Contender):
    note = "eager PyTorch, out of place"

    def function(self):
        return qk_norm_rope

    def launches(self, case: Case, data: Data) -> list[Launch]:
        function = self.function()
        return [lambda each=each: function(each.q, each.k, data.q_weight, data.k_weight, data.table, each.positions,
                                           case.neox) for each in data.sets]


class Compiled(Eager):
    note = "torch.compile of the same, out of place, compiled for each shape"

    def function(self):
        torch.compiler.reset()  # else the ninth shape would silently run eager
        return torch.compile(qk_norm_rope, dynamic=False)
