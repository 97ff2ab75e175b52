"""qkjit precompile --manifest: a file that says what to compile."""

import json

import qkjit_cli
from qkjit_cli import OTHER_SPEC, SPEC, CliTest


class Manifests(CliTest):
    def manifest(self, text, **options):
        (self.dir / "wanted.json").write_text(text if isinstance(text, str) else json.dumps(text))
        return self.qkjit("precompile", "--json", "--manifest", "wanted.json", "--out", "out",
                          **options)

    def test_a_manifest_adds_to_the_options(self):
        wanted = {"schema": "qkjit.manifest/1", "models": ["qwen3-8b"], "specs": [SPEC],
                  "targets": ["sm_90"]}
        document = self.manifest(wanted).json()
        # qwen3-8b has several kernels, for calls of few bytes and of many.
        specs = [k["spec"] for k in document["kernels"]]
        self.assertEqual((specs.count(SPEC), specs[-1], len(set(specs))), (1, SPEC, 2))
        self.assertEqual(document["compiled"], len(specs))
        (self.dir / "wanted.json").write_text(json.dumps(wanted | {"models": [], "targets": []}))
        document = self.qkjit("precompile", "--json", "--manifest", "wanted.json", "--out", "out",
                              "--spec", OTHER_SPEC, "--target", "sm_90").json()
        self.assertEqual((document["compiled"], document["hits"]), (1, 1))

    def test_bad_manifests_are_named(self):
        good = {"schema": "qkjit.manifest/1"}
        self.manifest("{", code=2, says="wanted.json")
        self.manifest("[]", code=2, says="wanted.json")
        self.manifest({}, code=2, says="schema")
        self.manifest({"schema": "other/1"}, code=2, says=["other/1", "qkjit.manifest/1"])
        self.manifest(good | {"model": ["flux1-dev"]}, code=2, says=["'model'", "models"])
        self.manifest(good | {"specs": 3}, code=2, says="wanted.json")
        self.manifest(good, code=2, says="nothing to compile")
        self.qkjit("precompile", "--manifest", "missing.json", "--out", "out", code=2,
                   says="missing.json")


if __name__ == "__main__":
    qkjit_cli.main()
