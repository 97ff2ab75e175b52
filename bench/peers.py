#!/usr/bin/env python3
"""Times libqkjit beside what one would use in its place, on the same data, in one process, by one method.

Every peer comes from its own package, which `pip install sglang flashinfer-python vllm` brings; one that is not there
or does not run is reported as absent, and the others go on. Needs a GPU, PyTorch and Triton; the peers' kernels are
compiled at their first run, for which nvcc and ninja have to be there.

Method: bf16; a CUDA graph of at least 20 launches that rotate over buffers of 600 MB, random int64 positions into a
131,072-row fp32 table, the median of 15 replays. Whoever computes libqkjit's operation is first checked against it in
float64, every element, and is not timed where it is wrong.
"""
import argparse
import json
import sys
from pathlib import Path

from peers.cases import CASES
from peers.registry import CONTENDERS
from peers.report import geometric_means, ratios, remarks, table

LIBRARY = Path(__file__).resolve().parents[1] / "build/default/lib/libqkjit.so"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", metavar="PATH", default=str(LIBRARY), help="libqkjit.so, as `make` leaves it")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=CONTENDERS, default=list(CONTENDERS),
                        help="of " + ", ".join(CONTENDERS))
    parser.add_argument("--shapes", nargs="+", metavar="TEXT", default=[""],
                        help="only those whose label has one of the texts, such as 4096x or neox")
    parser.add_argument("--json", metavar="FILE", help="all figures, and where and with what they came about")
    parser.add_argument("--markdown", action="store_true", help="the table in Markdown")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    cases = [case for case in CASES if any(text in case.label for text in options.shapes)]
    if not cases:
        sys.exit("no such shape; there are: " + ", ".join(case.label for case in CASES))
    try:
        import torch
        import triton  # noqa: F401
    except ImportError as error:
        sys.exit(f"peers.py needs PyTorch and Triton: {error}")
    if not torch.cuda.is_available():
        sys.exit("peers.py needs a GPU, and PyTorch finds none that it can use")
    from peers.environment import environment
    from peers.run import load_all, time_all

    torch.set_grad_enabled(False)
    contenders, absent = load_all(options)
    results, stopped = time_all(contenders, cases)
    where, notes = environment(contenders), {name: each.note for name, each in contenders.items()}
    if options.json:
        Path(options.json).write_text(json.dumps({
            "environment": where, "contenders": notes, "absent": absent, "stopped": stopped,
            "cases": [{"label": case.label, **vars(case), "outcomes": outcomes, "ratios": ratios(outcomes)}
                      for case, outcomes in results.items()],
            "geometric_means": geometric_means(results)}, indent=1) + "\n")

    versions = [f"{name} {version}" for name, version in where["packages"].items()]
    print(", ".join([where["device"], f"driver {where['driver']}", f"PyTorch {where['torch']}", *versions]))
    for line in [*(f"{name}: {note}" for name, note in notes.items()), *remarks(results, absent), stopped]:
        print(line)
    print("microseconds per launch\n" + table(results, list(contenders), options.markdown))


if __name__ == "__main__":
    main()
