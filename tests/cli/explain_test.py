"""qkjit explain: the path, the key, and the named cause of each miss; without compiler or GPU."""

import os
import shutil

import qkjit_cli
from qkjit_cli import OTHER_SPEC, SPEC, CliTest

NO_COMPILER = {"QKJIT_NVRTC": "/nonexistent"}


class Explain(CliTest):
    def explain(self, *arguments, **options):
        document = self.qkjit("explain", *(arguments or [SPEC]), "--json", **options).json()
        self.assertEqual(document["schema"], "qkjit.explain/1")
        return document

    def first(self, *arguments, **options):
        """The first variant of the first spec."""
        return self.explain(*arguments, **options)["explained"][0]["variants"][0]

    def cause(self, *arguments, **options):
        return self.first(*arguments, **options)["layers"][0]["found"]

    def entry(self):
        self.qkjit("inspect", SPEC)
        return self.cache / self.entries(self.cache)[0]

    def test_a_hit_says_where_and_whose(self):
        self.assertEqual(self.cause(), "absent")
        self.assertFalse(self.cache.exists(), "looking creates nothing")
        file = self.entry()
        first = self.first()
        self.assertTrue(first["hit"])
        self.assertEqual((first["layers"][0]["file"], first["layers"][0]["layer"]), (str(file), str(self.cache)))
        self.assertRegex(first["layers"][0]["toolchain"], "^nvrtc-[0-9a-f]{16}$")
        self.assertEqual(first["key"], file.stem)
        text = self.qkjit("explain", SPEC).out
        for part in "path        fused: 1 of", str(file), file.stem, "of nvrtc-", "headers ":
            self.assertIn(part, text)

    def test_key_fields_are_those_that_make_the_key(self):
        fields = {field["name"]: field["value"] for field in self.first()["fields"]}
        self.assertEqual((fields["spec"], fields["target"]), (SPEC, "sm_90"))
        self.assertIn("fused.cuh", fields["source"])
        self.assertRegex(fields["headers"], "^[0-9a-f]{64}$")

    def test_needs_no_compiler_and_opens_none(self):
        self.entry()
        self.assertTrue(self.first(env=NO_COMPILER)["hit"])
        self.assertNotIn("libnvrtc", self.opened_libraries("explain", SPEC))

    def test_damage_untrusted_and_refused(self):
        file = self.entry()
        content = file.read_bytes()
        file.write_bytes(content[:-1])
        self.assertEqual(self.cause(), "damaged")
        self.assertIn("says it has", self.first()["layers"][0]["why"])
        self.assertEqual(self.entries(self.cache), [file.name], "nothing is put out of the way")
        file.write_bytes(content)
        file.chmod(0o666)
        self.assertEqual(self.cause(), "untrusted")
        file.chmod(0o600)
        self.cache.chmod(0o777)
        self.assertEqual(self.cause(says="chmod go-w"), "refused")

    def test_an_entry_that_cannot_be_read(self):
        file = self.entry()
        file.chmod(0o000)
        options = {}
        if os.geteuid() == 0:  # root may read anything
            self.dir.chmod(0o755), self.cache.chmod(0o755)
            options = {"binary": shutil.copy(qkjit_cli.BINARY, self.dir), "user": 65534}
        self.assertEqual(self.cause(**options), "unreadable")
        self.assertIn("Permission denied", self.qkjit("explain", SPEC, **options).out)

    def test_another_toolchain_in_the_own_directory_and_in_a_read_only_one(self):
        file = self.entry()
        content = file.read_bytes()
        # Another compiler's build id, and the checksum that makes it an entry.
        name = self.first()["layers"][0]["toolchain"].encode()
        body = content[:-16].removesuffix(name) + b"nvrtc-" + b"0" * 16
        file.write_bytes(qkjit_cli.with_checksum(body))
        self.assertEqual(self.cause(), "another_toolchain")
        self.assertIn("nvrtc-" + "0" * 16, self.first()["layers"][0]["why"])
        self.assertTrue(self.first(env=NO_COMPILER)["hit"], "where no compiler is, any serves")
        shipped = {"QKJIT_CACHE_DIR": self.dir / "none", "QKJIT_CACHE_PATH": self.cache}
        self.assertEqual([layer["found"] for layer in self.first(env=shipped)["layers"]], ["absent", "another_toolchain"],
                         "without a manifest nothing is pinned")

    def test_off_and_no_place(self):
        off = self.explain(env={"QKJIT_CACHE": "off"})
        self.assertEqual(off["explained"][0]["variants"][0]["layers"], [])
        self.assertIn("turned off", off["why_not_writable"])
        self.assertIn("off", self.qkjit("explain", SPEC, env={"QKJIT_CACHE": "off"}).out)
        nowhere = self.explain(env={"QKJIT_CACHE_DIR": "", "XDG_CACHE_HOME": "", "HOME": ""})
        self.assertIn("HOME", nowhere["why_not_writable"])

    def test_the_nearest_entry_and_what_differs(self):
        self.entry()
        near = self.first(SPEC, "--target", "sm_90a")["nearest"]
        self.assertIn("target sm_90a, entry has sm_90", [each["text"] for each in near["differs"]])
        near = self.first(OTHER_SPEC)["nearest"]
        self.assertIn("spec layout=interleaved, entry has layout=neox",
                      [each["text"] for each in near["differs"]])
        self.assertIn("nearest", self.qkjit("explain", OTHER_SPEC).out)

    def test_the_path_has_its_reason(self):
        def path(*arguments, **options):
            explained = self.explain(*arguments, **options)["explained"][0]
            return explained["path"], explained["reason"]
        self.assertEqual(path(), ("fused", "none"))
        self.assertEqual(path(env=NO_COMPILER), ("generic", "nvrtc_missing"))
        self.assertEqual(path(env={"QKJIT_COMPILE": "never"}), ("generic", "compile_forbidden"))
        self.assertEqual(path("head_dim=90,rope_dim=90,layout=neox,dtype=bf16"), ("generic", "shape"))

    def test_models_and_targets(self):
        explained = self.explain("--model", "flux1-dev", "--target", "sm_90,sm_100a")["explained"]
        self.assertEqual({each["target"] for each in explained}, {"sm_90", "sm_100a"})
        self.assertEqual(len(explained) % 2, 0)

    def test_bad_usage(self):
        self.qkjit("explain", code=2, says="nothing is given")
        self.qkjit("explain", "head_dim=banana", code=2, says="head_dim")
        self.qkjit("explain", SPEC, "--target", "volta", code=2, says="volta")
        self.qkjit("explain", "--model", "no-such-model", code=3, says="nearest")


if __name__ == "__main__":
    qkjit_cli.main()
