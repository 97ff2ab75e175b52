"""libqkjit through its C interface."""
import sys
from ctypes import byref, c_int64, c_void_p
from pathlib import Path

import torch

from peers.cases import Case
from peers.contender import Contender, Launch
from peers.data import BufferSet, Data
from peers.formula import EPS

sys.path.append(str(Path(__file__).parents[2] / "tests" / "packaging"))
import qkjit_abi as abi  # noqa: E402

DTYPES = {torch.bfloat16: 0, torch.float32: abi.FP32, torch.int64: abi.INT64}


def view(tensor: torch.Tensor) -> abi.Tensor:
    pad = [0] * (4 - tensor.dim())
    return abi.Tensor(data=tensor.data_ptr(), dtype=DTYPES[tensor.dtype], rank=tensor.dim(),
                      shape=(c_int64 * 4)(*tensor.shape, *pad), strides=(c_int64 * 4)(*tensor.stride(), *pad))


class LibQkjit(Contender):
    note = "libqkjit's fused kernel, in place"

    def __init__(self, options):
        self.library = abi.load(options.library)
        self.runtime = c_void_p()
        self.ok(self.library.qkjit_runtime_create(None, byref(self.runtime)))

    def ok(self, status: int) -> None:
        if status != abi.OK:
            raise RuntimeError(self.library.qkjit_last_error().decode())

    def versions(self) -> dict[str, str]:
        return {"libqkjit": self.library.qkjit_version().decode()}

    def launches(self, case: Case, data: Data) -> list[Launch]:
        spec = abi.Spec()
        layout = "neox" if case.neox else "interleaved"
        text = f"head_dim={case.head_dim},rope_dim={case.rope_dim},layout={layout},dtype=bf16,positions=int64"
        self.ok(self.library.qkjit_spec_parse(text.encode(), byref(spec)))
        self.ok(self.library.qkjit_prepare(self.runtime, byref(spec), None))

        def launch(each: BufferSet, args: abi.Args):
            stream = c_void_p(torch.cuda.current_stream().cuda_stream)
            self.ok(self.library.qkjit_launch(self.runtime, byref(args), stream, None))
            return each.q, each.k

        calls = []
        for each in data.sets:
            args = abi.Args(spec=spec, q=view(each.q), k=view(each.k), q_weight=view(data.q_weight),
                            k_weight=view(data.k_weight), cos_sin_cache=view(data.table),
                            positions=view(each.positions), eps=EPS, path=abi.PATH_FUSED)
            calls.append(lambda each=each, args=args: launch(each, args))
        return calls
