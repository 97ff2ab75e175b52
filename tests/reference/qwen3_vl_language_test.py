"""Qwen3-VL's language model, interleaved mrope: huggingface/transformers:src/transformers/models/
qwen3_vl/modeling_qwen3_vl.py, Qwen3VLTextRMSNorm, apply_rotary_pos_emb and the frequencies of
Qwen3VLTextRotaryEmbedding.apply_interleaved_mrope."""
import qwen3_test
import reference
from pytorch import torch


class Language(qwen3_test.Transformers):
    theta = 5e6
    sections = (24, 20, 20)  # frequencies that turn with time, height, width

    def table(self, source, rows):
        """Frequency i turns with coordinate i % 3 as long as that one's section lasts, then with
        time."""
        positions = source.below(400, rows, len(self.sections)).double()
        dim = self.shape.rope_dim
        angles = positions[:, :, None] / self.theta**(torch.arange(0, dim, 2).double() / dim)
        chosen = [i % 3 if i < 3 * self.sections[i % 3] else 0 for i in range(dim // 2)]
        angles = angles[:, chosen, range(dim // 2)]
        return angles.cos().float(), angles.sin().float()


if __name__ == "__main__":
    reference.main()
