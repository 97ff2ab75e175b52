#!/usr/bin/env python3
"""Captures q and k of a PyTorch attention module and lets qkjit normalise and rotate them too.

usage: capture_qk.py QKJIT [--dtype bf16|fp16|fp32] [--out DIR]

QKJIT is the qkjit program. The files in.safetensors and out.safetensors stay in DIR, if given. Runs
on the CPU; needs `pip install "safetensors[torch]"`. For a model of your own, register the three
hooks of capture() on its modules, and name its shapes and its rounding in the spec.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

try:
    import torch
    from safetensors.torch import load_file, save_file
except ImportError as missing:
    sys.exit(f'{missing.name} is missing: pip install "safetensors[torch]"')

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
HEADS_Q, HEADS_K, HEAD_DIM, WIDTH, EPS = 8, 2, 64, 256, 1e-6
# RMSNorm below multiplies by the weight last and rounds then; the rotation is in fp32 and rounds once.
ROUNDING = "late_weight"


class RMSNorm(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(1 + 0.1 * torch.randn(HEAD_DIM))

    def forward(self, x):
        y = x.float() * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + EPS)
        return (self.weight.float() * y).to(x.dtype)


class Rotary(torch.nn.Module):
    """Turns the pairs (2i, 2i+1) of x [batch, tokens, heads, HEAD_DIM] by position * 10000^(-2i/HEAD_DIM)."""

    def __init__(self, rows):
        super().__init__()
        frequencies = 10000.0 ** (-torch.arange(0, HEAD_DIM, 2, dtype=torch.float64) / HEAD_DIM)
        angles = torch.outer(torch.arange(rows, dtype=torch.float64), frequencies)
        self.cos, self.sin = angles.cos().float(), angles.sin().float()

    def forward(self, x, positions):
        cos, sin = (table[positions].unsqueeze(-2) for table in (self.cos, self.sin))
        a, b = x.float().unflatten(-1, (-1, 2)).unbind(-1)
        return torch.stack((a * cos - b * sin, b * cos + a * sin), -1).flatten(-2).to(x.dtype)


class Attention(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.to_q = torch.nn.Linear(WIDTH, HEADS_Q * HEAD_DIM)
        self.to_k = torch.nn.Linear(WIDTH, HEADS_K * HEAD_DIM)
        self.to_v = torch.nn.Linear(WIDTH, HEADS_K * HEAD_DIM)
        self.norm_q, self.norm_k, self.rotary = RMSNorm(), RMSNorm(), Rotary(rows=1024)

    def forward(self, x, positions):
        q, k, v = (to(x).unflatten(-1, (-1, HEAD_DIM)) for to in (self.to_q, self.to_k, self.to_v))
        q = self.rotary(self.norm_q(q), positions)
        k = self.rotary(self.norm_k(k), positions)
        return torch.nn.functional.scaled_dot_product_attention(
            *(t.transpose(1, 2) for t in (q, k, v)), enable_gqa=True)


def capture(attention, x, positions):
    """One forward pass: what the norms were given, as qkjit wants it, and what the rotation gave."""
    given, rotated = {}, []

    def rows(t):  # [batch, tokens, heads, HEAD_DIM] to [batch * tokens, heads, HEAD_DIM]
        return t.detach().flatten(0, 1).contiguous()

    hooks = [
        attention.norm_q.register_forward_pre_hook(lambda _, inputs: given.update(q=rows(inputs[0]))),
        attention.norm_k.register_forward_pre_hook(lambda _, inputs: given.update(k=rows(inputs[0]))),
        attention.rotary.register_forward_hook(lambda _, inputs, output: rotated.append(rows(output))),
    ]
    attention(x, positions)
    for hook in hooks:
        hook.remove()
    tensors = {
        **given,
        "q_weight": attention.norm_q.weight.detach(),
        "k_weight": attention.norm_k.weight.detach(),
        "cos_sin_cache": torch.cat((attention.rotary.cos, attention.rotary.sin), -1),  # F32 always
        "positions": positions.flatten(),
    }
    return tensors, {"q": rotated[0], "k": rotated[1]}


def agrees(name, ours, theirs):
    """Prints how far `ours` is from `theirs`. Both round fp32 values, which may differ in the last bits."""
    difference = (ours.double() - theirs.double()).abs()
    size = theirs.double().abs().amax(-1, keepdim=True)  # of each row
    equal = (ours == theirs).double().mean().item()
    print(f"{name} {list(ours.shape)}: {equal:.3%} equal to the module's, largest difference {difference.max():.3g}")
    if ours.dtype == torch.float32:
        return bool((difference <= 2**-20 * size).all())
    return equal >= 0.999 and bool((difference <= 2 * torch.finfo(ours.dtype).eps * size).all())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("qkjit", type=pathlib.Path, help="the qkjit program")
    parser.add_argument("--dtype", choices=DTYPES, default="bf16")
    parser.add_argument("--out", type=pathlib.Path, help="keep the files in this directory")
    arguments = parser.parse_args()

    torch.manual_seed(1)
    dtype = DTYPES[arguments.dtype]
    attention = Attention().to(dtype)
    x = torch.randn(2, 300, WIDTH).to(dtype)
    positions = torch.arange(300).repeat(2, 1)  # of each token in its sequence
    positions[1] += 17
    with torch.no_grad():
        tensors, expected = capture(attention, x, positions)

    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.out or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, folder / "in.safetensors")
        spec = (f"head_dim={HEAD_DIM},rope_dim={HEAD_DIM},layout=interleaved,dtype={arguments.dtype},"
                f"rounding={ROUNDING}")
        command = [arguments.qkjit.resolve(), "run", "--tensors", folder / "in.safetensors", "--spec", spec,
                   "--eps", str(EPS), "--check", "--out", folder / "out.safetensors"]
        if subprocess.run(command, check=False).returncode != 0:
            sys.exit("qkjit did not run; its message is above")
        result = load_file(folder / "out.safetensors")

    print()
    same = [agrees(name, result[name], expected[name]) for name in ("q", "k")]
    sys.exit(0 if all(same) else "the results differ by more than rounding")


if __name__ == "__main__":
    main()
