"""GLM-Image (LayerNorm without weight and bias; the text is not rotated): huggingface/diffusers:src/
diffusers/models/transformers/transformer_glm_image.py, GlmImageAttnProcessor."""
import reference
from centred import Centred
from formulas import layer_norm, rope_halves_in_fp32


class Image(Centred, reference.Family):
    shape = reference.Shape(32, 32, 128, 128, "neox", 1e-5)
    rounding = "split"
    fields = {"norm": "layer", "weight": "none"}
    axes = (64, 64)

    def model(self, x, weight, cos, sin, eps):
        return rope_halves_in_fp32(layer_norm(x, None, eps), cos, sin)


class Text(Centred, reference.Family):
    shape = reference.Shape(32, 32, 128, 0, "neox", 1e-5)
    rounding = "split"
    fields = Image.fields

    def model(self, x, weight, cos, sin, eps):
        return layer_norm(x, None, eps)


if __name__ == "__main__":
    reference.main()
