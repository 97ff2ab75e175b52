"""MiniMax H3, eager (96 of 128 elements are rotated): huggingface/diffusers:src/diffusers/models/
transformers/transformer_minimax_h3.py, MiniMaxH3Attention (torch.nn.RMSNorm) and _apply_rotary_emb."""
import reference
from formulas import over_rms, rms_norm_rounded_once, rope_halves


class MiniMaxH3(reference.Family):
    shape = reference.Shape(56, 56, 128, 96, "neox", 1e-5)
    rounding = "eager"
    axes = (32, 32, 32)
    table_in_dtype = True
    power_of_two_weights = True

    def model(self, x, weight, cos, sin, eps):
        return rope_halves(rms_norm_rounded_once(x, weight, eps), cos, sin)


class Decoder(MiniMaxH3):
    """The autoencoder's vision decoder: autoencoders/autoencoder_kl_minimax_h3.py,
    MiniMaxH3VideoAttnProcessor, whose norm has no weight."""
    shape = reference.Shape(32, 32, 64, 48, "neox", 1e-5)
    axes = (16, 16, 16)
    fields = {"weight": "none"}

    def model(self, x, weight, cos, sin, eps):
        return rope_halves(over_rms(x, eps).to(x.dtype), cos, sin)


if __name__ == "__main__":
    reference.main()
