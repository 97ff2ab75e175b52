"""sglang's fused kernel, and the split path that it replaces: sglang's QK-norm, then FlashInfer's rope."""
import importlib

import torch

from peers.cases import Case
from peers.contender import Contender, Launch, skip_init
from peers.data import BufferSet, Data
from peers.formula import EPS


def first_module(*names: str):
    """The first that this version of sglang has: its kernels have moved."""
    skip_init("sglang")
    for name in names:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if not error.name.startswith("sglang"):  # a package that sglang needs
                raise
    raise ModuleNotFoundError(f"this sglang has none of {', '.join(names)}")


def built(possible: bool, function: str) -> None:
    if not possible:
        raise RuntimeError(f"{function} refuses; its warning says why")


class Fused(Contender):
    note = "sglang's fused_inplace_qknorm_rope, in place"
    packages = ("sglang", "apache-tvm-ffi")

    def __init__(self, options):
        self.sglang = first_module("sglang.kernels.ops.diffusion.rope.qknorm_rope_jit",
                                   "sglang.jit_kernel.diffusion.qknorm_rope")

    def prepare(self, case: Case) -> None:
        built(self.sglang.can_use_fused_inplace_qknorm_rope(case.head_dim, case.rope_dim, case.neox, torch.bfloat16),
              "can_use_fused_inplace_qknorm_rope")

    def launches(self, case: Case, data: Data) -> list[Launch]:
        def launch(each: BufferSet):
            self.sglang.fused_inplace_qknorm_rope(
                each.q, each.k, data.q_weight, data.k_weight, data.table, each.positions, is_neox=case.neox, eps=EPS,
                head_dim=case.head_dim, rope_dim=case.rope_dim)
            return each.q, each.k

        return [lambda each=each: launch(each) for each in data.sets]


class Split(Contender):
    note = "sglang's fused_inplace_qknorm, then FlashInfer's apply_rope_with_cos_sin_cache_inplace"
    packages = ("sglang", "flashinfer-python", "apache-tvm-ffi")

    def __init__(self, options):
        self.sglang = first_module("sglang.kernels.ops.layernorm.norm", "sglang.jit_kernel.norm")
        skip_init("flashinfer")
        self.rope = importlib.import_module("flashinfer.rope")

    def prepare(self, case: Case) -> None:
        built(self.sglang.can_use_fused_inplace_qknorm(case.head_dim, torch.bfloat16), "can_use_fused_inplace_qknorm")
        self.rope.get_rope_module()

    def launches(self, case: Case, data: Data) -> list[Launch]:
        def launch(each: BufferSet):
            self.sglang.fused_inplace_qknorm(each.q, each.k, data.q_weight, data.k_weight, EPS, head_dim=case.head_dim)
            self.rope.apply_rope_with_cos_sin_cache_inplace(
                each.positions, each.q.flatten(1), each.k.flatten(1), case.head_dim, data.table, case.neox)
            return each.q, each.k

        return [lambda each=each: launch(each) for each in data.sets]
