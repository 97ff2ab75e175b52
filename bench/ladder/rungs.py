"""The rungs below libqkjit, as contenders of bench/peers."""
from ctypes import Structure, c_float, c_int, c_void_p
from pathlib import Path

import torch

from ladder.kernel import Kernel
from peers.cases import Case
from peers.contender import Contender, Launch
from peers.data import BufferSet, Data
from peers.formula import EPS

THREADS = 128  # of every block, so that the rungs differ in what their files say and in nothing else


class Call(Structure):
    """As in row.cuh."""
    _fields_ = [*((name, c_void_p) for name in ("q", "k", "q_weight", "k_weight", "table", "positions")),
                ("tokens", c_int), ("heads_q", c_int), ("heads_k", c_int), ("eps", c_float)]


class Rung(Contender):
    def __init__(self, name: str, rows_per_block: int, note: str):
        self.note, self.rows_per_block = note, rows_per_block
        self.kernel = Kernel(Path(__file__).with_name(f"{name}.cu"), "rung")
        self.blocks_at_once = self.kernel.blocks_at_once(THREADS)

    def figures(self) -> dict:
        device = torch.cuda.get_device_properties(0)
        possible = 100 * self.blocks_at_once * THREADS / device.max_threads_per_multi_processor
        return {"registers": self.kernel.registers(), "possible_occupancy_percent": possible}

    def blocks(self, case: Case) -> int:
        return -(-case.tokens * (case.heads_q + case.heads_k) // self.rows_per_block)

    def launches(self, case: Case, data: Data) -> list[Launch]:
        blocks = self.blocks(case)

        def launch(each: BufferSet, call: Call):
            self.kernel.launch(blocks, THREADS, call)
            return each.q, each.k

        def call(each: BufferSet) -> Call:
            tensors = each.q, each.k, data.q_weight, data.k_weight, data.table, each.positions
            return Call(*(tensor.data_ptr() for tensor in tensors), case.tokens, case.heads_q, case.heads_k, EPS)

        return [lambda each=each, call=call(each): launch(each, call) for each in data.sets]


class Persistent(Rung):
    """No more blocks than run at once."""

    def blocks(self, case: Case) -> int:
        return min(super().blocks(case),
                   self.blocks_at_once * torch.cuda.get_device_properties(0).multi_processor_count)


def load_rungs() -> dict[str, Rung]:
    return {
        "naive": Rung("naive", THREADS, "a thread a row, 2-byte accesses, the row read twice"),
        "block": Rung("block", 1, "a block a row, an element a thread, the sum in shared memory"),
        "warp": Persistent("warp", 4, "a warp a row, 8-byte accesses, the sum by shuffles, a loop over rows"),
        "wide": Rung("wide", 8, "16 lanes a row, 16-byte accesses, no loop, streaming stores"),
    }
