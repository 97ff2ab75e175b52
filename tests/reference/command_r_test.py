"""Command R+ (LayerNorm, and every head has weights of its own): huggingface/transformers:src/transformers/
models/cohere/modeling_cohere.py, CohereLayerNorm and apply_rotary_pos_emb, which computes in fp32."""
import reference
from centred import Centred
from formulas import layer_norm, rope_pairs


class CommandR(Centred, reference.Family):
    shape = reference.Shape(24, 8, 128, 128, "interleaved", 1e-5)
    rounding = "late_weight"
    fields = {"norm": "layer", "weights": "per_head"}
    theta = 75e6

    def model(self, x, weight, cos, sin, eps):
        return rope_pairs(layer_norm(x, weight, eps), cos, sin)


if __name__ == "__main__":
    reference.main()
