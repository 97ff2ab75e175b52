"""What the tests of the command share: a run of the binary in an environment of its own."""

import ctypes
import ctypes.util
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

BINARY = None  # set by main()

SPEC = "head_dim=64,rope_dim=64,layout=neox,dtype=bf16"
OTHER_SPEC = "head_dim=64,rope_dim=64,layout=interleaved,dtype=bf16"

MODELS = ["command-r-plus", "cosmos1-7b", "deepseek-v4", "ernie-image", "flux1-dev", "flux2-dev", "gemma-3-4b", "gemma-4-26b-a4b", "glm-4.5",
                    "glm-image", "helios", "hunyuan-7b", "hunyuanvideo", "hunyuanvideo-1.5", "llama-4-scout", "ltx-2", "minimax-h3", "minimax-h3-decoder",
                    "minimax-m2", "mova-720p", "olmo-2-7b", "qwen-image", "qwen-image-edit", "qwen3-235b-a22b",
                    "qwen3-30b-a3b", "qwen3-8b", "qwen3-next-80b", "qwen3-vl-8b",
                    "sana-sprint-1.6b", "sana-video-2b", "sd3.5-large", "wan2.1-t2v-1.3b", "wan2.1-t2v-14b", "wan2.2-t2v-a14b", "wan2.2-ti2v-5b", "z-image"]


class Finished:
    """A finished command: code, out, err, and out as JSON."""

    def __init__(self, arguments, code, out, err):
        self.arguments, self.code, self.out, self.err = arguments, code, out, err

    def json(self):
        return json.loads(self.out)  # fails unless stdout is exactly one document

    def __str__(self):
        return (f"qkjit {' '.join(self.arguments)}\nexit code {self.code}\n"
                f"--- stdout\n{self.out}\n--- stderr\n{self.err}")


class Xxh128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


def with_checksum(body):
    """An entry's file of all but its checksum, which is XXH3-128 in canonical order."""
    name = ctypes.util.find_library("xxhash")
    if not name:
        raise unittest.SkipTest("needs libxxhash, which this test makes entries with")
    xxhash = ctypes.CDLL(name).XXH3_128bits
    xxhash.restype, xxhash.argtypes = Xxh128, [ctypes.c_char_p, ctypes.c_size_t]
    hashed = xxhash(body, len(body))
    return body + hashed.high.to_bytes(8, "big") + hashed.low.to_bytes(8, "big")


class CliTest(unittest.TestCase):
    """Each test has an empty directory that is its HOME, its cache and where commands run."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="qkjit-cli-")
        self.addCleanup(directory.cleanup)
        self.dir = Path(directory.name)
        self.cache = self.dir / "cache"

    def environment(self, **changes):
        """No GPU is visible, so that the tests say the same everywhere."""
        env = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "CUDAToolkit_ROOT",
                                                   "CUDA_HOME") if name in os.environ}
        env |= {"HOME": str(self.dir), "QKJIT_CACHE_DIR": str(self.cache),
                "CUDA_VISIBLE_DEVICES": ""}
        return env | {name: str(value) for name, value in changes.items()}

    def start(self, *arguments, binary=None, cwd=None, env=None, **options):
        return subprocess.Popen([str(binary or BINARY), *map(str, arguments)], cwd=cwd or self.dir,
                                env=self.environment(**(env or {})), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                **options)

    def qkjit(self, *arguments, code=0, says=(), **options):
        """Runs the command; it must end with `code` and mention every text of `says` on stderr."""
        process = self.start(*arguments, **options)
        out, err = process.communicate(timeout=300)
        done = Finished([str(a) for a in arguments], process.returncode, out, err)
        self.assertEqual(done.code, code, f"\nanother exit code than {code} from {done}")
        for text in [says] if isinstance(says, str) else says:
            self.assertIn(text, err, f"\nnot on stderr of {done}")
        return done

    def precompile(self, out, *arguments, specs=(SPEC,), target="sm_90", **options):
        """`qkjit precompile --json`'s document."""
        return self.qkjit("precompile", "--json", "--target", target, "--spec", *specs,
                          "--out", out, *arguments, **options).json()

    def entries(self, directory):
        """The names of a cache directory's entries; beside them only the lock or a manifest may be."""
        others = ".lock", "bundle.json", "bundle.sig"
        names = sorted(file.name for file in Path(directory).iterdir() if file.name not in others)
        self.assertTrue(all(name.endswith(".qkjit") for name in names), names)
        return names

    def opened_libraries(self, *arguments, **options):
        """What the dynamic linker says of the files that the command opens."""
        log = self.dir / "ld-debug"
        env = {"LD_DEBUG": "files", "LD_DEBUG_OUTPUT": log} | options.pop("env", {})
        self.qkjit(*arguments, env=env, **options)
        logs = list(self.dir.glob("ld-debug.*"))
        text = "".join(file.read_text() for file in logs)
        for file in logs:
            file.unlink()
        self.assertIn("libc.so", text, "the dynamic linker wrote no log")
        return text


def main():
    """Runs the tests of the calling file: its first argument is the binary."""
    global BINARY
    if len(sys.argv) < 2 or not os.access(sys.argv[1], os.X_OK):
        sys.exit(f"usage: {sys.argv[0]} path/to/qkjit [unittest's arguments]")
    BINARY = Path(sys.argv.pop(1)).resolve()
    unittest.main()
