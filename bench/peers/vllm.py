"""vLLM's fused op, which works on packed QKV and leaves V alone."""
import torch

from peers.cases import Case
from peers.contender import Contender, Launch
from peers.data import Data
from peers.formula import EPS


class Fused(Contender):
    note = "vLLM's fused_qk_norm_rope, in place on packed QKV"
    packages = ("vllm",)

    def __init__(self, options):
        from vllm._custom_ops import fused_qk_norm_rope
        if not hasattr(torch.ops._C, "fused_qk_norm_rope"):
            raise RuntimeError("this build of vLLM has no torch.ops._C.fused_qk_norm_rope")
        self.op = fused_qk_norm_rope

    def refusal(self, case: Case) -> str | None:
        return None if case.head_dim in (64, 128, 256) else "takes head_dim 64, 128 and 256"

    def launches(self, case: Case, data: Data) -> list[Launch]:
        heads = [case.heads_q, case.heads_k, case.heads_k]

        def launch(qkv, positions):
            self.op(qkv.flatten(1), *heads, case.head_dim, EPS, data.q_weight, data.k_weight, data.table, case.neox,
                    positions)
            return qkv.split(heads, 1)[:2]

        return [lambda qkv=torch.cat((each.q, each.k, each.k), 1), at=each.positions: launch(qkv, at)
                for each in data.sets]
