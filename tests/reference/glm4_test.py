"""GLM-4.5 (half of each head is rotated): huggingface/transformers:src/transformers/models/glm4_moe/
modeling_glm4_moe.py, Glm4MoeRMSNorm and apply_rotary_pos_emb. The formulas are Qwen3's."""
import qwen3_test
import reference


class Transformers(qwen3_test.Transformers):
    shape = reference.Shape(96, 8, 128, 64, "neox", 1e-5)


class Served(qwen3_test.Served):
    shape = Transformers.shape


if __name__ == "__main__":
    reference.main()
