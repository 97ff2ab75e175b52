"""qkjit inspect: the source, PTX and resources of a spec, a key or a file."""

import qkjit_cli
from qkjit_cli import OTHER_SPEC, SPEC, CliTest

ENTRY = "qkjit_hd64_rd64_neox_bf16_int64"
NO_COMPILER = {"QKJIT_NVRTC": "/nonexistent"}


class Inspect(CliTest):
    def inspect(self, *arguments, **options):
        return self.qkjit("inspect", "--json", *arguments, **options).json()

    def test_source_needs_no_compiler(self):
        source = self.qkjit("inspect", SPEC, "--source", env=NO_COMPILER).out
        self.assertIn('#include "fused.cuh"', source)
        self.assertIn(ENTRY, source)
        document = self.inspect(SPEC, "--source", env=NO_COMPILER)
        self.assertEqual((document["entry"], document["source"] + "\n"), (ENTRY, source))
        self.assertFalse(self.cache.exists())

    def test_ptx_and_resources(self):
        ptx = self.qkjit("inspect", SPEC, "--ptx").out
        self.assertRegex(ptx, rf"\.entry {ENTRY}\(")
        self.assertIn(".target sm_90", ptx)
        resources = self.qkjit("inspect", SPEC, "--resources").out
        self.assertRegex(resources, r"registers +[1-9]\d*\n")
        self.assertNotIn(".entry", resources)
        self.assertEqual(self.qkjit("inspect", SPEC).out, resources, "the default")
        document = self.inspect(SPEC, "--ptx")
        self.assertEqual(document["ptx"] + "\n", ptx)
        self.assertGreater(document["resources"]["registers"], 0)

    def test_target(self):
        ptx = self.qkjit("inspect", SPEC, "--ptx", "--target", "sm_80").out
        self.assertIn(".target sm_80", ptx)
        self.qkjit("inspect", SPEC, "--target", "sm_77", code=2, says=["'sm_77'", "sm_90a"])

    def test_the_second_time_it_is_found_without_a_compiler(self):
        first = self.inspect(SPEC)
        self.assertEqual((first["compiled"], first["hits"], first["origin"]), (1, 0, "compiled"))
        second = self.inspect(SPEC, env=NO_COMPILER)
        self.assertEqual((second["compiled"], second["hits"], second["origin"]), (0, 1, "cache"))
        same = ("entry", "key", "target", "resources", "cubin_bytes", "compiler")
        self.assertEqual([first[name] for name in same], [second[name] for name in same])
        self.qkjit("inspect", OTHER_SPEC, env=NO_COMPILER, code=4, says="NVRTC is missing")

    def test_key_and_file_are_the_spec_s_kernel(self):
        key = self.inspect(SPEC)["key"]
        for subject in [key, key[:12], self.cache / f"{key}.qkjit", f"cache/{key}.qkjit"]:
            document = self.inspect(subject, env=NO_COMPILER)
            self.assertEqual((document["key"], document["entry"]), (key, ENTRY))

    def test_an_ambiguous_key_says_how_many(self):
        keys, dim = {}, 8
        while len(keys) < 17:  # of 17 keys two begin with the same hexadecimal digit
            spec = f"head_dim={dim},rope_dim=8,layout=neox,dtype=bf16"
            plan = self.precompile("out", "--dry-run", specs=[spec])["kernels"][0]
            dim += 8
            if plan["key"][0] in keys:
                break
            keys[plan["key"][0]] = plan["spec"]
        for spec in (keys[plan["key"][0]], plan["spec"]):
            self.qkjit("inspect", spec)
        self.qkjit("inspect", plan["key"][0], code=3, says="2 keys")
        self.qkjit("inspect", plan["key"])

    def test_what_is_not_there(self):
        self.qkjit("inspect", SPEC)
        for subject in ["zzz", "", "missing.qkjit", "x" * 5000]:
            self.qkjit("inspect", subject, code=3, says=["no spec, no file", "0 keys"])

    def test_bad_specs(self):
        self.qkjit("inspect", "head_dim=64,rope=64", code=2, says=["'rope'", "rope_dim"])
        self.qkjit("inspect", "abc", "--source", code=2, says="'abc'")
        generic = SPEC.replace("64", "65", 1)
        for option in ("--source", "--ptx"):
            self.qkjit("inspect", generic, option, code=3, says="nearest is 72")

    def test_a_damaged_file_is_named_with_what_is_wrong(self):
        key = self.inspect(SPEC)["key"]
        file = self.cache / f"{key}.qkjit"
        good = file.read_bytes()
        middle = len(good) // 2
        for damaged, problem in [
            (b"", "cut short"),
            (good[:-1], f"entry of {len(good) - 1} bytes says it has {len(good)}"),
            (b"x" + good[1:], "magic"),
            (good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1:], "checksum"),
        ]:
            file.write_bytes(damaged)
            for subject in (file, key):
                done = self.qkjit("inspect", subject, code=4, says=[file.name, problem])
                self.assertEqual(done.out, "")


if __name__ == "__main__":
    qkjit_cli.main()
