"""What no kernel can beat: its launch, and its memory traffic."""
import triton
import triton.language as tl

from peers.cases import Case
from peers.contender import Contender, Launch
from peers.data import Data

BLOCK = 1024  # 128 threads of 8 elements: 16 bytes each


@triton.jit
def empty_kernel():
    pass


@triton.jit
def copy_kernel(data, size, STORE: tl.constexpr, BLOCK: tl.constexpr):
    """Reads every element and writes it where it was; Triton's accesses are volatile assembly, which nothing drops."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    tl.store(data + at, tl.load(data + at, mask=at < size), mask=at < size, cache_modifier=STORE)


class Empty(Contender):
    note = "an empty kernel"
    same_operation = False

    def launches(self, case: Case, data: Data) -> list[Launch]:
        def launch():
            empty_kernel[(1,)]()

        return [launch] * len(data.sets)


class Copy(Contender):
    note = "q and k read and written in place, 16 bytes a thread"
    same_operation = False
    store = ""

    def launches(self, case: Case, data: Data) -> list[Launch]:
        grid = (triton.cdiv(case.elements, BLOCK),)

        def launch(both):
            copy_kernel[grid](both, case.elements, self.store, BLOCK, num_warps=4)

        return [lambda both=each.both: launch(both) for each in data.sets]


class StreamingCopy(Copy):
    note = "the same with streaming stores"
    store = ".cs"
