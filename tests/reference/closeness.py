"""How near two results are, in units of the dtype's last place."""
from pytorch import torch

MANTISSA = {torch.bfloat16: 7, torch.float16: 10, torch.float32: 23}  # bits that are stored


def pair_lengths(x, rope_dim, layout, placement):
    """For each element the length of the vector that its pair is, which a rotation keeps; the
    element's own absolute value where nothing rotates. `placement`: of the pairs, head or tail."""
    x = x.double()
    start = x.shape[-1] - rope_dim if placement == "tail" else 0
    before, turned, after = x.tensor_split((start, start + rope_dim), -1)
    if layout == "interleaved":
        length = turned.unflatten(-1, (-1, 2)).norm(dim=-1).repeat_interleave(2, -1)
    else:
        length = torch.stack(turned.chunk(2, -1)).norm(dim=0).repeat(1, 1, 2)
    return torch.cat((before.abs(), length, after.abs()), -1)


def last_place(x, dtype):
    """The distance of neighbouring values of `dtype` at the size of x, as float64."""
    _, exponent = torch.frexp(x.double())
    exponent = exponent.clamp(min=-13 if dtype == torch.float16 else -125)  # subnormal below
    return torch.ldexp(torch.ones_like(x, dtype=torch.float64), exponent - 1 - MANTISSA[dtype])


def bits(x):
    return x.contiguous().view(torch.int32 if x.dtype == torch.float32 else torch.int16)
