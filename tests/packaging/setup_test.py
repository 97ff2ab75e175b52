#!/usr/bin/env python3
"""tools/setup.sh on machines that this one is not: dpkg, apt, sudo, python and the CUDA toolkits are
stand-ins in a temporary tree, and nothing is installed.

usage: setup_test.py
"""
import pathlib
import shutil
import subprocess
import tempfile
import unittest

SETUP = pathlib.Path(__file__).parents[2] / "tools/setup.sh"

FAKES = {
    "dpkg-query": 'for p; do [[ $p == [a-z]* ]] && [[ " $MISSING " != *" $p "* ]] && '
                  'printf "installed=%s:amd64 " "$p"; done; true',
    "id": 'echo "$FAKE_UID"',
    "apt-get": 'echo "$DEBIAN_FRONTEND apt-get $*" >>log; [[ $* != *update* ]] && exit "${APT_EXIT:-0}"; exit 100',
    "python3": 'mkdir -p $4/bin; cp "$FAKE_BIN/pip" $4/bin/pip; echo "python3 $*" >>log',
    "pip": 'echo "pip $*" >>log; nvidia=$(dirname "$0")/../lib/python3.11/site-packages/nvidia; '
           'mkdir -p $nvidia/cu13 $nvidia/cuda_nvrtc/lib; cp -r "$FAKE_BIN"/../cuda13/* $nvidia/cu13; '
           'echo >$nvidia/cuda_nvrtc/lib/libnvrtc.so.12; exit "${PIP_EXIT:-0}"',
    "sudo": 'echo "sudo $*" >>log; [[ $1 == -n ]] && shift; "$@"',
}


class Setup(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.bin = self.root / "bin"
        self.bin.mkdir()
        for name, body in FAKES.items():
            (self.bin / name).write_text(f"#!{shutil.which('bash')}\n{body}\n")
            (self.bin / name).chmod(0o755)
        for name in ("bash", "env", "sed", "cat", "cp", "mkdir", "dirname"):
            (self.bin / name).symlink_to(shutil.which(name))
        (self.bin / "sudo").rename(self.root / "sudo")  # present only where a test puts it
        (self.root / "tools").mkdir()
        shutil.copy(SETUP, self.root / "tools")
        self.toolkit("cuda11", 11080, "11")
        self.toolkit("cuda13", 13000, "13")

    def toolkit(self, name, version, soname):
        for path, text in (("include/cuda.h", f"#define CUDA_VERSION {version}\n"), ("include/nvrtc.h", ""),
                           (f"lib/libnvrtc.so.{soname}", "")):
            (self.root / name / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name / path).write_text(text)

    def run_setup(self, *arguments, roots=("cuda13",), missing="", uid=1000, **more):
        environment = {"PATH": str(self.bin), "FAKE_BIN": str(self.bin), "MISSING": missing, "FAKE_UID": str(uid),
                       "QKJIT_CUDA_ROOTS": ":".join(str(self.root / r) for r in roots), **more}
        result = subprocess.run([self.root / "tools/setup.sh", *arguments], env=environment, stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, check=False, cwd="/")
        return result.returncode, (result.stdout + result.stderr).splitlines()

    def log(self):
        return (self.root / "log").read_text().splitlines() if (self.root / "log").exists() else []

    def cuda_env(self):
        return (self.root / "build/cuda.env").read_text()

    def test_all_there_is_silent(self):
        self.assertEqual(self.run_setup(), (0, []))
        self.assertEqual(self.cuda_env(), f"QKJIT_CUDA_INCLUDE_DIR={self.root}/cuda13/include\n"
                                          f"QKJIT_NVRTC_LIBRARY={self.root}/cuda13/lib/libnvrtc.so.13\n")
        self.assertEqual(self.log(), [])

    def test_a_missing_package_is_named_in_one_line(self):
        code, lines = self.run_setup(missing="libfmt-dev g++")
        self.assertEqual((code, len(lines)), (4, 1))
        self.assertTrue(lines[0].endswith("apt-get install g++ libfmt-dev"), lines)

    def test_root_installs_it(self):
        code, lines = self.run_setup(missing="libfmt-dev ninja-build", uid=0)
        self.assertEqual(code, 0, lines)
        update, install = self.log()  # the update fails, as an unrelated source may
        self.assertIn("noninteractive apt-get", update)
        self.assertTrue(install.endswith("install -y --no-install-recommends libfmt-dev ninja-build"), install)

    def test_sudo_without_a_terminal_asks_nothing(self):
        (self.root / "sudo").rename(self.bin / "sudo")
        self.assertEqual(self.run_setup(missing="catch2")[0], 0)
        self.assertTrue(all(line.startswith("sudo -n ") for line in self.log() if "sudo" in line), self.log())
        self.assertTrue(self.log()[-1].endswith(" catch2"))

    def test_a_failed_install_says_what_to_do(self):
        code, lines = self.run_setup(missing="catch2", uid=0, APT_EXIT="100")
        self.assertEqual(code, 4)
        self.assertIn("run: apt-get install catch2", lines[-1])

    def test_what_only_tests_use_is_asked_for_by_them(self):
        self.assertEqual(self.run_setup(missing="python3-torch", uid=0), (0, []))
        self.assertEqual(self.run_setup("tests", missing="python3-torch", uid=0)[0], 0)
        self.assertTrue(self.log()[-1].endswith(" python3-torch"), self.log())

    def test_what_only_tests_use_may_be_missing(self):
        for uid in (0, 1000):
            code, lines = self.run_setup("tests", missing="python3-torch", uid=uid, APT_EXIT="100")
            self.assertEqual(code, 0, lines)
            self.assertIn("skipped; as root, run: apt-get install python3-torch", lines[-1])
            self.assertTrue(self.cuda_env())

    def test_tests_have_a_second_compiler_where_it_can_be_had(self):
        self.assertEqual(self.run_setup("tests")[0], 0)
        self.assertIn("nvidia-cuda-nvrtc-cu12", self.log()[-1])
        (self.root / "log").unlink()
        self.assertEqual((self.run_setup("tests"), self.log()), ((0, []), []))
        shutil.rmtree(self.root / "build/nvrtc12")
        code, lines = self.run_setup("tests", PIP_EXIT="1")
        self.assertEqual(code, 0)
        self.assertIn("skipped", lines[-1])

    def test_only_ninja_missing_is_fine(self):
        self.assertEqual(self.run_setup(missing="ninja-build"), (0, []))

    def test_a_toolkit_that_is_too_old_is_passed_over(self):
        code, lines = self.run_setup(roots=("cuda11", "cuda13"))
        self.assertEqual((code, len(lines)), (0, 1))
        self.assertIn("cuda11 lacks", lines[0])
        self.assertIn("cuda13/lib/libnvrtc.so.13", self.cuda_env())

    def test_without_a_toolkit_wheels_are_taken_once(self):
        self.assertEqual(self.run_setup(roots=())[0], 0)
        self.assertIn("nvidia-cuda-nvrtc==13.0.* nvidia-cuda-runtime==13.0.*", self.log()[-1])
        self.assertIn("build/venv/lib/python3.11/site-packages/nvidia/cu13/lib/libnvrtc.so.13", self.cuda_env())
        (self.root / "log").unlink()
        self.assertEqual((self.run_setup(roots=()), self.log()), ((0, []), []))

    def test_wheels_need_venv(self):
        code, lines = self.run_setup(roots=(), missing="python3-venv")
        self.assertEqual((code, len(lines)), (4, 1))
        self.assertTrue(lines[0].endswith("apt-get install python3-venv"), lines)


if __name__ == "__main__":
    unittest.main()
