#!/usr/bin/env python3
"""Times the fused kernel beside simpler kernels of the same operation, each a step towards it, and a copy in place.

RMSNorm of every head of q and k, then interleaved rope, bf16, head_dim=rope_dim=128. Each rung is a file of
bench/ladder/, compiled by NVRTC when this runs; the last is libqkjit itself. Data, check, timing and copy are those of
bench/peers.py: every element is checked in float64 before a rung is timed, a wrong one is not. Needs a GPU, PyTorch and
Triton.
"""
import argparse
import json
import sys
from pathlib import Path

from ladder.report import percent_of_copy, table
from peers.cases import Case
from peers.report import remarks

LIBRARY = Path(__file__).resolve().parents[1] / "build/default/lib/libqkjit.so"
CASES = [Case(195, 24, 24), Case(4096, 24, 24), Case(33280, 24, 24)]  # latency alone, FLUX.1, HunyuanVideo


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", metavar="PATH", default=str(LIBRARY), help="libqkjit.so, as `make` leaves it")
    parser.add_argument("--json", metavar="FILE", help="all figures, and where and with what they came about")
    parser.set_defaults(only=["libqkjit", "copy", "copy.cs"])  # of the peers
    return parser.parse_args()


def main() -> None:
    options = arguments()
    try:
        import torch
        import triton  # noqa: F401
    except ImportError as error:
        sys.exit(f"ladder.py needs PyTorch and Triton: {error}")
    if not torch.cuda.is_available():
        sys.exit("ladder.py needs a GPU, and PyTorch finds none that it can use")
    from ladder.rungs import load_rungs
    from peers.environment import environment
    from peers.run import load_all, time_all

    torch.set_grad_enabled(False)
    try:
        rungs = load_rungs()
    except (OSError, RuntimeError) as error:  # no NVRTC, or it refuses
        sys.exit(f"ladder.py cannot compile its kernels: {error}")
    others, absent = load_all(options)
    contenders = {**rungs, **{name: others[name] for name in options.only if name in others}}
    results, stopped = time_all(contenders, CASES)
    where, notes = environment(contenders), {name: each.note for name, each in contenders.items()}
    figures = {name: rung.figures() for name, rung in rungs.items()}
    if options.json:
        Path(options.json).write_text(json.dumps({
            "environment": where, "contenders": notes, "kernels": figures, "absent": absent, "stopped": stopped,
            "cases": [{"label": case.label, **vars(case), "outcomes": outcomes,
                       "percent_of_copy": {name: percent_of_copy(name, outcomes) for name in outcomes}}
                      for case, outcomes in results.items()]}, indent=1) + "\n")

    print(f"{where['device']}, driver {where['driver']}, PyTorch {where['torch']}, {where['date']}")
    for line in [*(f"{name}: {note}" for name, note in notes.items()), *remarks(results, absent), stopped]:
        print(line)
    print("microseconds per launch, and that in per cent of the faster copy's; the occupancy is what registers allow\n"
          + table(results, figures, list(contenders)))


if __name__ == "__main__":
    main()
