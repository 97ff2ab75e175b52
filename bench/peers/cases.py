"""The shapes that are timed."""
from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    tokens: int
    heads_q: int
    heads_k: int
    head_dim: int = 128
    rope_dim: int = 128
    neox: bool = False

    @property
    def label(self) -> str:
        extras = [("d%d" % self.head_dim, self.head_dim != 128),
                  ("rope%d" % self.rope_dim, self.rope_dim != self.head_dim),
                  ("neox", self.neox)]
        return " ".join([f"{self.tokens}x({self.heads_q}+{self.heads_k})", *(text for text, shown in extras if shown)])

    @property
    def elements(self) -> int:
        """Of q and k together."""
        return self.tokens * (self.heads_q + self.heads_k) * self.head_dim


CASES = [
    Case(19, 24, 24),       # Qwen-Image's shortest prompt: latency alone
    Case(64, 32, 8),        # an LLM's decode batch
    Case(195, 24, 24),
    Case(256, 24, 24),
    Case(1024, 24, 24),
    Case(4096, 24, 24),     # FLUX.1 and Qwen-Image, 1024 x 1024
    Case(4096, 30, 30),     # Z-Image
    Case(8192, 32, 8),      # Qwen3-8B's prefill
    Case(8424, 24, 24),     # Qwen-Image-Edit
    Case(33280, 24, 24),    # HunyuanVideo
    Case(75600, 40, 40),    # Wan 2.2 A14B's size
    Case(4096, 24, 24, neox=True),
    Case(4096, 30, 30, neox=True),
    Case(8424, 24, 24, neox=True),
    Case(75600, 40, 40, neox=True),
    Case(8192, 24, 24, head_dim=64, rope_dim=64),
    Case(8192, 24, 24, head_dim=256, rope_dim=256),
    Case(8192, 24, 24, rope_dim=64),
]
