#!/usr/bin/env python3
"""A test against PyTorch where there is none: exit code 77, which is ctest's skip, and the reason.

usage: reference_skip_test.py
"""
import os
import pathlib
import subprocess
import sys
import tempfile

test = pathlib.Path(__file__).parents[1] / "reference/flux1_test.py"
with tempfile.TemporaryDirectory() as folder:
    (pathlib.Path(folder) / "torch.py").write_text("raise ImportError('no torch here')\n")
    done = subprocess.run([sys.executable, "-B", test, sys.executable], env=os.environ | {"PYTHONPATH": folder},
                          capture_output=True, text=True, check=False)
print(done.stdout + done.stderr)
reasons = ("SKIPPED", "no torch here", "apt-get install python3-torch")
sys.exit(done.returncode != 77 or not all(reason in done.stdout for reason in reasons))
