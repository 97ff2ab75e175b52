#!/usr/bin/env python3
"""Checks the layering of ARCHITECTURE.md: every #include of the repository follows an allowed edge.

usage: include_direction_test.py [ROOT | --self-test]
"""
import pathlib
import re
import sys
import tempfile

# Area: what its files may include besides their own area and outside libraries. A file belongs to the
# longest area that is its path, a folder above it, or its path up to an extension ("src/runtime.hpp").
BELOW_OP = ["src/util", "src/spec", "src/tuning", "src/codegen", "src/compile", "src/cache", "src/cuda", "src/cpu",
            "src/jit", "kernels", "include/qkjit"]
GEOMETRY = ["kernels/spec.cuh", "kernels/variant.cuh", "kernels/tile.cuh"]  # of kernels, but no arithmetic
ALLOWED = {
    "include/qkjit": [],
    "kernels": [],
    "src/util": [],
    "src/spec": ["src/util", *GEOMETRY],
    "src/tuning": ["src/util", "src/spec", *GEOMETRY],
    "src/codegen": ["src/util", "src/spec", "kernels"],
    "src/compile": ["src/util"],
    "src/cache": ["src/util"],
    "src/cuda": ["src/util"],
    "src/cpu": ["src/util", "src/spec", "kernels"],
    "src/jit": ["src/util", "src/spec", "src/codegen", "src/compile", "src/cache", "kernels"],
    "src/op": ["src/util", "src/spec", "kernels", "include/qkjit"],
    "src/device_pages": [],
    "src/call_cache": ["src/op", "src/cuda", "include/qkjit"],
    "src/table_kernel": ["src/spec", "src/tuning", "src/cuda"],
    "src/kernel_table": ["src/util", "src/spec", "src/table_kernel", "kernels"],
    "src/loader": BELOW_OP + ["src/op", "src/kernel_table"],
    "src/loader_code": BELOW_OP + ["src/loader"],
    "src/runtime": BELOW_OP + ["src/op", "src/device_pages", "src/call_cache", "src/loader"],
    "src/runtime_dual": BELOW_OP + ["src/op", "src/call_cache", "src/loader", "src/runtime"],
    "src/options": ["src/util", "src/runtime", "include/qkjit"],
    "src/c_api": ["src/util", "src/spec", "src/op", "src/runtime", "src/options", "include/qkjit"],
    "src/build": ["src/util", "src/codegen", "src/compile", "kernels"],  # programs that the build itself runs
    "tools/oracle": ["src/util", "src/spec", "kernels/spec.cuh", "include/qkjit"],  # no arithmetic of the kernels
    "tools": BELOW_OP + ["src/op", "src/kernel_table", "src/runtime", "src/options", "tools/oracle"],
    "tests/packaging": ["include/qkjit"],
    "tests": BELOW_OP + ["src/op", "src/device_pages", "src/call_cache", "src/kernel_table", "src/loader", "src/runtime", "src/options",
                           "tools"],
    "examples": ["include/qkjit"],
    "bench": BELOW_OP + ["src/op", "src/runtime", "src/options"],
}
# Nothing from outside at all, as NVRTC has no include path, but for what only a host compiler sees.
ALONE = {"kernels": {"kernels/platform.cuh": ["bit", "cmath"]}}
# From outside only the standard library: the public headers are for any host.
STANDARD_ONLY = ["include/qkjit"]
STANDARD = re.compile(r"[a-z_]+|(stddef|stdint|string|limits|math|stdbool)\.h")
# CUDA's headers, each with its one place.
CUDA = re.compile(r"(cuda|nvrtc|cu[a-z]+|driver_types|vector_types|nvJitLink)[\w/]*\.h")
CUDA_HOME = {"nvrtc.h": "src/compile", "cuda.h": "src/cuda"}

SUFFIXES = {".hpp", ".cpp", ".h", ".c", ".cuh", ".cu", ".in"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def within(path, area):
    return path == area or path.startswith((area + "/", area + "."))


def area_of(path):
    return max((a for a in ALLOWED if within(path, a)), key=len, default=None)


def resolve(root, includer, quote, name):
    """The repository path that an include names, or None for an outside header."""
    bases = ["", "src", "include", "tests"] + ([str(includer.parent)] if quote == '"' else [])
    for base in reversed(bases):
        path = pathlib.PurePosixPath(base, name)
        if (root / path).is_file():
            return pathlib.Path(root / path).resolve().relative_to(root.resolve()).as_posix()
    # Generated headers are not in the tree, but their folder tells the area.
    generated = f"src/{name}"
    return generated if "/" in name and area_of(generated) else None


def breach(root, path, quote, name):
    """Why the include is wrong, or None."""
    area = area_of(path.as_posix())
    target = resolve(root, path, quote, name)
    if target is not None:
        if area_of(target) == area or any(within(target, a) for a in ALLOWED[area]):
            return None
        return f"{area} may not include {area_of(target)} (only: {', '.join(ALLOWED[area]) or 'itself'})"
    if area in ALONE and name not in ALONE[area].get(path.as_posix(), []):
        return f"{area} may include only itself"
    if area in STANDARD_ONLY and not STANDARD.fullmatch(name):
        return f"{area} may include only itself and the standard library"
    if CUDA.fullmatch(name) and CUDA_HOME.get(name) != area:
        return f"only {CUDA_HOME.get(name, 'NVIDIA')} may name {name}"
    return None


def check(root):
    breaches, files = [], 0
    for top in sorted({area.split("/")[0] for area in ALLOWED}):
        for path in sorted((root / top).rglob("*")):
            if path.suffix not in SUFFIXES or not path.is_file():
                continue
            files += 1
            relative = path.relative_to(root)
            if area_of(relative.as_posix()) is None:
                breaches.append(f"{relative}: belongs to no area of the table in {pathlib.Path(__file__).name}")
                continue
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                match = INCLUDE.match(line)
                reason = match and breach(root, relative, *match.groups())
                if reason:
                    breaches.append(f"{relative}:{number}: {line.strip()}: {reason}")
    return breaches, files


def self_test():
    """A clean tree passes; each planted include is found, alone."""
    clean = {
        "include/qkjit/qkjit.h": "#include <stdint.h>\n",
        "kernels/spec.cuh": "",
        "kernels/norm.cuh": '#include "spec.cuh"\n',
        "src/util/error.hpp": "#include <fmt/format.h>\n",
        "src/spec/spec.hpp": '#include "kernels/spec.cuh"\n#include "util/error.hpp"\n',
        "src/compile/nvrtc.cpp": "#include <nvrtc.h>\n",
        "src/cuda/driver.cpp": "#include <cuda.h>\n",
        "src/cuda/driver.hpp": "",
        "src/runtime.cpp": '#include "cuda/driver.hpp"\n#include "runtime.hpp"\n',
        "src/runtime.hpp": '#include "qkjit/qkjit.h"\n',
    }
    planted = {
        "include/qkjit/x.hpp": "#include <fmt/format.h>\n",
        "kernels/x.cuh": "#include <cstdint>\n",
        "kernels/y.cuh": '#include "../src/util/error.hpp"\n',
        "src/util/x.hpp": '#include "spec/spec.hpp"\n',
        "src/cache/x.cpp": '#include "codegen/generated.hpp"\n',
        "src/spec/x.cpp": '#include "kernels/norm.cuh"\n',
        "src/cuda/x.cpp": '#  include "runtime.hpp"\n',
        "src/cuda/y.cpp": "#include <nvrtc.h>\n",
        "src/op/x.cpp": "#include <cuda_bf16.h>\n",
        "src/other/x.cpp": "#include <vector>\n",
        "tools/oracle/x.cpp": '#include "kernels/norm.cuh"\n',
    }
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)

        def write(name, text):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)

        for name, text in clean.items():
            write(name, text)
        assert check(root) == ([], len(clean)), check(root)
        for name, text in planted.items():
            write(name, text)
            found, _ = check(root)
            assert len(found) == 1 and found[0].startswith(name + ":"), (name, found)
            (root / name).unlink()
    print(f"self-test: {len(planted)} planted breaches found")


def main():
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        return
    root = pathlib.Path(sys.argv[1] if sys.argv[1:] else pathlib.Path(__file__).parents[2])
    breaches, files = check(root)
    print("\n".join(breaches) or f"{files} files, every include follows the layering")
    sys.exit(1 if breaches or not files else 0)


main()
