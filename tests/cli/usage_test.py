"""What every command does alike: exit codes, stdout and stderr, --json, -q, colors."""

import subprocess
import unittest
from pathlib import Path

import qkjit_cli
from qkjit_cli import SPEC, CliTest

RUN = ["run", "--spec", SPEC, "--tokens", 4, "--device", "cpu"]


class Usage(CliTest):
    def test_version_and_help_are_data(self):
        self.assertRegex(self.qkjit("--version").out, r"^qkjit \d+\.\d+\.\d+\n$")
        for command in [[], ["run"], ["precompile"], ["inspect"], ["cache"], ["doctor"]]:
            done = self.qkjit(*command, "--help")
            self.assertIn("Usage:", done.out)
            self.assertEqual(done.err, "")

    def test_bad_usage_is_2_and_only_on_stderr(self):
        for arguments in [
            [],
            ["bogus"],
            ["--bogus"],
            ["run"],
            ["run", "--bogus"],
            ["run", "--model"],
            ["run", "--model", "flux1-dev", "--spec", SPEC],
            ["run", "--spec", SPEC, "--device", "tpu"],
            ["run", "--spec", SPEC, "--tokens", "0"],
            ["run", "--spec", SPEC, "--tokens", "many"],
            ["run", "--spec", SPEC, "--heads-q", "0"],
            ["run", "--model", "flux1-dev", "--out", "x"],
            ["run", "--spec", SPEC, "--tensors", "missing.safetensors"],
            ["precompile", "--spec", SPEC, "--target", "sm_90"],
            ["precompile", "--spec", SPEC, "--target", "sm_90", "--out", "x", "-j", "0"],
            ["inspect"],
            ["cache"],
            ["cache", "bogus"],
            ["doctor", "--color", "sometimes"],
        ]:
            with self.subTest(arguments=arguments):
                done = self.qkjit(*arguments, code=2)
                self.assertEqual(done.out, "")
                self.assertNotEqual(done.err, "")

    def test_json_is_one_document_before_or_after_the_command(self):
        for arguments in [["--json", *RUN], [*RUN, "--json"], ["doctor", "--json"],
                          ["cache", "path", "--json"], ["cache", "list", "--json"],
                          ["inspect", SPEC, "--json"]]:
            schema = self.qkjit(*arguments).json()["schema"]
            self.assertRegex(schema, r"^qkjit\.[a-z.]+/1$")

    def test_every_command_that_may_compile_counts(self):
        precompile = ["precompile", "--spec", SPEC, "--target", "sm_90", "--out", "made"]
        for arguments in [RUN, ["inspect", SPEC], precompile]:
            document = self.qkjit(*arguments, "--json").json()
            counted = [document[name] for name in ("compiled", "hits", "failed")]
            self.assertEqual((sum(counted), document["failed"]), (1, 0), arguments)
            if arguments[0] == "inspect":  # of one kernel, whatever it comes from
                continue
            requests = document["requests"]
            self.assertEqual(requests.pop("all"), sum(requests.values()), arguments)
            self.assertEqual(requests["missed"], document["compiled"], arguments)
            self.assertEqual(document["background"], {"pending": 0, "done": 0})
            times = document["ms"]
            self.assertLess(0, times["cache_read"])
            self.assertEqual(times["compile"] > 0, document["compiled"] > 0)
            self.assertLessEqual(times["front_end"], times["compile"])

    def test_quiet_silences_stderr_but_not_data(self):
        loud = self.qkjit("precompile", "--spec", SPEC, "--target", "sm_90", "--out", "made")
        self.assertIn("[1/1]", loud.err)
        quiet = self.qkjit("-q", "precompile", "--spec", SPEC, "--target", "sm_90", "--out", "made")
        self.assertEqual(quiet.err, "")
        self.assertIn("1 were there", quiet.out)
        self.assertNotEqual(self.qkjit("-q", "run", "--model", "nothing", code=3).err, "")

    def test_verbose_says_what_was_compiled(self):
        self.assertNotIn("compiled", self.qkjit("inspect", SPEC).err)
        self.qkjit("inspect", SPEC, "--target", "sm_80", "-v", says="compiled qkjit_hd64")

    def test_color(self):
        escape = "\033["
        self.assertIn(escape, self.qkjit("doctor", "--color", "always").out)
        for arguments in [["--color", "auto"], ["--color", "never"]]:  # stdout is no terminal
            self.assertNotIn(escape, self.qkjit("doctor", *arguments).out)

    @unittest.skipUnless(Path("/usr/bin/script").exists(), "needs script(1) to make a terminal")
    def test_color_on_a_terminal(self):
        def on_terminal(**env):
            return subprocess.run(["/usr/bin/script", "-qec", f"'{qkjit_cli.BINARY}' doctor",
                                   "/dev/null"], env=self.environment(TERM="xterm", **env),
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout
        self.assertIn("\033[", on_terminal())
        self.assertNotIn("\033[", on_terminal(NO_COLOR="1"))

    def test_data_that_cannot_be_written_is_an_error(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([qkjit_cli.BINARY, "doctor"], env=self.environment(), stdout=full,
                                  stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 4)
        self.assertIn("cannot write to stdout", done.stderr)

    def test_a_bad_setting_is_named(self):
        self.qkjit(*RUN, env={"QKJIT_COMPILE": "bogus"}, code=2, says="QKJIT_COMPILE=bogus")

    def test_neither_compiler_nor_driver_is_linked(self):
        linked = subprocess.check_output(["ldd", qkjit_cli.BINARY], text=True)
        self.assertIn("libc.so", linked)
        for library in ("libcuda", "libnvrtc", "libcudart"):
            self.assertNotIn(library, linked)


if __name__ == "__main__":
    qkjit_cli.main()
