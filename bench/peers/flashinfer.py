"""FlashInfer's fused kernel, which is made for Wan: another operation on as many heads."""
import importlib

import torch

from peers.cases import Case
from peers.contender import Contender, Launch, skip_init
from peers.data import Data
from peers.formula import EPS


class Fused(Contender):
    note = ("FlashInfer's fused_qk_rmsnorm_rope, ANOTHER OPERATION: norm across heads, computed 3-D rope, "
            "packed QKV (V copied too: 1.5 times the bytes), out of place")
    same_operation = False
    packages = ("flashinfer-python", "apache-tvm-ffi")

    def __init__(self, options):
        skip_init("flashinfer")
        self.norm = importlib.import_module("flashinfer.norm")

    def refusal(self, case: Case) -> str | None:
        if max(case.heads_q, case.heads_k) > 32:
            return "takes up to 32 heads"
        return None if case.rope_dim == case.head_dim else "rotates whole heads only"

    def prepare(self, case: Case) -> None:
        self.norm.gen_norm_module().build_and_load()

    def launches(self, case: Case, data: Data) -> list[Launch]:
        heads = [case.heads_q, case.heads_k, case.heads_k]
        third = case.head_dim // 3 // 2 * 2  # channels of height and of width; frames take the rest, as in Wan
        weights = [torch.ones(count * case.head_dim, device="cuda", dtype=torch.bfloat16) for count in heads[:2]]

        def launch(qkv, outputs):
            self.norm.fused_qk_rmsnorm_rope(
                qkv, *weights, ppf=1, pph=1, ppw=case.tokens, num_frame_channels=case.head_dim - 2 * third,
                num_height_channels=third, num_width_channels=third, num_heads_q=heads[0], num_heads_k=heads[1],
                num_heads_v=heads[2], head_dim=case.head_dim, eps=EPS, interleave=not case.neox,
                q_out=outputs[0], k_out=outputs[1], v_out=outputs[2])

        calls = []
        for _ in data.sets:
            qkv = torch.randn(case.tokens, sum(heads) * case.head_dim, device="cuda", dtype=torch.bfloat16)
            outputs = [qkv.new_empty(case.tokens, count, case.head_dim) for count in heads]
            calls.append(lambda qkv=qkv, outputs=outputs: launch(qkv, outputs))
        return calls
