"""qkjit precompile: a directory of kernels that is complete, reproducible and relocatable."""

import shutil


import qkjit_cli
from qkjit_cli import MODELS, OTHER_SPEC, SPEC, CliTest

NO_COMPILER = {"QKJIT_NVRTC": "/nonexistent"}


class Precompile(CliTest):
    def counters(self, document):
        return tuple(document[name] for name in ("compiled", "hits", "failed"))

    def contents(self, directory):
        return {name: (directory / name).read_bytes() for name in self.entries(directory)}

    def test_the_second_run_has_nothing_to_compile(self):
        out = self.dir / "out"
        first = self.precompile(out, specs=[SPEC, OTHER_SPEC, SPEC])
        self.assertEqual(self.counters(first), (2, 0, 0))
        self.assertEqual(sorted(k["key"] + ".qkjit" for k in first["kernels"]), self.entries(out))
        before = self.contents(out)
        second = self.precompile(out, specs=[SPEC, OTHER_SPEC])
        self.assertEqual(self.counters(second), (0, 2, 0))
        self.assertEqual(self.contents(out), before)
        self.assertFalse(self.cache.exists(), "--out is the only cache")

    def test_two_runs_give_the_same_bytes(self):
        for name, jobs, zone in [("one", "-j1", "UTC"), ("two", "-j2", "Asia/Kathmandu")]:
            home = self.dir / f"home-{name}"
            home.mkdir()
            self.precompile(self.dir / name, jobs, specs=[SPEC, OTHER_SPEC], target="sm_90,sm_80",
                            cwd=home, env={"HOME": home, "TZ": zone, "USER": name})
        one, two = self.contents(self.dir / "one"), self.contents(self.dir / "two")
        self.assertEqual(len(one), 4)
        self.assertEqual(one, two)
        self.assertNotIn(str(self.dir).encode(), b"".join(one.values()))

    def test_force_compiles_again(self):
        out = self.dir / "out"
        self.precompile(out)
        before = self.contents(out)
        self.assertEqual(self.counters(self.precompile(out, "--force")), (1, 0, 0))
        self.assertEqual(self.contents(out), before)
        self.qkjit("precompile", "--target", "sm_90", "--spec", SPEC, "--out", out, "--force",
                   env=NO_COMPILER, code=4)
        self.assertEqual(self.contents(out), before)

    def test_check_names_what_is_missing_and_compiles_nothing(self):
        out = self.dir / "out"
        document = self.precompile(out, specs=[SPEC, OTHER_SPEC])
        check = ["precompile", "--check", "--json", "--target", "sm_90", "--spec", SPEC, OTHER_SPEC,
                 "--out", out]
        self.qkjit(*check, env=NO_COMPILER)
        gone = next(k for k in document["kernels"] if k["spec"] == OTHER_SPEC)
        (out / (gone["key"] + ".qkjit")).unlink()
        done = self.qkjit(*check, code=1, says=["is not complete", OTHER_SPEC])
        self.assertNotIn(SPEC, done.err.split("is not complete")[1])
        self.assertEqual(self.counters(done.json()), (0, 1, 1))
        self.assertEqual(len(self.entries(out)), 1)

    def test_check_of_nothing_creates_nothing(self):
        self.qkjit("precompile", "--check", "--target", "sm_90", "--spec", SPEC, "--out", "none",
                   code=1)
        self.assertFalse((self.dir / "none").exists())

    def test_a_damaged_entry_is_compiled_again(self):
        out = self.dir / "out"
        self.precompile(out)
        before = self.contents(out)
        file = out / self.entries(out)[0]
        file.write_bytes(file.read_bytes()[:-1])
        self.assertEqual(self.counters(self.precompile(out, says="cache entry ignored")), (1, 0, 0))
        self.assertEqual(self.contents(out), before)

    def test_dry_run_needs_no_compiler_and_knows_the_keys(self):
        plan = self.precompile("out", "--dry-run", specs=[SPEC, OTHER_SPEC], target="sm_90,sm_80",
                               env=NO_COMPILER)
        self.assertFalse((self.dir / "out").exists())
        self.precompile("out", specs=[SPEC, OTHER_SPEC], target="sm_90,sm_80")
        self.assertEqual(sorted(k["key"] + ".qkjit" for k in plan["kernels"]),
                         self.entries(self.dir / "out"))

    def test_without_a_compiler_it_is_the_environment(self):
        done = self.qkjit("precompile", "--target", "sm_90,sm_80", "--spec", SPEC, "--out", "out",
                          env=NO_COMPILER, code=4,
                          says=["NVRTC is missing", "QKJIT_NVRTC", "sm_80"])
        self.assertEqual(done.err.count("NVRTC is missing"), 1, "said once, not for each kernel")

    def test_an_out_that_cannot_be_written(self):
        (self.dir / "file").write_text("")
        self.qkjit("precompile", "--target", "sm_90", "--spec", SPEC, "--out", "file/out", code=4,
                   says=["file/out", "Not a directory"])

    def test_targets(self):
        all_targets = self.precompile("out", target="all")
        targets = {kernel["target"] for kernel in all_targets["kernels"]}
        self.assertLessEqual({"sm_80", "sm_90", "sm_90a"}, targets)
        self.assertEqual(self.counters(all_targets), (len(targets), 0, 0))
        command = ["precompile", "--spec", SPEC, "--out", "out"]
        self.qkjit(*command, code=2, says="--target")
        self.qkjit(*command, "--target", "sm_77", code=2, says=["'sm_77'", "sm_90a"])
        self.qkjit(*command, "--target", "hopper", code=2, says=["'hopper'", "sm_90"])
        self.qkjit(*command, "--target", "compute_90", code=2, says="'compute_90'")
        self.qkjit(*command, "--target", "native", code=4, says="driver")

    def test_one_bad_target_does_not_spoil_the_others(self):
        document = self.precompile("out", target="sm_77,sm_90", code=2, says="sm_77")
        self.assertEqual(self.counters(document), (1, 0, 1))

    def test_every_model_is_served_by_the_directory_elsewhere(self):
        command = ["precompile", "--model", "all", "--target", "sm_90", "--out", "bundle"]
        self.qkjit(*command)
        shutil.move(self.dir / "bundle", self.dir / "shipped")
        for model in MODELS:
            with self.subTest(model=model):
                document = self.qkjit(
                    "run", "--model", model, "--tokens", 2, "--device", "cpu", "--json",
                    env=NO_COMPILER | {"QKJIT_CACHE_PATH": f"/nowhere:{self.dir}/shipped"}).json()
                self.assertEqual(self.counters(document), (0, len(document["kernels"]), 0))
                self.assertGreater(document["hits"], 0)

    def test_nothing_to_compile(self):
        command = ["precompile", "--target", "sm_90", "--out", "out"]
        self.qkjit(*command, code=2, says="--model")
        self.qkjit(*command, "--model", "flux1-de", code=3, says="flux1-dev")
        self.qkjit(*command, "--spec", SPEC.replace("64", "65", 1), code=3, says="nearest is 72")
        self.qkjit(*command, "--spec", "head_dim=64,rope=64", code=2, says="'rope'")


if __name__ == "__main__":
    qkjit_cli.main()
