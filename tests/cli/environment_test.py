"""qkjit run with a warm cache, and without a compiler, a cache or a home."""

import qkjit_cli
from qkjit_cli import SPEC, CliTest

NO_COMPILER = {"QKJIT_NVRTC": "/nonexistent"}
RUN_SPEC = ["run", "--spec", SPEC, "--tokens", 5, "--device", "cpu", "--check"]


class Environment(CliTest):
    def test_a_warm_cache_leaves_the_compiler_closed(self):
        self.assertIn("libnvrtc", self.opened_libraries(*RUN_SPEC))
        self.assertNotIn("nvrtc", self.opened_libraries(*RUN_SPEC))
        document = self.qkjit(*RUN_SPEC, "--json").json()
        self.assertEqual((document["compiled"], document["hits"]), (0, 1))

    def test_without_a_compiler_the_call_is_served(self):
        done = self.qkjit(*RUN_SPEC, "--json", env=NO_COMPILER, says="NVRTC is missing")
        document = done.json()
        self.assertEqual((document["compiled"], document["failed"]), (0, 1))
        self.assertTrue(document["calls"][0]["check"]["passed"])

    def test_compiling_may_be_forbidden(self):
        env = {"QKJIT_COMPILE": "never"}
        document = self.qkjit(*RUN_SPEC, "--json", env=env, says="compiling is forbidden").json()
        self.assertEqual((document["compiled"], document["calls"][0]["path"]), (0, "cpu"))
        self.assertNotIn("nvrtc", self.opened_libraries(*RUN_SPEC, env=env))

    def test_a_cache_that_cannot_be_written_is_said_once(self):
        (self.dir / "file").write_text("")
        done = self.qkjit("run", "--model", "minimax-h3", "--tokens", 2, "--device", "cpu",
                          "--json", env={"QKJIT_CACHE_DIR": self.dir / "file" / "cache"})
        self.assertGreater(done.json()["compiled"], 1)
        self.assertEqual(done.err.count("kernels stay in memory"), 1, done)

    def test_without_a_home_kernels_stay_in_memory(self):
        nowhere = {"QKJIT_CACHE_DIR": "", "HOME": ""}
        self.qkjit(*RUN_SPEC, env=nowhere, says="kernels stay in memory")
        self.assertEqual(list(self.dir.iterdir()), [])


if __name__ == "__main__":
    qkjit_cli.main()
