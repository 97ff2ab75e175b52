"""Two NVRTC versions on one machine and in one cache, and one that is not whole."""

import shutil
from pathlib import Path

import qkjit_cli
from qkjit_cli import OTHER_SPEC, SPEC, CliTest

OTHERS = Path(__file__).parents[2].glob(
    "build/nvrtc12/lib/python3*/site-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12")
OTHER = next(OTHERS, None)


class Compilers(CliTest):
    def setUp(self):
        super().setUp()
        if not OTHER:
            self.skipTest("there is no second NVRTC: `tools/setup.sh tests` takes one from PyPI")

    def inspect(self, spec=SPEC, other=False, **env):
        document = self.qkjit("inspect", spec, "--json",
                              env=({"QKJIT_NVRTC": OTHER} if other else {}) | env).json()
        return document["compiler"], document["compiled"]

    def test_entries_of_both_live_together_and_each_finds_its_own(self):
        default, _ = self.inspect()
        other, compiled = self.inspect(other=True)
        self.assertNotEqual(default, other)
        self.assertEqual(compiled, 1, "another compiler's entry does not serve")
        for _ in range(2):
            self.assertEqual(self.inspect(), (default, 0))
            self.assertEqual(self.inspect(other=True), (other, 0))
        self.assertEqual(len(self.entries(self.cache)), 2)
        self.assertEqual(self.qkjit("cache", "verify", "--json").json()["good"], 2)

    def test_a_hit_opens_neither(self):
        self.inspect(other=True)
        self.assertNotIn("libnvrtc", self.opened_libraries("inspect", SPEC, env={"QKJIT_NVRTC": OTHER}))

    def test_without_a_compiler_what_either_made_serves(self):
        other, _ = self.inspect(other=True)
        self.assertEqual(self.inspect(QKJIT_NVRTC="/nonexistent"), (other, 0))

    def test_both_make_kernels_that_the_checks_accept(self):
        for other in False, True:
            out = self.dir / str(other)
            env = {"QKJIT_NVRTC": OTHER} if other else {}
            document = self.precompile(out, specs=[SPEC, OTHER_SPEC], env=env)
            self.assertEqual(document["failed"], 0)

    def test_a_compiler_without_its_builtins_is_a_reason_and_publishes_nothing(self):
        alone = shutil.copy(OTHER, self.dir)
        done = self.qkjit("inspect", SPEC, env={"QKJIT_NVRTC": alone}, code=1,
                          says=["libnvrtc-builtins", "NVRTC"])
        self.assertEqual(done.out, "")
        self.assertEqual(self.entries(self.cache), [])
        self.inspect()  # and the place is good for one that is whole
        self.assertEqual(len(self.entries(self.cache)), 1)


if __name__ == "__main__":
    qkjit_cli.main()
