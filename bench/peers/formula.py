"""The operation in PyTorch: in float64 the reference that all are checked against, in float32 the eager contender."""
import torch

EPS = 1e-6


def norm_rope(x: torch.Tensor, weight: torch.Tensor, table_rows: torch.Tensor, neox: bool,
              dtype: torch.dtype) -> torch.Tensor:
    """RMSNorm of every head of x [tokens, heads, head_dim], then the rotation of its first elements, all in `dtype`.

    table_rows [tokens, rope_dim] are the tokens' rows of the table: cosines, then sines.
    """
    x = x.to(dtype)
    y = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS) * weight.to(dtype)
    cos, sin = table_rows.to(dtype).unsqueeze(1).chunk(2, -1)
    turned, rest = y.split([table_rows.shape[-1], y.shape[-1] - table_rows.shape[-1]], -1)
    a, b = turned.chunk(2, -1) if neox else (turned[..., 0::2], turned[..., 1::2])
    pair = a * cos - b * sin, b * cos + a * sin
    turned = torch.cat(pair, -1) if neox else torch.stack(pair, -1).flatten(-2)
    return torch.cat((turned, rest), -1) if rest.shape[-1] else turned


def qk_norm_rope(q, k, q_weight, k_weight, table, positions, neox: bool):
    """Both, out of place, as a model's forward function has it."""
    rows = table[positions]
    return (norm_rope(q, q_weight, rows, neox, torch.float32).to(q.dtype),
            norm_rope(k, k_weight, rows, neox, torch.float32).to(k.dtype))
