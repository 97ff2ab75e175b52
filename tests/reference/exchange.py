"""PyTorch's tensors to and from what tests/cli/tensors.py writes and reads."""
from pytorch import torch

STORED = {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32",
          torch.int32: "I32", torch.int64: "I64"}


def to_stored(tensor):
    values = tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor
    return STORED[tensor.dtype], list(tensor.shape), values.flatten().tolist()


def from_stored(name, shape, values):
    dtype = next(d for d, stored in STORED.items() if stored == name)
    if dtype == torch.bfloat16:
        return torch.tensor(values, dtype=torch.int16).view(dtype).reshape(shape)
    return torch.tensor(values, dtype=dtype).reshape(shape)
