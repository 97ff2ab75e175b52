#!/usr/bin/env python3
"""Times a dual-stream block's q, k and v: one launch into joint buffers, and what one would do without it.

  one      qkjit_launch_dual() with v=copy: both streams normalised, rotated and written into the joint buffers
  two      qkjit_launch() of each stream, in place, then torch.cat of q, of k and of v
  into     qkjit_launch() of each stream with v=copy, each into its part of the joint buffers

Needs a GPU and PyTorch. Method: bf16; a CUDA graph of at least 20 launches that rotate over buffers of 600 MB, the
median of 15 replays. The three must leave the same bits in the joint buffers, or nothing is timed.
"""
import argparse
import sys
from ctypes import byref, c_void_p
from pathlib import Path

from dataclasses import dataclass

LIBRARY = Path(__file__).resolve().parents[1] / "build/default/lib/libqkjit.so"


@dataclass(frozen=True)
class Block:
    """Two streams of the same heads; the text rotated or only normalised, first or last in the joint buffers."""
    name: str
    image: int
    text: int
    heads: int
    text_rotates: bool = True
    text_first: bool = True


BLOCKS = [
    Block("FLUX.1 1024x1024", 4096, 512, 24),
    Block("Qwen-Image 1328x1328, short prompt", 6889, 64, 24),
    Block("HunyuanVideo 720p, 25 frames", 25200, 256, 24, text_rotates=False, text_first=False),
    Block("HunyuanVideo, small", 4096, 256, 24, text_rotates=False, text_first=False),
    Block("decode of a small image", 256, 64, 24),
]
HEAD_DIM = 128


class Streams:
    """The memory of one launch: q, k and v of each stream, and the joint buffers."""

    def __init__(self, torch, block: Block):
        def random(tokens):
            return torch.randn(3, tokens, block.heads, HEAD_DIM, device="cuda", dtype=torch.bfloat16)
        self.image, self.text = random(block.image), random(block.text)
        tokens = block.image + block.text
        self.joint = torch.zeros(3, tokens, block.heads, HEAD_DIM, device="cuda", dtype=torch.bfloat16)
        head, tail = (block.text, block.image) if block.text_first else (block.image, block.text)
        first, last = self.joint[:, :head], self.joint[:, tokens - tail:]
        self.to_text, self.to_image = (first, last) if block.text_first else (last, first)
        self.order = (self.text, self.image) if block.text_first else (self.image, self.text)

    @property
    def bytes(self) -> int:
        return 2 * 2 * self.joint.numel()


class Calls:
    """libqkjit's side: the arguments for each way."""

    def __init__(self, torch, lib, block: Block):
        self.torch, self.lib, self.block = torch, lib, block
        angle = torch.arange(131072, device="cuda", dtype=torch.float64)[:, None] * \
            10_000.0 ** (-torch.arange(HEAD_DIM // 2, device="cuda", dtype=torch.float64) / (HEAD_DIM // 2))
        self.table = torch.cat((angle.cos(), angle.sin()), -1).float()
        self.weights = (0.5 + torch.rand(4, HEAD_DIM, device="cuda")).bfloat16()
        self.specs = {copy: [self.spec(rope, copy) for rope in (True, block.text_rotates)] for copy in (True, False)}
        for copy in (True, False):
            for spec in self.specs[copy]:
                lib.ok(lib.library.qkjit_prepare(lib.runtime, byref(spec), None))
        image, text = self.specs[True]
        lib.ok(lib.library.qkjit_prepare_dual(lib.runtime, byref(image), byref(text), None))

    def spec(self, rotates: bool, copy: bool):
        text = f"head_dim={HEAD_DIM},rope_dim={HEAD_DIM if rotates else 0},layout=interleaved,dtype=bf16," \
               f"positions=implicit,v={'copy' if copy else 'none'}"
        spec = self.lib.abi.Spec()
        self.lib.ok(self.lib.library.qkjit_spec_parse(text.encode(), byref(spec)))
        return spec

    def args(self, each: Streams, copy: bool):
        """Of the image and of the text: into the joint buffers with a copy of v, else in place."""
        view, both = self.lib.view, []
        parts = ((each.image, each.to_image, self.weights[:2], True),
                 (each.text, each.to_text, self.weights[2:], self.block.text_rotates))
        for (qkv, out, weights, rotates), spec in zip(parts, self.specs[copy]):
            args = self.lib.abi.Args(spec=spec, q=view(qkv[0]), k=view(qkv[1]), q_weight=view(weights[0]),
                                     k_weight=view(weights[1]), eps=1e-6, path=self.lib.abi.PATH_FUSED)
            if rotates:
                args.cos_sin_cache = view(self.table)
            if copy:
                args.q_out, args.k_out, args.v, args.v_out = view(out[0]), view(out[1]), view(qkv[2]), view(out[2])
            both.append(args)
        return both

    def stream(self):
        return c_void_p(self.torch.cuda.current_stream().cuda_stream)

    def one(self, each: Streams):
        image, text = self.args(each, True)
        lib = self.lib
        return lambda: lib.ok(lib.library.qkjit_launch_dual(lib.runtime, byref(image), byref(text), self.stream(), None))

    def both(self, args):
        for each in args:
            self.lib.ok(self.lib.library.qkjit_launch(self.lib.runtime, byref(each), self.stream(), None))

    def into(self, each: Streams):
        args = self.args(each, True)
        return lambda: self.both(args)

    def two(self, each: Streams):
        args = self.args(each, False)

        def launch():
            self.both(args)
            for i in range(3):
                self.torch.cat((each.order[0][i], each.order[1][i]), out=each.joint[i])
        return launch


def check(torch, calls: Calls, block: Block) -> None:
    """All ways leave the same bits."""
    results = {}
    for name in ("one", "into", "two"):
        torch.manual_seed(1)
        each = Streams(torch, block)
        getattr(calls, name)(each)()
        torch.cuda.synchronize()
        results[name] = each.joint
    for name in ("into", "two"):
        if not torch.equal(results["one"].view(torch.int16), results[name].view(torch.int16)):
            sys.exit(f"{block.name}: one launch and '{name}' differ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", metavar="PATH", default=str(LIBRARY), help="libqkjit.so, as `make` leaves it")
    options = parser.parse_args()
    try:
        import torch
    except ImportError as error:
        sys.exit(f"dual.py needs PyTorch: {error}")
    if not torch.cuda.is_available():
        sys.exit("dual.py needs a GPU, and PyTorch finds none that it can use")
    from peers import libqkjit
    from peers.data import ROTATED_BYTES
    from peers.timing import microseconds

    torch.set_grad_enabled(False)
    lib = libqkjit.LibQkjit(options)
    lib.abi, lib.view = libqkjit.abi, libqkjit.view
    print(torch.cuda.get_device_name())
    print(f"{'block':40} {'one us':>9} {'into us':>9} {'two us':>9} {'two/one':>8} {'GB/s':>7}")
    for block in BLOCKS:
        calls = Calls(torch, lib, block)
        check(torch, calls, block)
        sample = Streams(torch, block)
        sets = [Streams(torch, block) for _ in range(max(2, -(-int(ROTATED_BYTES) // sample.bytes)))]
        us = {name: microseconds([getattr(calls, name)(each) for each in sets])["us"] for name in ("one", "into", "two")}
        print(f"{block.name:40} {us['one']:9.2f} {us['into']:9.2f} {us['two']:9.2f} {us['two'] / us['one']:8.2f} "
              f"{1e-3 * sample.bytes / us['one']:7.0f}", flush=True)


if __name__ == "__main__":
    main()
