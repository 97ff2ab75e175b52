#!/usr/bin/env python3
"""The figures of docs/reliability.md: runs the tests that show them and prints one table.

usage: bench/reliability.py [--build build/default]     needs no GPU; NVRTC for the warm start
"""
import argparse
import datetime
import os
import pathlib
import platform
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[1]


def run(program, *arguments):
    """The figures that the program prints, by name; it must end well."""
    done = subprocess.run([program, *arguments], env=os.environ | {"QKJIT_FIGURES": "1"}, text=True,
                          stdout=subprocess.PIPE, check=False)
    lines = [line.split("\t") for line in done.stdout.splitlines() if line.startswith("figure\t")]
    if done.returncode != 0:
        print(done.stdout, file=sys.stderr)
        sys.exit(f"{program.name} failed: what it should show does not hold")
    return {name: value for _, name, value in lines}


def warm_start(program):
    """The best of five rounds, and the medians of all: others share the machine."""
    all_kernels = "warm start, all kernels, ms"
    rounds = sorted((run(program) for _ in range(5)), key=lambda figures: float(figures[all_kernels]))
    medians = " ".join(f"{float(figures[all_kernels]):.2f}" for figures in rounds)
    return rounds[0] | {"medians of the five rounds, ms": medians}


def machine():
    """What matters of it, and nothing that names it."""
    temporary = tempfile.gettempdir()
    kind = subprocess.run(["stat", "-f", "-c", "%T", temporary], capture_output=True, text=True, check=False)
    return f"{os.cpu_count()} cores, {platform.machine()}, temporary files on {kind.stdout.strip() or 'an unknown disk'}"


def table(figures):
    """(what, value, goal, whether it is met) of each; a goal is a number that must not be passed, or the value."""
    goals = {
        "one key: compiles": "1",
        "one key: right answers": "64",
        "64 keys, cold and warm: compiles": "64",
        "64 keys, cold and warm: right answers": "128",
        "writers killed": None,
        "calls made to fail": None,
        "entries damaged, each byte and length": None,
        "of these, right kernels": figures["entries damaged, each byte and length"],
        "of these, healed": figures["entries damaged, each byte and length"],
        "over the limit at most, entries": 8.0,
        "kernels": "20",
        "bytes of code": None,
        "bytes of their entries": None,
        "warm start, first kernel, ms": None,
        "warm start, all kernels, ms": 1.0,
        "medians of the five rounds, ms": None,
        "fastest warm start, all kernels, ms": None,
        "warm start, all kernels, ms of CPU time": None,
        "libnvrtc opened": "no",
        "system calls a kernel": 5.0,
        "memory lookup, ns": 50.0,
    }
    for name, goal in goals.items():
        value = figures[name]
        if goal is None:
            yield name, value, "", True
        elif isinstance(goal, float):
            yield name, value, f"at most {goal:g}", float(value) <= goal
        else:
            yield name, value, goal, value == goal


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/default")
    programs = parser.parse_args().build / "bin"
    figures = {}
    for name, measure in (("qkjit_warm_start", warm_start),
                          ("qkjit_unit_tests", lambda program: run(program, "[figures]")),
                          ("qkjit_fault_tests", lambda program: run(program, "[figures]"))):
        if not (programs / name).exists():
            sys.exit(f"there is no {programs / name}: run `make build-default` first")
        figures |= measure(programs / name)
    print(f"{datetime.date.today()}, {machine()}\n\n| figure | measured | goal | |\n|---|---|---|---|")
    held = True
    for what, value, goal, met in table(figures):
        held &= met
        print(f"| {what} | {value} | {goal} | {'' if met else 'missed'} |")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
