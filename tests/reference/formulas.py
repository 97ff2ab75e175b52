"""The steps that models' PyTorch code is made of, written from the published code named at each.

They round where that code rounds. Given float64 they round nowhere, so that the same model is also
its own exact result. x is [tokens, heads, head_dim]; cos and sin are [tokens, rope_dim/2].
"""
from pytorch import torch


def upcast(x):
    """x.float() of the models' code."""
    return x if x.dtype == torch.float64 else x.float()


def over_rms(x, eps):
    x = upcast(x)
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)


def rms_norm_rounded_before_weight(x, weight, eps):
    """huggingface/transformers: LlamaRMSNorm and its copies (Qwen3RMSNorm, Glm4MoeRMSNorm);
    huggingface/diffusers:src/diffusers/models/normalization.py, RMSNorm with half weights;
    torch.nn.RMSNorm of PyTorch 2.4."""
    return weight * over_rms(x, eps).to(x.dtype)


def rms_norm_rounded_once(x, weight, eps):
    """torch.nn.RMSNorm since then: pytorch/pytorch:aten/src/ATen/native/layer_norm.cpp, rms_norm."""
    return (over_rms(x, eps) * weight).to(x.dtype)


def rms_norm_of_kernels(x, weight, eps):
    """x * (r * w), rounded once: the order in which norm kernels multiply, for example
    sgl-project/sglang:python/sglang/jit_kernel/csrc/diffusion/qknorm_rope.cuh."""
    wide = upcast(x)
    r = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
    return (wide * (r * upcast(weight))).to(x.dtype)


def layer_norm(x, weight, eps):
    """huggingface/transformers:src/transformers/models/cohere/modeling_cohere.py, CohereLayerNorm, whose
    weight is [heads * head_dim]; without a weight torch.nn.LayerNorm with elementwise_affine=False."""
    wide = upcast(x)
    centred = wide - wide.mean(-1, keepdim=True)
    normed = centred * torch.rsqrt(centred.pow(2).mean(-1, keepdim=True) + eps)
    return (normed if weight is None else upcast(weight).reshape(x.shape[1:]) * normed).to(x.dtype)


def across_heads(norm, x, weight, eps):
    """A norm of the projection, before it is cut into heads."""
    return norm(x.flatten(1), weight, eps).reshape(x.shape)


def rotate_half(x):
    first, second = x.chunk(2, -1)
    return torch.cat((-second, first), -1)


def rope_halves(x, cos, sin):
    """huggingface/transformers: apply_rotary_pos_emb of Qwen3 and (a part of the head) GLM-4.5. The
    arithmetic is that of x's dtype."""
    cos, sin = (torch.cat((t, t), -1).unsqueeze(1).to(x.dtype) for t in (cos, sin))
    turned, rest = x[..., :cos.shape[-1]], x[..., cos.shape[-1]:]
    return torch.cat((turned * cos + rotate_half(turned) * sin, rest), -1)


def rope_halves_in_fp32(x, cos, sin):
    """huggingface/transformers:src/transformers/models/qwen3_vl/modeling_qwen3_vl.py,
    apply_rotary_pos_emb_vision; rotation kernels do the same."""
    return rope_halves(upcast(x), cos, sin).to(x.dtype)


def rope_pairs(x, cos, sin):
    """huggingface/diffusers:src/diffusers/models/embeddings.py, apply_rotary_emb with use_real and
    use_real_unbind_dim=-1: products and sum in fp32."""
    cos, sin = (t.repeat_interleave(2, -1).unsqueeze(1) for t in (cos, sin))
    real, imaginary = x.unflatten(-1, (-1, 2)).unbind(-1)
    turned = torch.stack((-imaginary, real), -1).flatten(-2)
    return (upcast(x) * cos + upcast(turned) * sin).to(x.dtype)


def rope_complex(x, cos, sin):
    """huggingface/diffusers: apply_rotary_emb_qwen with use_real=False (transformer_qwenimage.py),
    ZSingleStreamAttnProcessor (transformer_z_image.py): products of complex64."""
    number = torch.view_as_complex(upcast(x).unflatten(-1, (-1, 2)))
    turned = number * torch.complex(cos, sin).unsqueeze(1)
    return torch.view_as_real(turned).flatten(-2).to(x.dtype)
