#!/usr/bin/env python3
"""The shared library exports the functions of qkjit.h and nothing else, and needs only the C and C++
runtimes: libcuda and libnvrtc are opened at run time, and no third party reaches the host application.

usage: exported_symbols_test.py LIBRARY
"""
import pathlib
import re
import subprocess
import sys

HEADER = pathlib.Path(__file__).parents[2] / "include/qkjit/qkjit.h"
NEEDED = re.compile(r"(lib(stdc\+\+|c\+\+|c\+\+abi|gcc_s|c|m|dl|pthread|rt)|ld-linux.*)\.so.*")


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


library = sys.argv[1]
exported = {line.split()[-1].split("@")[0] for line in output("nm", "-D", "--defined-only", library).splitlines()}
declared = set(re.findall(r"^QKJIT_API [^;(]*\b(qkjit_\w+)\(", HEADER.read_text(), re.MULTILINE))
needed = re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "-dW", library))

problems = [f"exported, but not in qkjit.h: {name}" for name in sorted(exported - declared)]
problems += [f"in qkjit.h, but not exported: {name}" for name in sorted(declared - exported)]
problems += [f"needs {name}" for name in needed if not NEEDED.fullmatch(name)]
if not declared or not needed:
    problems.append(f"could not read {HEADER} or {library}")
print("\n".join(problems) or f"{len(exported)} functions exported; needs {', '.join(needed)}")
sys.exit(1 if problems else 0)
