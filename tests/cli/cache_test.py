"""qkjit cache: where it is, what it holds, and how it is emptied."""

import os
import shutil

import qkjit_cli
from qkjit_cli import OTHER_SPEC, SPEC, CliTest

NO_COMPILER = {"QKJIT_NVRTC": "/nonexistent"}


class Cache(CliTest):
    def fill(self):
        self.precompile(self.cache, specs=[SPEC, OTHER_SPEC])
        return [name.removesuffix(".qkjit") for name in self.entries(self.cache)]

    def listed(self):
        return self.qkjit("cache", "list", "--json", env=NO_COMPILER).json()["entries"]

    def test_path_follows_the_environment(self):
        def path(**env):
            return self.qkjit("cache", "path", env=env).out.strip()
        nothing = {"QKJIT_CACHE_DIR": "", "XDG_CACHE_HOME": ""}
        self.assertEqual(path(XDG_CACHE_HOME="/x"), str(self.cache))
        self.assertEqual(path(QKJIT_CACHE_DIR="", XDG_CACHE_HOME="/x"), "/x/qkjit")
        self.assertEqual(path(**nothing), str(self.dir / ".cache/qkjit"))
        self.assertEqual(path(QKJIT_CACHE_DIR="relative"), str(self.dir / "relative"))
        self.assertEqual(self.qkjit("cache", "path", "--json").json()["path"], str(self.cache))
        self.qkjit("cache", "path", env=nothing | {"HOME": ""}, code=4, says="QKJIT_CACHE_DIR")

    def test_an_empty_cache(self):
        self.assertIn("is empty", self.qkjit("cache", "list").out)
        self.assertEqual(self.listed(), [])
        self.assertEqual(self.qkjit("cache", "clear", "--json").json()["removed"], 0)
        self.assertFalse(self.cache.exists(), "looking creates nothing")

    def test_list_says_what_each_entry_is(self):
        keys = self.fill()
        listed = self.listed()
        self.assertEqual([entry["key"] for entry in listed], keys)
        self.assertEqual({entry["entry"] for entry in listed},
                         {"qkjit_hd64_rd64_neox_bf16_int64",
                          "qkjit_hd64_rd64_interleaved_bf16_int64"})
        for entry in listed:
            file = self.cache / (entry["key"] + ".qkjit")
            self.assertEqual((entry["target"], entry["bytes"]), ("sm_90", file.stat().st_size))
            self.assertIn("NVRTC", entry["compiler"])
        text = self.qkjit("cache", "list").out
        self.assertEqual(len(text.splitlines()), 3)
        self.assertIn(keys[0][:16], text)

    def test_a_damaged_entry_is_listed_as_that_and_the_others_too(self):
        keys = self.fill()
        (self.cache / (keys[0] + ".qkjit")).write_bytes(b"rubbish")
        damaged, good = self.listed()
        self.assertEqual(damaged["key"], keys[0])
        self.assertIn("cut short", damaged["error"])
        self.assertNotIn("error", good)
        self.assertRegex(self.qkjit("cache", "list").out, keys[0][:16] + r".*damaged: ")

    def test_clear_removes_entries_and_leftovers_and_nothing_else(self):
        keys = self.fill()
        (self.cache / (keys[0] + ".qkjit.tmp.abc123")).write_bytes(b"half")
        (self.cache / "note.txt").write_text("mine")
        self.assertIn("2 entries removed", self.qkjit("cache", "clear").out)
        self.assertEqual([file.name for file in self.cache.iterdir()], ["note.txt"])

    def test_clear_says_what_it_cannot_remove(self):
        self.fill()
        self.cache.chmod(0o555)
        self.addCleanup(self.cache.chmod, 0o755)
        options = {}
        if os.geteuid() == 0:  # root may remove anything
            self.dir.chmod(0o755)
            options = {"binary": shutil.copy(qkjit_cli.BINARY, self.dir), "user": 65534}
        self.qkjit("cache", "clear", code=4, says="cannot remove", **options)
        self.assertEqual(len(self.entries(self.cache)), 2)

    def test_files_are_private(self):
        self.qkjit("inspect", SPEC)
        modes = [path.stat().st_mode & 0o777 for path in (self.cache, *self.cache.iterdir())]
        self.assertEqual(modes, [0o700, 0o600])


if __name__ == "__main__":
    qkjit_cli.main()
