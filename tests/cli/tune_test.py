"""qkjit tune without a GPU, and the table that it writes as the library reads it."""

import json

import qkjit_cli
from qkjit_cli import SPEC, CliTest


class Tune(CliTest):
    def test_it_needs_a_gpu(self):
        self.qkjit("tune", "--spec", SPEC, code=4, says="CUDA driver")

    def test_what_it_is_asked_for_is_checked_first(self):
        self.qkjit("tune", code=2, says="--spec")
        self.qkjit("tune", "--spec", SPEC + ",lanes=8", code=2, says="'lanes'")
        self.qkjit("tune", "--spec", SPEC, "--tokens", "0", code=2, says="tokens")
        self.qkjit("tune", "--model", "flux9", code=3, says="flux9")
        for head_dim in 4, 20, 600:
            spec = f"head_dim={head_dim},rope_dim=4,layout=neox,dtype=bf16"
            self.qkjit("tune", "--spec", spec, code=3, says="multiple of 8")

    def test_a_variant_can_be_looked_at(self):
        variant = "lanes=8,rows=3,threads=64,staging=bulk,pdl=yes"
        document = self.qkjit("inspect", SPEC, "--variant", variant, "--source", "--json").json()
        self.assertEqual(document["variant"], variant)
        self.assertIn(".staging = qkjit::Staging::bulk", document["source"])
        self.qkjit("inspect", SPEC, "--variant", variant, "--target", "sm_80", code=2, says="sm_90")
        self.qkjit("inspect", SPEC, "--variant", "lanes=7,rows=1,threads=32", code=2, says="power of two")


if __name__ == "__main__":
    qkjit_cli.main()
