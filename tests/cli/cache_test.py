"""qkjit cache: where it is, what it holds, and how it is emptied."""

import json
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
        self.assertEqual(modes, [0o700, 0o600, 0o600])

    def test_stats_count_what_is_there(self):
        stats = self.qkjit("cache", "stats", "--json").json()
        self.assertEqual((stats["entries"], stats["bytes"], stats["max_bytes"]), (0, 0, 512 << 20))
        keys = self.fill()
        (self.cache / (keys[0] + ".qkjit.tmp.abc123")).write_bytes(b"half")
        (self.cache / (keys[0] + ".qkjit.bad")).write_bytes(b"bad")
        stats = self.qkjit("cache", "stats", "--json", env={"QKJIT_CACHE_MAX_SIZE": "unlimited"}).json()
        self.assertEqual((stats["entries"], stats["quarantined"], stats["temporaries"], stats["max_bytes"]),
                         (2, 1, 1, None))
        self.assertEqual(stats["bytes"], 3 + sum((self.cache / (key + ".qkjit")).stat().st_size for key in keys))
        self.assertIn("2 entries, 1 damaged, 1 unfinished", self.qkjit("cache", "stats").out)

    def test_verify_quarantines_what_is_damaged_and_says_why(self):
        keys = self.fill()
        self.assertEqual(self.qkjit("cache", "verify", "--json", env=NO_COMPILER).json()["good"], 2)
        good, bad = (self.cache / (key + ".qkjit") for key in keys)
        content = bytearray(bad.read_bytes())
        content[len(content) // 2] ^= 1
        bad.write_bytes(content)
        found = self.qkjit("cache", "verify", "--json", env=NO_COMPILER, code=1).json()
        self.assertEqual((found["good"], [each["file"] for each in found["quarantined"]]), (1, [str(bad)]))
        self.assertIn("damaged", found["quarantined"][0]["why"])
        self.assertTrue(bad.with_name(bad.name + ".bad").exists())
        self.assertFalse(bad.exists())
        good.rename(bad)  # another's name
        self.assertIn("another key's", self.qkjit("cache", "verify", env=NO_COMPILER, code=1).out)
        self.assertIn("0 good", self.qkjit("cache", "verify", env=NO_COMPILER).out)

    def test_prune_keeps_what_was_used_last(self):
        keys = self.fill()
        old, new = (self.cache / (key + ".qkjit") for key in keys)
        os.utime(old, (0, 0))
        pruned = self.qkjit("cache", "prune", "--json").json()
        self.assertEqual(pruned["removed"]["entries"], 0)
        size = str(old.stat().st_size + new.stat().st_size - 1)
        pruned = self.qkjit("cache", "prune", "--max-size", size, "--json").json()
        self.assertEqual((pruned["removed"]["entries"], pruned["bytes"]), (1, new.stat().st_size))
        self.assertEqual(self.entries(self.cache), [new.name])
        self.qkjit("cache", "prune", "--max-size", "much", code=2, says=["'much'", "unlimited"])
        self.qkjit("cache", "stats", env={"QKJIT_CACHE_MAX_SIZE": "0"}, code=2, says="QKJIT_CACHE_MAX_SIZE")

    def test_read_only_and_off(self):
        self.assertEqual(self.qkjit("inspect", SPEC, "--json", env={"QKJIT_CACHE": "ro"}).json()["compiled"], 1)
        self.assertEqual(self.qkjit("inspect", SPEC, "--json", env={"QKJIT_CACHE": "off"}).json()["compiled"], 1)
        self.assertFalse(self.cache.exists())
        self.qkjit("inspect", SPEC)
        self.assertEqual(self.qkjit("inspect", SPEC, "--json", env={"QKJIT_CACHE": "ro"}).json()["hits"], 1)
        self.assertEqual(self.qkjit("inspect", SPEC, "--json", env={"QKJIT_CACHE": "off"}).json()["hits"], 0)
        self.qkjit("inspect", SPEC, env={"QKJIT_CACHE": "maybe"}, code=2, says="rw, ro or off")

    def test_a_hit_opens_no_compiler(self):
        self.qkjit("inspect", SPEC)
        self.assertNotIn("libnvrtc", self.opened_libraries("inspect", SPEC))

    def test_of_64_processes_one_compiles(self):
        started = [self.start("inspect", SPEC, "--json") for _ in range(64)]
        documents = [json.loads(process.communicate(timeout=300)[0]) for process in started]
        self.assertEqual({process.returncode for process in started}, {0})
        self.assertEqual(sum(document["compiled"] for document in documents), 1)
        self.assertEqual(sum(document["hits"] for document in documents), 63)
        self.assertEqual(len({document["key"] for document in documents}), 1)

    def test_setuid_programs_use_no_cache_and_no_environment(self):
        if os.geteuid() != 0 or os.statvfs(self.dir).f_flag & os.ST_NOSUID:
            self.skipTest("needs root, and a place where setuid works")
        self.dir.chmod(0o755)
        program = shutil.copy(qkjit_cli.BINARY, self.dir)
        os.chmod(program, 0o4755)
        self.cache.mkdir()
        document = self.qkjit("inspect", SPEC, "--json", binary=program, user=65534,
                              says=["stay in memory", "more rights"], env={"QKJIT_NVRTC": "/nonexistent"}).json()
        self.assertEqual(document["compiled"], 1)
        self.assertEqual(list(self.cache.iterdir()), [])


if __name__ == "__main__":
    qkjit_cli.main()
