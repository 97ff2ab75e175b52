"""Starts a test where PyTorch is: in this interpreter, else in the system's. Without it, a skip.

`from pytorch import torch`, everywhere. Exit code 77 is ctest's "skipped" (SKIP_RETURN_CODE).
"""
import os
import sys

SKIPPED = 77
SYSTEM = "/usr/bin/python3"  # Debian's python3-torch serves no other interpreter

try:
    import torch
except ImportError as missing:
    if os.access(SYSTEM, os.X_OK) and os.path.realpath(sys.executable) != os.path.realpath(SYSTEM):
        sys.stdout.flush()
        os.execv(SYSTEM, [SYSTEM, "-B", *sys.argv])
    print(f"SKIPPED: no PyTorch to compare with ({missing}); on Debian: apt-get install python3-torch")
    sys.exit(SKIPPED)

torch.set_num_threads(1)  # ctest runs several tests at once
