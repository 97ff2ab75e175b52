"""qkjit cache export, import and keygen: one reproducible file, verified before anything of it is used."""

import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import tarfile
import time

import qkjit_cli
from qkjit_cli import OTHER_SPEC, SPEC, CliTest

NO_COMPILER = {"QKJIT_NVRTC": "/nonexistent"}
RUN = ["run", "--spec", SPEC, "--tokens", 3, "--device", "cpu", "--json"]


class BundleTest(CliTest):
    """A directory with two entries, its signed bundle and that as plain tar."""

    def setUp(self):
        super().setUp()
        os.umask(0o022)
        self.made = self.dir / "made"
        self.precompile(self.made, specs=[SPEC, OTHER_SPEC])
        self.public = self.keygen("key")
        self.export("bundle", "--key", "key")

    def keygen(self, name):
        return self.qkjit("cache", "keygen", name).out.strip()

    def export(self, file, *arguments, **options):
        return self.qkjit("cache", "export", "--json", "--from", self.made, *arguments, file, **options)

    def imported(self, file, *arguments, **options):
        return self.qkjit("cache", "import", "--json", file, *arguments, **options)

    def members(self, file="bundle"):
        """(name, bytes) of each member, by tar and zstd, which share no code with the tool's reader."""
        if not shutil.which("zstd"):
            self.skipTest("needs zstd")
        plain = subprocess.run(["zstd", "-dcq", self.dir / file], check=True, capture_output=True).stdout
        with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
            return [(info.name, tar.extractfile(info).read()) for info in tar]

    def tar(self, file, members):
        """An archive of (name or TarInfo, bytes)."""
        with tarfile.open(self.dir / file, "w", format=tarfile.PAX_FORMAT) as tar:
            for name, content in members:
                info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
                if info.isreg():
                    info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        return self.dir / file

    def contents(self, directory):
        return {file.name: file.read_bytes() for file in directory.glob("*.qkjit")}


class Export(BundleTest):
    def test_the_same_entries_give_the_same_bytes(self):
        again = self.dir / "other place" / "made"
        again.mkdir(parents=True)
        names = sorted(file.name for file in self.made.iterdir())
        for name in random.sample(names, len(names)):
            (again / name).write_bytes((self.made / name).read_bytes())
            os.utime(again / name, (1, 1))
        first = (self.dir / "bundle").read_bytes()
        for number, (zone, mask) in enumerate([("Asia/Kathmandu", 0o077), ("America/St_Johns", 0o000)]):
            env = {"TZ": zone, "USER": f"user{number}", "HOME": self.dir / zone, "LC_ALL": "C.UTF-8"}
            file = self.dir / f"again{number}"
            self.qkjit("cache", "export", "--from", again, "--key", self.dir / "key", file, env=env, cwd="/",
                       preexec_fn=lambda mask=mask: os.umask(mask))
            self.assertEqual(file.read_bytes(), first)
        self.assertEqual((self.dir / "again0").stat().st_mode & 0o777, 0o600)

    def test_another_program_can_read_and_verify_it(self):
        members = self.members()
        self.assertEqual([name for name, _ in members[:2]], ["bundle.json", "bundle.sig"])
        manifest = json.loads(members[0][1])
        self.assertEqual((manifest["schema"], manifest["entry_version"]), ("qkjit.bundle/2", 4))
        self.assertEqual([file["name"] for file in manifest["files"]], [name for name, _ in members[2:]])
        self.assertEqual([name for name, _ in members[2:]], self.entries(self.made))
        for file, (name, content) in zip(manifest["files"], members[2:]):
            self.assertEqual(content, (self.made / name).read_bytes())
            digest = hashlib.blake2b(content, digest_size=32)
            self.assertEqual((file["size"], file["digest"], file["target"], file["key"] + ".qkjit"),
                             (len(content), digest.hexdigest(), "sm_90", name))
            self.assertRegex(file["toolchain"], "^nvrtc-")
        if not shutil.which("openssl"):
            self.skipTest("needs openssl for the signature")
        # RFC 8410: the public key's 32 bytes behind these twelve.
        key = bytes.fromhex("302a300506032b6570032100" + self.public.removeprefix("ed25519:"))
        for name, content in [("key.der", key), *members[:2]]:
            (self.dir / name).write_bytes(content)
        subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.der", "-keyform", "DER", "-rawin",
                        "-in", "bundle.json", "-sigfile", "bundle.sig"], cwd=self.dir, check=True, capture_output=True)

    def test_the_writable_cache_is_the_default(self):
        self.precompile(self.cache)
        (self.cache / "bundle.json").unlink()
        document = self.qkjit("cache", "export", "own", "--json").json()
        self.assertEqual((document["from"], document["entries"], document["public_key"]), (str(self.cache), 1, None))
        self.assertEqual(len(self.members("own")), 2)

    def test_a_selection(self):
        self.precompile(self.made, target="sm_80")
        self.assertEqual(self.export("some", "--target", "sm_80,sm_100a").json()["entries"], 1)
        self.assertEqual(self.export("all", "--target", "sm_80,sm_90").json()["entries"], 3)
        toolchain = json.loads(dict(self.members())["bundle.json"])["files"][0]["toolchain"]
        self.assertEqual(self.export("ours", "--toolchain", toolchain).json()["entries"], 3)
        self.export("none", "--target", "sm_70", code=3, says=["sm_80, sm_90", toolchain])
        self.export("none", "--toolchain", "nvrtc-0", code=3, says=toolchain)
        self.assertFalse((self.dir / "none").exists())

    def test_what_cannot_be_exported(self):
        (self.dir / "empty").mkdir()
        self.qkjit("cache", "export", "--from", "empty", "none", code=3, says="no entries")
        self.qkjit("cache", "export", "--from", "missing", "none", code=2, says="missing")
        self.export("nowhere/none", code=4, says="nowhere")
        file = self.made / self.entries(self.made)[0]
        file.write_bytes(file.read_bytes()[:-1])
        self.export("none", code=4, says=[file.name, "qkjit cache verify"])
        self.assertFalse((self.dir / "none").exists())

    def test_keys(self):
        self.assertEqual((self.dir / "key").stat().st_mode & 0o777, 0o600)
        self.assertEqual((self.dir / "key.pub").read_text().strip(), self.public)
        self.assertRegex(self.public, "^ed25519:[0-9a-f]{64}$")
        before = (self.dir / "key").read_bytes()
        self.qkjit("cache", "keygen", "key", code=4, says=["exists", "never replaced"])
        (self.dir / "key").rename(self.dir / "moved")
        self.qkjit("cache", "keygen", "key", code=4, says="key.pub")  # nor the public half
        self.assertFalse((self.dir / "key").exists())
        self.assertEqual((self.dir / "moved").read_bytes(), before)
        self.assertNotEqual(self.keygen("second"), self.public)
        (self.dir / "moved").chmod(0o640)
        self.export("none", "--key", "moved", code=4, says="chmod 600")
        (self.dir / "key.pub").chmod(0o600)
        self.export("none", "--key", "key.pub", code=2, says="no secret key")
        self.assertNotIn(before.decode().strip()[-64:], self.export("none", "--key", "second", "-v").out)


class Import(BundleTest):
    def test_into_the_writable_cache(self):
        document = self.imported("bundle", "--public-key", self.public).json()
        self.assertEqual((document["path"], document["signed"]), (str(self.cache), True))
        self.assertEqual((document["entries"], document["imported"], document["present"]), (2, 2, 0))
        self.assertEqual(self.contents(self.cache), self.contents(self.made))
        modes = {file.stat().st_mode & 0o777 for file in self.cache.iterdir()}
        self.assertEqual((modes, self.cache.stat().st_mode & 0o777), ({0o600}, 0o700))
        again = self.imported("bundle", env={"QKJIT_CACHE_PUBLIC_KEY": self.public}).json()
        self.assertEqual((again["imported"], again["present"]), (0, 2))
        document = self.qkjit(*RUN, env=NO_COMPILER | {"QKJIT_COMPILE": "never"}).json()
        self.assertEqual((document["compiled"], document["hits"], document["failed"]), (0, 1, 0))

    def by_another_compiler(self, file):
        """A bundle with the second entry as another compiler could have made it."""
        (_, text), _, *entries = self.members()
        manifest = json.loads(text)
        changed, (name, content) = manifest["files"][1], entries[1]
        other = "other".ljust(len(changed["toolchain"]), "-")
        content = qkjit_cli.with_checksum(content[:-16 - len(other)] + other.encode())
        digest = hashlib.blake2b(content, digest_size=32)
        changed |= {"toolchain": other, "digest": digest.hexdigest()}
        return self.tar(file, [("bundle.json", json.dumps(manifest).encode()), entries[0],
                               (name, content)])

    def test_another_compilers_entries_are_noted_and_pinned(self):
        self.by_another_compiler("other")
        done = self.imported("other", "--unsigned", says="another compiler")
        self.assertEqual(done.json()["by_other_compilers"], 1)
        self.assertEqual(self.imported("other", "--unsigned", env=NO_COMPILER).json()["by_other_compilers"], 0)
        done = self.imported("other", "--unsigned", "--to", "shipped")
        self.assertNotIn("another compiler", done.err)
        for manifest, compiled in (True, 0), (False, 1):
            if not manifest:
                (self.dir / "shipped/bundle.json").unlink()
            env = {"QKJIT_CACHE": "ro", "QKJIT_CACHE_PATH": self.dir / "shipped", "QKJIT_CACHE_DIR": self.dir / "none"}
            runs = [self.qkjit("inspect", spec, "--json", env=env).json() for spec in (SPEC, OTHER_SPEC)]
            self.assertEqual((sum(run["compiled"] for run in runs), sum(run["hits"] for run in runs)),
                             (compiled, 2 - compiled))

    def test_into_a_directory_that_must_be_signed(self):
        self.imported("bundle", "--to", "shipped", "--public-key", self.public)
        shipped = self.dir / "shipped"
        self.assertEqual(self.contents(shipped), self.contents(self.made))
        shipped.chmod(0o777)  # the signature is what counts
        env = NO_COMPILER | {"QKJIT_COMPILE": "never", "QKJIT_CACHE_PATH": shipped, "QKJIT_CACHE_PUBLIC_KEY": self.public}
        document = self.qkjit(*RUN, env=env).json()
        self.assertEqual((document["compiled"], document["hits"], document["failed"]), (0, 1, 0))
        layer = self.qkjit("doctor", "--json", env=env, code=4).json()["path"][0]
        self.assertEqual((layer["good"], layer["text"]), (True, f"{shipped}, 2 signed entries"))
        # without the key its place decides, and it does not do
        self.qkjit(*RUN, env=env | {"QKJIT_CACHE_PUBLIC_KEY": "", "QKJIT_CACHE_DIR": self.dir / "new"}, says="chmod go-w")

    def unusable(self, shipped, *says, key=None):
        """A directory of which nothing is used: said once, and by doctor."""
        env = {"QKJIT_CACHE_PATH": shipped, "QKJIT_CACHE_PUBLIC_KEY": key or self.public, "QKJIT_CACHE": "ro"}
        done = self.qkjit("run", "--model", "minimax-h3", "--tokens", 2, "--device", "cpu", "--json",
                          env=env | {"QKJIT_COMPILE": "never"}, says=says)
        self.assertEqual(done.err.count("is not used"), 1, done)
        self.assertEqual(done.json()["hits"], 0)
        layer = self.qkjit("doctor", "--json", env=env).json()["path"][-1]
        self.assertFalse(layer["good"])
        for text in says:
            self.assertIn(text, layer["text"])

    def test_a_directory_without_a_good_signature(self):
        shipped = self.dir / "shipped"
        self.imported("bundle", "--to", shipped, "--public-key", self.public)
        self.unusable(shipped, "is another's", key=self.keygen("second"))
        manifest, signature = shipped / "bundle.json", shipped / "bundle.sig"
        good = manifest.read_bytes()
        manifest.write_bytes(good.replace(b"sm_90", b"sm_80", 1))
        self.unusable(shipped, "it was changed")
        manifest.unlink()
        self.unusable(shipped, "there is no bundle.json", "--key")
        manifest.write_bytes(good)
        signature.unlink()
        self.unusable(shipped, "there is no bundle.sig")
        os.mkfifo(signature)
        self.unusable(shipped, "not a regular file")
        self.unusable(self.made, "there is no bundle.sig")

    def test_an_entry_that_is_not_the_signed_one(self):
        shipped = self.dir / "shipped"
        self.imported("bundle", "--to", shipped, "--public-key", self.public)
        env = {"QKJIT_CACHE_PATH": shipped, "QKJIT_CACHE_PUBLIC_KEY": self.public, "QKJIT_CACHE": "ro"}
        run = self.qkjit(*RUN, env=env).json()
        self.assertEqual((run["hits"], run["compiled"]), (1, 0))
        # A good entry of the same key, as anyone can make it.
        file = shipped / (run["kernels"][0]["key"] + ".qkjit")
        content = file.read_bytes()
        planted = qkjit_cli.with_checksum(content[:-16].replace(b"NVRTC", b"PLANT", 1))
        self.assertEqual(len(planted), len(content))
        file.write_bytes(planted)
        done = self.qkjit(*RUN, env=env, says=["is not the entry", file.name])
        self.assertEqual((done.json()["hits"], done.json()["compiled"]), (0, 1))
        file.unlink()
        self.assertEqual(self.qkjit(*RUN, env=env).json()["compiled"], 1)

    def test_who_is_trusted(self):
        self.export("plain")
        second = self.keygen("second")
        for file, arguments, code, says in [
                ("bundle", [], 4, ["--public-key", "--unsigned"]),
                ("plain", [], 4, ["--unsigned", "no signature"]),
                ("plain", ["--public-key", self.public], 4, ["not signed"]),
                ("bundle", ["--public-key", second], 4, ["is another's", second]),
                ("bundle", ["--public-key", self.public, "--unsigned"], 2, ["--unsigned"]),
                ("bundle", ["--public-key", "ed25519:12"], 2, ["64 hexadecimal"]),
                ("bundle", ["--public-key", (self.dir / "key").read_text()], 2, ["64 hexadecimal"])]:
            with self.subTest(file=file, arguments=arguments):
                done = self.imported(file, *arguments, code=code, says=says)
                self.assertNotIn((self.dir / "key").read_text().strip()[-64:], done.err)
                self.assertFalse(self.cache.exists())
        env = {"QKJIT_CACHE_PUBLIC_KEY": self.public}
        self.imported("plain", "--unsigned", env=env, code=2, says="QKJIT_CACHE_PUBLIC_KEY")
        self.imported("plain", env=env, code=4, says="not signed")
        self.assertFalse(self.imported("plain", "--unsigned").json()["signed"])
        self.qkjit(*RUN, env={"QKJIT_CACHE_PUBLIC_KEY": "x"}, code=2, says=["QKJIT_CACHE_PUBLIC_KEY", "ed25519:"])

    def test_archives_that_are_not_bundles(self):
        (self.dir / "rubbish").write_bytes(b"rubbish" * 1000)
        (self.dir / "empty").write_bytes(b"")
        for file in "rubbish", "empty", "missing", ".":
            with self.subTest(file=file):
                self.imported(file, "--unsigned", code=4, says=[file, "is not imported"])
        members = self.members()
        twice = subprocess.run(["zstd", "-cq", self.dir / "bundle"], check=True, capture_output=True).stdout
        (self.dir / "twice").write_bytes(twice)
        self.imported("twice", "--unsigned", code=4, says="more than once")
        self.imported(self.tar("good", members), "--public-key", self.public, "--to", "good-dir")  # so the rest is to blame

    def test_members_that_are_refused(self):
        members = self.members()
        head, (first, second) = members[:2], members[2:]

        def special(kind, name=first[0], target=""):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            return info, b""

        def named(name, content=first[1]):
            return [*head, (name, content), second]
        cases = {
            "traversal": (named("../" + first[0]), "another member"),
            "absolute": (named("/tmp/" + first[0]), "another member"),
            "below": (named("x/" + first[0]), "another member"),
            "strange name": (named("\x1b[31m\u00e9"), "archive"),
            "symbolic link": ([*head, special(tarfile.SYMTYPE, target="/etc/passwd"), second], "no plain file"),
            "hard link": ([*head, special(tarfile.LNKTYPE, target=second[0]), second], "no plain file"),
            "device": ([*head, special(tarfile.CHRTYPE), second], "no plain file"),
            "fifo": ([*head, special(tarfile.FIFOTYPE), second], "no plain file"),
            "directory": ([*head, special(tarfile.DIRTYPE), first, second], "no plain file"),
            "linked manifest": ([special(tarfile.SYMTYPE, "bundle.json", "/etc/passwd"), *members[1:]], "no plain file"),
            "double": ([*head, first, first, second], "another member"),
            "double at the end": ([*members, second], "more members"),
            "more": ([*members, ("more", b"")], "more members"),
            "less": (members[:-1], f"ends where {second[0]}"),
            "no entries": (head, f"ends where {first[0]}"),
            "another order": ([*head, second, first], "another member"),
            "no manifest": (members[1:], "bundle.json should be"),
            "manifest not first": ([head[1], head[0], first, second], "bundle.json should be"),
            "two manifests": ([head[0], *members], "not signed"),
            "larger": (named(first[0], first[1] + b"x"), "more than the"),
            "smaller": (named(first[0], first[1][:-1]), "entry of"),
            "another's": (named(first[0], second[1][:len(first[1])]), "entry"),
            "large signature": ([head[0], ("bundle.sig", bytes(65)), first, second], "more than the 64"),
            "short signature": ([head[0], ("bundle.sig", bytes(63)), first, second], "is another's"),
            "large manifest": ([("bundle.json", bytes((16 << 20) + 1)), *members[1:]], "more than the"),
        }
        for name, (content, says) in cases.items():
            with self.subTest(name):
                to = self.dir / name
                done = self.imported(self.tar("spoiled", content), "--public-key", self.public, "--to", to, code=4,
                                     says=["is not imported", says])
                self.assertNotIn("\x1b", done.err)
                self.assertFalse((to / "bundle.json").exists())
                for file in to.iterdir() if to.exists() else ():
                    self.assertEqual(file.read_bytes(), dict(members)[file.name])
        self.assertFalse((self.dir / first[0]).exists())

    def test_manifests_that_are_refused(self):
        (_, text), _, *entries = self.members()

        def changed(**fields):
            manifest = json.loads(text)
            manifest["files"][0] |= fields
            return manifest
        good = json.loads(text)
        file = good["files"][0]
        for name, manifest, says in [
                ("other schema", good | {"schema": "qkjit.bundle/9", "made_by": "qkjit 9.9\x1b[1m"}, ["qkjit.bundle/9", "qkjit 9.9\\u001b"]),
                ("other entries", good | {"entry_version": 5}, ["format 5", "reads 4", "export the bundle anew"]),
                ("no schema", {"files": []}, ["schema"]),
                ("a list", [1], ["no manifest"]),
                ("text", "x", ["no manifest"]),
                ("name", changed(name="../../" + file["name"]), ["is not its key's"]),
                ("plain name", changed(name="note.txt"), ["is not its key's"]),
                ("key", changed(key="0" * 64), ["is not its key's"]),
                ("digest", changed(digest="0" * 64), ["not the entry"]),
                ("no digest", changed(digest="x"), ["digest"]),
                ("target", changed(target="sm_80"), ["not the entry"]),
                ("toolchain", changed(toolchain="nvrtc-0"), ["not the entry"]),
                ("bad toolchain", changed(toolchain="../x"), ["toolchain"]),
                ("size", changed(size=file["size"] + 1), ["not the entry"]),
                ("smaller size", changed(size=file["size"] - 1), ["more than the"]),
                ("huge size", changed(size=1 << 40), ["more than the"]),
                ("negative size", changed(size=-1), ["the size"]),
                ("size that is no whole number", changed(size=1e300), ["the size"]),
                ("double", good | {"files": [file, file]}, ["twice"])]:
            with self.subTest(name):
                archive = self.tar("spoiled", [("bundle.json", json.dumps(manifest).encode()), *entries])
                done = self.imported(archive, "--unsigned", "--to", "to", code=4, says=["is not imported", *says])
                self.assertNotIn("\x1b", done.err)
                self.assertFalse((self.dir / "to/bundle.json").exists())

    def test_a_bomb_costs_nothing(self):
        if not shutil.which("zstd"):
            self.skipTest("needs zstd")
        info = tarfile.TarInfo("bundle.json")
        info.size = 1 << 40
        with (self.dir / "bomb").open("wb") as bomb, \
                subprocess.Popen(["zstd", "-cq", "-1"], stdin=subprocess.PIPE, stdout=bomb) as zstd:
            zstd.stdin.write(info.tobuf())
            for _ in range(64):
                zstd.stdin.write(bytes(1 << 20))
            zstd.stdin.close()
        begin = time.monotonic()
        self.imported("bomb", "--unsigned", code=4, says="more than the")
        self.assertLess(time.monotonic() - begin, 5)

    def test_a_bundle_larger_than_the_cache(self):
        size = sum(file.stat().st_size for file in self.made.iterdir())
        env = {"QKJIT_CACHE_MAX_SIZE": str(size // 2)}
        self.imported("bundle", "--public-key", self.public, env=env, code=4, says=["QKJIT_CACHE_MAX_SIZE", "--to"])
        self.assertFalse(self.cache.exists())

    def test_killed_midway_whole_entries_are_left_and_the_next_import_completes_them(self):
        members = self.members()
        plain = self.tar("plain", members).read_bytes()
        os.mkfifo(self.dir / "pipe")
        seen = set()
        for part in range(12):
            to = self.dir / f"to{part}"
            process = self.start("cache", "import", "pipe", "--public-key", self.public, "--to", to)
            with (self.dir / "pipe").open("wb", buffering=0) as pipe:
                pipe.write(plain[:len(plain) * part // 12])
                time.sleep(0.05)
                process.send_signal(signal.SIGKILL)
                process.communicate()
            left = [file for file in to.iterdir() if ".tmp." not in file.name] if to.exists() else []
            for file in left:
                self.assertEqual(file.read_bytes(), dict(members)[file.name])
            entries = [file for file in left if file.suffix == ".qkjit"]
            seen.add(len(entries))
            document = self.imported("plain", "--public-key", self.public, "--to", to).json()
            self.assertEqual((document["imported"], document["present"]), (2 - len(entries), len(entries)))
            self.assertEqual(self.contents(to), dict(members[2:]))
        self.assertLessEqual({0, 1}, seen)


class Precompiled(CliTest):
    def test_a_precompiled_directory_has_a_manifest(self):
        out = self.dir / "out"
        self.precompile(out, specs=[SPEC, OTHER_SPEC])
        manifest = json.loads((out / "bundle.json").read_bytes())
        self.assertEqual([file["name"] for file in manifest["files"]], self.entries(out))
        self.precompile(out, target="sm_80")
        manifest = json.loads((out / "bundle.json").read_bytes())
        self.assertEqual(len(manifest["files"]), 3)
        self.assertEqual((out / "bundle.json").stat().st_mode & 0o777, 0o666 & ~os.umask(os.umask(0o022)))
        before = (out / "bundle.json").stat().st_mtime_ns
        (out / "bundle.sig").write_bytes(bytes(64))
        self.precompile(out, target="sm_80")
        self.assertTrue((out / "bundle.sig").exists())
        self.assertEqual((out / "bundle.json").stat().st_mtime_ns, before)
        self.precompile(out, specs=[OTHER_SPEC], target="sm_80")
        self.assertFalse((out / "bundle.sig").exists(), "it was another manifest's")


if __name__ == "__main__":
    qkjit_cli.main()
