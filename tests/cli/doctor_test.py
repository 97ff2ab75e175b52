"""qkjit doctor: what it finds, its verdict, and that it needs nothing."""

import os
import shutil

import qkjit_cli
from qkjit_cli import SPEC, CliTest


class Doctor(CliTest):
    def doctor(self, **options):
        document = self.qkjit("doctor", "--json", **options).json()
        self.assertEqual(document["schema"], "qkjit.doctor/1")
        return document

    def test_finds_the_compiler_and_its_targets(self):
        document = self.doctor()
        self.assertTrue(document["nvrtc"]["good"])
        self.assertIn("sm_90a", document["nvrtc"]["text"])
        self.assertIn("qkjit precompile", document["verdict"])

    def test_text_has_a_line_for_each_finding(self):
        lines = self.qkjit("doctor").out.splitlines()
        self.assertEqual([line.split()[0] for line in lines],
                         ["qkjit", "driver", "nvrtc", "cache", "compile", "verdict"])

    def test_who_compiles(self):
        for policy, says in ("block", "waits"), ("background", "2 threads"), ("never", "generic"):
            text = self.doctor(env={"QKJIT_COMPILE": policy})["compile"]["text"]
            self.assertTrue(text.startswith(policy + ":"), text)
            self.assertIn(says, text)

    def test_no_driver_is_said_with_what_to_do(self):
        driver = self.doctor()["driver"]
        self.assertFalse(driver["good"])
        self.assertIn("driver", driver["text"])

    def test_without_compiler_and_gpu_it_is_the_environment(self):
        document = self.doctor(env={"QKJIT_NVRTC": "/nonexistent"}, code=4)
        self.assertFalse(document["nvrtc"]["good"])
        self.assertIn("/nonexistent", document["nvrtc"]["text"])
        self.assertIn("QKJIT_NVRTC", document["nvrtc"]["text"])
        self.assertIn("install", document["verdict"])

    def test_a_library_that_is_no_compiler(self):
        document = self.doctor(env={"QKJIT_NVRTC": "libm.so.6"}, code=4)
        self.assertIn("is no NVRTC", document["nvrtc"]["text"])

    def test_counts_entries_and_creates_no_cache(self):
        self.assertIn("0 entries", self.doctor()["cache"]["text"])
        self.assertFalse(self.cache.exists())
        self.qkjit("inspect", SPEC)
        self.assertIn("1 entries", self.doctor()["cache"]["text"])

    def test_a_cache_that_cannot_be_written(self):
        (self.dir / "file").write_text("")
        document = self.doctor(env={"QKJIT_CACHE_DIR": self.dir / "file" / "cache"})
        self.assertFalse(document["cache"]["good"])
        self.assertIn("is not a directory", document["cache"]["text"])
        self.assertIn("QKJIT_CACHE_DIR", document["verdict"])

    def test_a_cache_that_others_can_write(self):
        self.cache.mkdir()
        self.cache.chmod(0o777)
        document = self.doctor(env={"QKJIT_CACHE_PATH": self.cache})
        self.assertFalse(document["cache"]["good"])
        self.assertIn("chmod go-w", document["cache"]["text"])
        self.assertEqual([layer["good"] for layer in document["path"]], [False])
        self.cache.chmod(0o755)
        document = self.doctor(env={"QKJIT_CACHE_PATH": f"{self.cache}:/nonexistent"})
        self.assertTrue(document["cache"]["good"])
        self.assertEqual([layer["good"] for layer in document["path"]], [True, False])

    def test_a_cache_that_is_turned_off(self):
        for mode in "ro", "off":
            document = self.doctor(env={"QKJIT_CACHE": mode})
            self.assertFalse(document["cache"]["good"])
            self.assertIn("QKJIT_CACHE", document["cache"]["text"])

    def test_a_directory_without_write_permission(self):
        self.cache.mkdir(mode=0o555)
        options = {}
        if os.geteuid() == 0:  # root may write anywhere
            self.dir.chmod(0o755)
            options = {"binary": shutil.copy(qkjit_cli.BINARY, self.dir), "user": 65534}
        document = self.doctor(env={"QKJIT_NVRTC": "/nonexistent"}, code=4, **options)
        self.assertFalse(document["cache"]["good"])


if __name__ == "__main__":
    qkjit_cli.main()
