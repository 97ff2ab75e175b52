#!/usr/bin/env python3
"""Runs the commands of a README: every ```sh block that directly follows the comment <!-- test -->.

Each block runs in bash, in the README's folder, with a kernel cache of its own; the first command
that fails ends the test.

usage: readme_test.py README.md
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

readme = pathlib.Path(sys.argv[1]).resolve()
blocks = re.findall(r"^<!-- test -->\n+```sh\n(.*?)^```$", readme.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
if not blocks:
    sys.exit(f"{readme}: no ```sh block is marked with <!-- test -->")
with tempfile.TemporaryDirectory() as cache:
    for block in blocks:
        print(block, end="", flush=True)
        result = subprocess.run(["bash", "-euo", "pipefail", "-c", block], cwd=readme.parent, stdin=subprocess.DEVNULL,
                                env=os.environ | {"QKJIT_CACHE_DIR": cache}, check=False)
        if result.returncode != 0:
            sys.exit(f"exit code {result.returncode} from:\n{block}")
print(f"{len(blocks)} blocks ran")
